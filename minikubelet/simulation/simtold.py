"""What the agent was told of which pods, as far as it is written down.

Belongs here: the records with which a pod came, was withdrawn or cleaned up, and what a life that begins
still knows of them. May not be here: what is wanted (`simwanted`), what is right (`simsafety`).
"""

from __future__ import annotations

from collections.abc import Callable

from minikubelet.core.events import AnyEvent, PodCleanedUp, PodSet, PodWithdrawn
from minikubelet.model.ids import PodUid
from minikubelet.simulation.simwanted import NEVER, Book


class Told:
    """The pods that the agent knows to be wanted and to be gone, each with the record that told it so."""

    def __init__(self, book: Book, now: Callable[[], int]) -> None:
        self._book = book
        self._now = now
        self.known: dict[PodUid, int] = {}
        self.gone: dict[PodUid, int] = {}
        self._notes: list[tuple[int, int, PodSet | PodWithdrawn | PodCleanedUp]] = []

    def took(self, seq: int, event: AnyEvent) -> None:
        """The agent has taken an event for what is so; the disk may not have it yet."""
        if isinstance(event, PodSet | PodWithdrawn | PodCleanedUp):
            self._notes.append((seq, self._now(), event))
            self._note(*self._notes[-1])

    def begun(self, durable: int) -> None:
        """A life begins: what the disk never had was never told."""
        self._notes = [note for note in self._notes if note[0] <= durable]
        self.known.clear()
        self.gone.clear()
        for wanted in self._book.pods.values():
            wanted.cleaned_at = NEVER
        for note in self._notes:
            self._note(*note)
        self._book.forget(known=self.known, known_gone=self.gone)

    def _note(self, seq: int, at: int, event: PodSet | PodWithdrawn | PodCleanedUp) -> None:
        if isinstance(event, PodWithdrawn):
            self.gone.setdefault(event.uid, seq)
        elif isinstance(event, PodCleanedUp):
            self.known.pop(event.uid, None)
            if (wanted := self._book.pods.get(event.uid)) is not None:
                wanted.cleaned_at = at
        else:
            self.known.setdefault(event.uid, seq)
            self.gone.pop(event.uid, None)
            for uid in self._book.rivals(event.uid):
                self.gone.setdefault(uid, seq)
            if event.deletion_at is not None:
                self.gone.setdefault(event.uid, seq)
