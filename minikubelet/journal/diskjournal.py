"""The journal an agent writes: records taken in at once, made durable in groups by one thread.

Here is when to write and what to tell the owner; how bytes get onto the disk is in `writing`, what a start
makes of the disk in `journalopen`. While degraded, records are held in memory, nobody waits for the disk, and
a new segment is tried again and again; the owner's next snapshot is tried at once. A disk that hangs degrades
the journal too, until it answers.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from minikubelet.journal.diskthread import DiskThread
from minikubelet.journal.fileops import FileOps, RealFileOps
from minikubelet.journal.framing import check_snapshot, encode_record
from minikubelet.journal.heldrecords import HeldRecords
from minikubelet.journal.journalopen import Prepared, prepare
from minikubelet.journal.segments import Identity, now_us
from minikubelet.journal.survey import records_of
from minikubelet.journal.waiting import Waiting
from minikubelet.journal.writing import Group, Patience, SegmentStore, WriteOutcome
from minikubelet.ports.journalport import JournalHealth, OpenedJournal, Record, Retention, Snapshot

_log = structlog.get_logger(__name__)


class DiskJournal:
    """Implements `ports.Journal` on a directory; use it from one event loop only."""

    def __init__(self, prepared: Prepared, patience: Patience) -> None:
        self.on_snapshot_wanted: Callable[[str], None] | None = None
        self.on_health: Callable[[JournalHealth], None] | None = None
        self._store: SegmentStore = prepared.store
        self._release = prepared.release
        self._patience = patience
        self._held = HeldRecords(prepared.findings.next_seq - 1)
        self._durable = self._held.last
        self._switch: Snapshot | None = None
        self._waiting = Waiting()
        self._thread = DiskThread(patience.hang_after, self._hang)
        self._drain: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reminder: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._retry_in = patience.retry_first
        self._health = JournalHealth(bool(prepared.problem), prepared.problem)
        self._wanted = True
        self._closed = False
        self._stopped = ""  # by a bug, or with the loop: says which

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        node: str,
        boot: str,
        core_version: str,
        schema_hash: str,
        settings: dict[str, Any],
        limits: Retention,
        fileops: FileOps | None = None,
        clock: Callable[[], int] = now_us,
        patience: Patience | None = None,
    ) -> OpenedJournal:
        """Survey and repair a directory and go on in it; whatever is wrong with it, this returns.

        The only error is JournalLockedError: another agent is at work there. Load what is returned, then
        begin a segment with a snapshot.
        """
        identity = Identity(node, boot, core_version, schema_hash, settings)
        prepared = prepare(directory, identity, limits, fileops or RealFileOps(), clock)
        journal = cls(prepared, patience or Patience())
        findings = prepared.findings
        for sentence in findings.survey.damage:
            _log.warning("journal damage", found=sentence)
        if prepared.problem:
            _log.error("journal degraded: records are only held in memory", reason=prepared.problem)
        return OpenedJournal(journal, findings.survey, findings.snapshot, records_of(findings.parts))

    @property
    def next_seq(self) -> int:
        """The seq the next record must carry."""
        return self._held.last + 1

    @property
    def health(self) -> JournalHealth:
        """Whether what is committed is durable."""
        return self._health

    @property
    def snapshot_wanted(self) -> bool:
        """Whether the owner should begin a segment: after a start, when one is full, when the disk failed."""
        return self._wanted

    def append(self, records: Sequence[Record]) -> None:
        """Take records in; see `ports.Journal`."""
        self._usable()
        payloads = []
        for seq, record in enumerate(records, self.next_seq):
            if record.seq != seq:
                raise ValueError(f"record {record.seq} stands where {seq} belongs")
            payloads.append(encode_record(record))
        self._held.add(payloads)
        if self._health.degraded and self._held.size > self._patience.held_bytes:
            _log.error("journal holds too much in memory: records are lost", records=self._held.let_go())
        if payloads and self._timer is None:
            self._arm(self._retry_in if self._health.degraded else self._patience.flush_after)

    def _usable(self) -> None:
        if self._stopped or self._closed:
            raise RuntimeError(self._stopped or "the journal is closed")

    async def commit(self) -> None:
        """Return once everything appended so far is durable; see `ports.Journal`."""
        target = self._held.last
        if target <= self._durable or self._health.degraded:
            return
        self._usable()
        waiter = self._waiting.for_commit(target)
        self._kick()
        await waiter

    async def begin_segment(self, snapshot: bytes, seq: int) -> None:
        """Start a new segment with the state after record `seq`; see `ports.Journal`."""
        self._usable()
        if not self._held.taken <= seq <= self._held.last:
            raise ValueError(
                f"a snapshot of record {seq} comes too late or too early: {self._held.taken} is written, "
                f"{self._held.last} appended; take it and hand it over without awaiting in between"
            )
        head = Snapshot(seq, snapshot)
        check_snapshot(head)
        self._switch, self._wanted = head, False
        waiter = self._waiting.for_switch()
        self._kick()
        if not self._thread.hangs:
            await waiter

    async def close(self) -> None:
        """Write what is left, and let go of the files and the lock."""
        if self._closed:
            return
        self._closed = True
        if self._drain is not None:
            await self._thread.answered(self._drain)
        if not self._thread.hangs and not self._stopped:
            await self._thread.answered(self._kick())
        for timer in (self._timer, self._reminder, self._watch):
            if timer is not None:
                timer.cancel()
        if self._thread.hangs:
            lost = self._held.last - self._durable
            _log.error("journal closed although its disk does not answer", records_not_written=lost)
        else:
            await self._thread.run(self._store.close)
        self._thread.close()
        self._release()

    def _arm(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._kick()

    def _kick(self) -> asyncio.Task[None]:
        if self._drain is None or self._drain.done():
            self._drain = asyncio.get_running_loop().create_task(self._write_all(), name="journal")
        return self._drain

    async def _write_all(self) -> None:
        """Hand group after group to the thread until nothing is left or the disk refuses."""
        try:
            while self._held or self._switch is not None:
                switch, self._switch = self._switch, None
                self._waiting.begin_switch()
                taken = self._held.taken
                if switch is None and self._held.hole:
                    self._ask("records were lost while the disk refused")
                    self._refused(None, taken, self._health.reason)
                    break
                group = self._held.take(self._held.last if switch is None else switch.seq)
                outcome = await self._thread.run(self._write, group, switch)
                if outcome.failed:
                    self._refused(group, taken, outcome.failed)
                else:
                    self._settle(outcome, begun=switch is not None)
                self._waiting.end_switch()
                if outcome.failed:
                    break
        except BaseException as error:
            self._stopped = f"the journal stopped: {error!r}"
            self._waiting.fail(self._stopped)
            raise

    def _hang(self) -> None:
        self._degrade(f"the disk has not answered for {self._patience.hang_after:g} s")

    def _look_later(self) -> None:
        if not self._closed:
            self._watch = asyncio.get_running_loop().call_later(self._patience.look_every, self._look_now)

    def _look_now(self) -> None:
        if self._drain is None or self._drain.done():
            self._drain = asyncio.get_running_loop().create_task(self._look(), name="journal look")
        else:
            self._look_later()

    async def _look(self) -> None:
        """Whether what was written is still there, though nothing happens that would be written."""
        lost = await self._thread.run(self._store.look)
        if lost:
            self._refused(None, self._held.taken, lost)
        if self._held or self._switch is not None:
            await self._write_all()
        self._look_later()

    def _write(self, group: Group | None, switch: Snapshot | None) -> WriteOutcome:
        """Runs in the thread."""
        written = WriteOutcome()
        if group is not None:
            written = self._store.write(group)
        if switch is None:
            return written
        begun = self._store.begin(switch)
        if not begun.failed and written.failed:
            _log.error(
                "journal lost records that its new snapshot covers", reason=written.failed, last=switch.seq
            )
        elif begun.failed and not written.failed and self._store.is_open:
            return WriteOutcome(postponed=begun.failed)
        return begun

    def _settle(self, outcome: WriteOutcome, *, begun: bool) -> None:
        self._durable = self._held.taken
        if self._watch is None:
            self._look_later()
        self._retry_in = self._patience.retry_first
        self._waiting.committed(self._durable)
        if not self._held.hole:  # else still degraded: records were let go meanwhile
            self._announce(outcome, begun=begun)

    def _announce(self, outcome: WriteOutcome, *, begun: bool) -> None:
        if recovered := self._health.degraded:
            _log.warning("journal writes to the disk again", durable=self._durable)
            self._tell(JournalHealth())
        if outcome.postponed:
            _log.error("journal could not begin a new segment, the old one goes on", reason=outcome.postponed)
            self._wanted = True
            loop = asyncio.get_running_loop()
            self._reminder = loop.call_later(
                self._patience.retry_most, self._ask, "the last one was not written"
            )
        elif outcome.overcome:
            _log.error("journal had to begin a new segment", reason=outcome.overcome)
            self._ask(f"the disk failed: {outcome.overcome}")
        elif recovered and not begun:
            self._ask("the disk had failed and works again")
        elif self._store.is_full and not self._wanted:
            self._ask("the segment is full")

    def _refused(self, group: Group | None, taken: int, reason: str) -> None:
        """Keep the records, tell the owner, let everybody go on, and try again later."""
        if group is not None and group.last <= self._store.written:
            taken = self._durable = group.last  # only the new segment behind it failed
            group = None
        self._held.put_back(group, taken)
        self._degrade(reason)
        self._wanted = True
        if not self._closed:
            self._arm(self._retry_in)
        self._retry_in = min(2 * self._retry_in, self._patience.retry_most)

    def _degrade(self, reason: str) -> None:
        """Say it, and let everybody go on."""
        if not self._health.degraded:
            _log.error("journal degraded: records are only held in memory", reason=reason)
        if self._health != JournalHealth(degraded=True, reason=reason):
            self._tell(JournalHealth(degraded=True, reason=reason))
        self._waiting.let_go()

    def _ask(self, reason: str) -> None:
        self._wanted = True
        if self.on_snapshot_wanted is not None:
            self.on_snapshot_wanted(reason)

    def _tell(self, health: JournalHealth) -> None:
        self._health = health
        if self.on_health is not None:
            self.on_health(health)
