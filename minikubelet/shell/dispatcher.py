"""The dispatcher: a decided command goes to where it is carried out.

Belongs here: one task a runtime command, timers, the outbox. May not be here: order. The planner issues
no command before what it depends on has answered, so commands of one pod follow each other and those of
different pods run side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from minikubelet.core.commands import (
    AnyCommand,
    CreateMirror,
    DeleteApiPod,
    DeleteMirror,
    PublishStatus,
    RuntimeCommand,
    WakeAt,
)
from minikubelet.core.events import AnyEvent
from minikubelet.ports.outboxport import Outbox
from minikubelet.shell.effects import Effects
from minikubelet.shell.timers import Timers


class Dispatcher:
    """Starts effects inside a task group: a bug in one of them ends the agent loudly."""

    def __init__(
        self, effects: Effects, timers: Timers, outbox: Outbox, put: Callable[[AnyEvent], None]
    ) -> None:
        self._effects = effects
        self._timers = timers
        self._outbox = outbox
        self._put = put
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Hold the tasks until cancelled; containers go on, and the next life of the agent looks at them."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def dispatch(self, command: AnyCommand, decided: int) -> None:
        """Let a command begin that was decided upon at that moment; returns at once."""
        match command:
            case WakeAt():
                self._timers.arm(command, decided)
            case PublishStatus() | CreateMirror() | DeleteMirror() | DeleteApiPod():
                self._outbox.put(command)
            case _:
                self._begin(command)

    def _begin(self, command: RuntimeCommand) -> None:
        if self._group is None:
            raise RuntimeError("the dispatcher does not run")
        self._group.create_task(self._carry_out(command))

    async def _carry_out(self, command: RuntimeCommand) -> None:
        self._put(await self._effects.carry_out(command))
