"""The journal an agent writes: records taken in at once, made durable in groups by one thread.

Here is when to write and what to tell the owner; how bytes get onto the disk is in `writing`, what a start
makes of the disk in `journalopen`. While degraded, records are held in memory, nobody waits for the disk, and
a new segment is tried again and again; the owner's next snapshot is tried at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from minikubelet.journal.fileops import FileOps, RealFileOps
from minikubelet.journal.framing import check_snapshot, encode_record
from minikubelet.journal.heldrecords import HeldRecords
from minikubelet.journal.journalopen import Prepared, prepare
from minikubelet.journal.segments import Identity, now_us
from minikubelet.journal.survey import records_of
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
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._switched: list[asyncio.Future[None]] = []
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._drain: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reminder: asyncio.TimerHandle | None = None
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
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((target, waiter))
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
        waiter = asyncio.get_running_loop().create_future()
        self._switched.append(waiter)
        self._kick()
        await waiter

    async def close(self) -> None:
        """Write what is left, and let go of the files and the lock."""
        if self._closed:
            return
        self._closed = True
        if self._drain is not None:
            await asyncio.wait([self._drain])
        if not self._stopped:
            await asyncio.wait([self._kick()])
        for timer in (self._timer, self._reminder):
            if timer is not None:
                timer.cancel()
        await asyncio.get_running_loop().run_in_executor(self._worker, self._store.close)
        self._worker.shutdown()
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
        switched: list[asyncio.Future[None]] = []
        try:
            while self._held or self._switch is not None:
                switch, self._switch = self._switch, None
                switched, self._switched = self._switched, []
                taken = self._held.taken
                if switch is None and self._held.hole:
                    self._ask("records were lost while the disk refused")
                    self._refused(None, taken, self._health.reason)
                    break
                group = self._held.take(self._held.last if switch is None else switch.seq)
                outcome = await asyncio.get_running_loop().run_in_executor(
                    self._worker, self._write, group, switch
                )
                if outcome.failed:
                    self._refused(group, taken, outcome.failed)
                else:
                    self._settle(outcome, begun=switch is not None)
                _wake(switched)
                if outcome.failed:
                    break
        except BaseException as error:
            self._fail_waiters(error, switched)
            raise

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
        self._retry_in = self._patience.retry_first
        while self._waiters and self._waiters[0][0] <= self._durable:
            _wake([self._waiters.popleft()[1]])
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
        if not self._health.degraded:
            _log.error("journal degraded: records are only held in memory", reason=reason)
        if self._health != JournalHealth(degraded=True, reason=reason):
            self._tell(JournalHealth(degraded=True, reason=reason))
        _wake([waiter for _, waiter in self._waiters])
        self._waiters.clear()
        self._wanted = True
        if not self._closed:
            self._arm(self._retry_in)
        self._retry_in = min(2 * self._retry_in, self._patience.retry_most)

    def _ask(self, reason: str) -> None:
        self._wanted = True
        if self.on_snapshot_wanted is not None:
            self.on_snapshot_wanted(reason)

    def _tell(self, health: JournalHealth) -> None:
        self._health = health
        if self.on_health is not None:
            self.on_health(health)

    def _fail_waiters(self, error: BaseException, switched: list[asyncio.Future[None]]) -> None:
        """A bug in writing, or the end of the loop: nobody may wait for ever."""
        self._stopped = f"the journal stopped: {error!r}"
        waiting = [*(waiter for _, waiter in self._waiters), *self._switched, *switched]
        for waiter in [waiter for waiter in waiting if not waiter.done()]:
            waiter.set_exception(RuntimeError(self._stopped))
        self._waiters.clear()
        self._switched.clear()


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
