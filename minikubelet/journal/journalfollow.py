"""Follow a journal while an agent writes it, across rotation, restarts and the removal of old segments.

Reading only, by polling, with no lock. A follower that remembers the last seq it saw can be stopped and
started again without loss or repetition, as long as retention has not removed what it missed.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

from minikubelet.journal.fileops import RealFileOps
from minikubelet.journal.framing import last_mark_in
from minikubelet.journal.segments import first_of, segment_names
from minikubelet.journal.segmentscan import Ending, SegmentScan
from minikubelet.ports.journalport import JournalError, Record


async def follow(directory: Path, from_seq: int, interval: float = 0.2) -> AsyncIterator[Record]:
    """Yield the committed records from `from_seq` on, for ever; looks again every `interval` seconds.

    Raises JournalError where committed records are damaged.
    """
    follower = Follower(directory, from_seq)
    while True:
        records = await asyncio.to_thread(follower.poll)
        for record in records:
            yield record
        if not records:
            await asyncio.sleep(interval)


class Follower:
    """Where one reader stands; `next_seq` is the first it has not seen."""

    def __init__(self, directory: Path, from_seq: int) -> None:
        self.next_seq = from_seq
        self._directory = directory
        self._name = ""
        self._inode = 0
        self._scan: SegmentScan | None = None

    def poll(self) -> list[Record]:
        """The committed records that are new; blocking."""
        try:
            names = segment_names(RealFileOps().listing(self._directory))
        except OSError as error:
            raise JournalError(f"{self._directory} cannot be read: {error.strerror}") from error
        fresh: list[Record] = []
        while names:
            if self._name not in names:
                self._enter(self._entry(names))
            fresh += self._read()
            later = [name for name in names if name > self._name]
            if fresh or not later:
                break
            self._enter(later[0])
        return fresh

    def _entry(self, names: list[str]) -> str:
        """The segment that holds the next record, or the oldest one left."""
        return max((name for name in names if first_of(name) <= self.next_seq), default=names[0])

    def _enter(self, name: str) -> None:
        self._name, self._scan = name, None

    def _read(self) -> list[Record]:
        try:
            with (self._directory / self._name).open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if self._scan is None or inode != self._inode:
                    data = file.read()
                    self._scan, self._inode = SegmentScan(BytesIO(data)), inode
                    data = data[self._scan.good :]
                else:
                    file.seek(self._scan.good)
                    data = file.read()
                    self._scan.go_on(BytesIO(data))
        except FileNotFoundError:
            return []
        before = self._scan.good
        groups = list(self._scan.groups())
        fresh = [record for group in groups for record in group if record.seq >= self.next_seq]
        if fresh:
            self.next_seq = fresh[-1].seq + 1
        elif self._scan.ending is Ending.BAD:
            self._damaged(self._scan, data[self._scan.good - before :])
        return fresh

    def _damaged(self, scan: SegmentScan, rest: bytes) -> None:
        """Bytes with no mark behind them are being written, or torn; others never become right."""
        if scan.header is None:
            self._scan = None
        if last_mark_in(rest, scan.crc) is not None:
            raise JournalError(
                f"{self._directory / self._name}: corrupt behind record {scan.tail.seq} ({scan.problem});"
                " what comes after it is read without following"
            )
