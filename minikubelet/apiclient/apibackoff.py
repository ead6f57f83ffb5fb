"""How long to wait after failures: longer each time, with jitter; drawing from a generator that is given.

No sleeping here, and no clock of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Seconds of the first wait, its factor from one to the next, the most, and the share that is random.

    The defaults are those of client-go's reflector.
    """

    first_seconds: float = 0.8
    factor: float = 2.0
    most_seconds: float = 30.0
    jitter: float = 1.0


class Backoff:
    """The waits of one series of failures."""

    __slots__ = ("_base", "_policy", "_rng")

    def __init__(self, policy: BackoffPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._base = policy.first_seconds

    def next_seconds(self) -> float:
        """Answer the next wait: between the base and base times (1 + jitter)."""
        base = min(self._base, self._policy.most_seconds)
        self._base = base * self._policy.factor
        return base * (1 + self._policy.jitter * self._rng.random())

    def reset(self) -> None:
        """Begin anew: it works again."""
        self._base = self._policy.first_seconds
