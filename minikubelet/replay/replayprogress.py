"""Progress: how far a command is, on stderr, once it takes longer than a moment.

Belongs here: when to tell, and in which words. May not be here: what is counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator

from minikubelet.replay.replayhistory import Step

_ON_TERMINAL, _IN_LOG = 0.5, 5.0
"""seconds between two lines"""
_LOOK_EVERY = 1024
"""steps between two looks at the clock"""


def progress(done: str) -> Callable[[int, int], None]:
    """Call it with the number of events that are `done`, such as "verified", and the seq of the last."""
    terminal = sys.stderr.isatty()
    pause, end = (_ON_TERMINAL, "\r") if terminal else (_IN_LOG, "\n")
    began = last = time.monotonic()

    def tell(events: int, seq: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= pause:
            last = now
            sys.stderr.write(f"{events:,} events {done}, seq {seq} ({events / (now - began):,.0f}/s) {end}")
            sys.stderr.flush()

    return tell


def told(steps: Iterable[Step], done: str) -> Iterator[Step]:
    """The same steps, and how far they are."""
    tell = progress(done)
    for number, step in enumerate(steps, 1):
        if number % _LOOK_EVERY == 0:
            tell(number, step.event.seq)
        yield step
