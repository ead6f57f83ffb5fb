"""Many scenarios in several processes, whose reports come back in order.

Belongs here: handing scenarios out and taking reports in. May not be here: what becomes of a report
(`simcommand`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import Final

from minikubelet.processes import pool
from minikubelet.simulation.simrun import Report, run
from minikubelet.simulation.simscenario import Scenario

_BATCH: Final = 8
"""scenarios that are handed out together: a run takes less time than a message between processes"""
_BATCHES_AHEAD: Final = 4
"""batches a process that are handed out before the first is back, so that none waits and few are lost"""

_Ran = list[tuple[Scenario, Report]]


def run_all(scenarios: Iterable[Scenario], jobs: int) -> Iterator[tuple[Scenario, Report]]:
    """Run scenarios in so many processes (0: one a core); what comes is the same for any number of them."""
    jobs = jobs or len(os.sched_getaffinity(0))
    if jobs == 1:
        for each in scenarios:
            yield each, run(each)
        return
    left = iter(scenarios)
    ahead: deque[Future[_Ran]] = deque()
    workers = pool(jobs)
    try:
        while True:
            while len(ahead) < jobs * _BATCHES_AHEAD and (batch := list(islice(left, _BATCH))):
                ahead.append(workers.submit(_run_batch, batch))
            if not ahead:
                return
            yield from ahead.popleft().result()
    finally:
        workers.shutdown(cancel_futures=True)


def _run_batch(batch: list[Scenario]) -> _Ran:
    """Runs in a process of its own."""
    return [(each, run(each)) for each in batch]
