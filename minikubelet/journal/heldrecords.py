"""Encoded records that are not durable yet, in order; plain bookkeeping, used from the event loop only.

When to write them, and what to do when that fails, is decided in `diskjournal`.
"""

from collections import deque

from minikubelet.journal.writing import Group


class HeldRecords:
    """The records behind `taken`, the last seq handed out for writing, up to `last`.

    Where memory did not suffice and records were let go, there is a hole behind `taken`. Nothing is written
    over a hole, until a snapshot covers it.
    """

    def __init__(self, last: int) -> None:
        self.taken = self.last = last
        self.size = 0  # bytes
        self._queue: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def hole(self) -> bool:
        """Whether records behind `taken` were let go."""
        return self.taken + len(self._queue) != self.last

    def add(self, payloads: list[bytes]) -> None:
        """Hold the records that follow `last`."""
        self._queue.extend(payloads)
        self.size += sum(map(len, payloads))
        self.last += len(payloads)

    def take(self, last: int) -> Group | None:
        """Hand out everything up to `last`; None where that is nothing, or stands behind a hole."""
        whole = not self.hole
        count = max(last - (self.last - len(self._queue)), 0)
        payloads = tuple(self._queue.popleft() for _ in range(count))
        self.size -= sum(map(len, payloads))
        self.taken = last
        return Group(payloads, last) if payloads and whole else None

    def put_back(self, group: Group | None, taken: int) -> None:
        """Hold a group again that was not written; `taken` is what it was before the group was handed out."""
        if group is not None and not self.hole:
            self._queue.extendleft(reversed(group.payloads))
            self.size += sum(map(len, group.payloads))
        self.taken = taken

    def let_go(self) -> int:
        """Forget everything, which leaves a hole; how many records that were."""
        count = len(self._queue)
        self._queue.clear()
        self.size = 0
        return count
