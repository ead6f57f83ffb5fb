"""A journal that lives in memory only: for simulation, tests, and runs that are to leave nothing behind.

It keeps the promises of `ports.Journal` and checks the same bugs; there is no file format in it. A crash is
simulated with `survivor`: what was not committed is gone.
"""

from collections.abc import Callable, Sequence

from minikubelet.journal.framing import check_snapshot, encode_record
from minikubelet.ports.journalport import JournalHealth, OpenedJournal, Record, Snapshot, Survey


class MemoryJournal:
    """Implements `ports.Journal`; `records` are all since the beginning, committed or not."""

    def __init__(self) -> None:
        self.on_snapshot_wanted: Callable[[str], None] | None = None
        self.on_health: Callable[[JournalHealth], None] | None = None
        self.records: list[Record] = []
        self.committed = 0  # the last seq that survives a crash
        self.snapshots: list[Snapshot] = []
        self._health = JournalHealth()
        self._wanted = True

    @property
    def next_seq(self) -> int:
        """The seq the next record must carry."""
        return len(self.records) + 1

    @property
    def health(self) -> JournalHealth:
        """Healthy, unless `fail` was called."""
        return self._health

    @property
    def snapshot_wanted(self) -> bool:
        """Whether no segment was begun yet, or `want_snapshot` was called since."""
        return self._wanted

    def append(self, records: Sequence[Record]) -> None:
        """Take records in; see `ports.Journal`."""
        for seq, record in enumerate(records, self.next_seq):
            if record.seq != seq:
                raise ValueError(f"record {record.seq} stands where {seq} belongs")
            encode_record(record)
        self.records.extend(records)

    async def commit(self) -> None:
        """Everything appended so far survives from now on, unless the journal is degraded."""
        if not self._health.degraded:
            self.committed = len(self.records)

    async def begin_segment(self, snapshot: bytes, seq: int) -> None:
        """Remember the state after record `seq`; see `ports.Journal`."""
        if not self.committed <= seq < self.next_seq:
            raise ValueError(f"a snapshot of record {seq} comes too late or too early")
        head = Snapshot(seq, snapshot)
        check_snapshot(head)
        self._wanted = self._health.degraded
        if not self._health.degraded:
            self.committed = seq
            self.snapshots.append(head)

    async def close(self) -> None:
        """Commit what is left."""
        await self.commit()

    def want_snapshot(self, reason: str) -> None:
        """Ask the owner for a snapshot, as a full segment would."""
        self._wanted = True
        if self.on_snapshot_wanted is not None:
            self.on_snapshot_wanted(reason)

    def fail(self, reason: str) -> None:
        """Degrade, as a disk that refuses would; the empty string heals."""
        self._health = JournalHealth(bool(reason), reason)
        if self.on_health is not None:
            self.on_health(self._health)

    def survivor(self) -> OpenedJournal:
        """What a new agent finds after a crash of this one."""
        journal = MemoryJournal()
        journal.records = self.records[: self.committed]
        journal.committed = self.committed
        journal.snapshots = list(self.snapshots)
        snapshot = self.snapshots[-1] if self.snapshots else None
        after = journal.records[snapshot.seq if snapshot else 0 :]
        return OpenedJournal(journal, Survey(), snapshot, iter(after))
