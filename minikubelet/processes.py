"""Processes that do a part of a command's work.

Belongs here: how they begin and end. May not be here: what they do.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread


def pool(size: int) -> ProcessPoolExecutor:
    """So many new interpreters, which end when the command does, even where that was killed."""
    return ProcessPoolExecutor(size, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """Leave signals that a terminal or a service manager sends to all: the command says what came of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Thread(target=_end_with_command, daemon=True).start()


def _end_with_command() -> None:
    command = parent_process()
    if command is not None:
        command.join()
        os._exit(1)
