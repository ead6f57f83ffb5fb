"""The agent as the first process of a container: what an init does, and nothing else.

Belongs here: passing signals on, reaping whatever is left behind by others, the exit code. May not be here:
the agent, which runs in a child so that its own children are its own to wait for.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_PASSED_ON: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


def as_pid_one(work: Callable[[], int]) -> int:
    """Do the work in a child, and be its init until it ends; its exit code, or 128 and its signal's number.

    Orphans of the container come to process 1, which must wait for them. Processes that the agent waits for
    itself are the child's, hence never taken from it.
    """
    watched = {signal.SIGCHLD, *_PASSED_ON}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return work()
    while True:
        number = signal.sigwait(watched)
        if number != signal.SIGCHLD:
            with suppress(ProcessLookupError):
                os.kill(child, number)
            continue
        code = _reap(child)
        if code is not None:
            sys.stdout.flush()
            return code


def _reap(child: int) -> int | None:
    """Wait for everything that has ended; the child's exit code if it is among it."""
    code = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                ended = os.waitstatus_to_exitcode(status)
                code = ended if ended >= 0 else 128 - ended
    return code
