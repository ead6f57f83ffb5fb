"""Answers of an API server that hold for a while.

Belongs here: keeping a bounded number of them until a moment each. Nothing about what they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 1024


class AnswerCache(Generic[T]):
    """At most so many answers by key; the oldest go first. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float], most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._kept: dict[str, tuple[float, T]] = {}

    def get(self, key: str) -> tuple[bool, T | None]:
        """Whether there is an answer that still holds, and which."""
        ends, answer = self._kept.get(key, (0.0, None))
        if key not in self._kept:
            return False, None
        if self._clock() >= ends:
            del self._kept[key]
            return False, None
        return True, answer

    def put(self, key: str, answer: T, seconds: float) -> None:
        """Keep an answer for so many seconds."""
        self._kept.pop(key, None)
        while len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (self._clock() + seconds, answer)
