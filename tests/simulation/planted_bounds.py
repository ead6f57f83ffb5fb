"""Bugs planted into what the agent keeps, and for how long: memory, journal, disk, back-off, as in `planted`.

Belongs here: one function for each bug; it patches the real code through `monkeypatch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from minikubelet.core import backoff, lifecycle
from minikubelet.core.backoff import SECOND
from minikubelet.journal import writing
from minikubelet.shell.dispatcher import Dispatcher
from minikubelet.shell.vault import Vault

Patch = pytest.MonkeyPatch


async def nothing_yet(*_args: Any, **_options: Any) -> None:
    """Do nothing, after a while."""


def commands_are_remembered(patch: Patch) -> None:
    dispatch = Dispatcher.dispatch

    def remembering(self: Dispatcher, command: Any, decided: int) -> None:
        vars(self).setdefault("_given", []).append(command)
        dispatch(self, command, decided)

    patch.setattr(Dispatcher, "dispatch", remembering)


def old_segments_are_kept(patch: Patch) -> None:
    patch.setattr(writing, "removable", lambda *_args: [])


def what_a_disk_refused_is_never_written(patch: Patch) -> None:
    patch.setattr(Vault, "write_again", nothing_yet)


def back_off_is_too_long(patch: Patch) -> None:
    grow = backoff.next_crash_delay
    patch.setattr(lifecycle, "next_crash_delay", lambda delay: grow(delay) + 5 * SECOND)


BOUND_BUGS: Final[tuple[Callable[[Patch], None], ...]] = (
    back_off_is_too_long,
    commands_are_remembered,
    old_segments_are_kept,
    what_a_disk_refused_is_never_written,
)
