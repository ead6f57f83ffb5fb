"""Failures: what a command that the runtime refused is as an event.

Belongs here: one event for each kind of command. May not be here: trying again (`core.backoff`).
"""

from __future__ import annotations

from minikubelet.core.commands import RuntimeCommand, StartContainer, StartSandbox, lane_of
from minikubelet.core.events import CommandFailed, ContainerStartFailed, ResultEvent, SandboxStartFailed
from minikubelet.ports.runtimeport import RuntimeFault


def failure(command: RuntimeCommand, fault: RuntimeFault, message: str, made_from: str = "") -> ResultEvent:
    """The event for a fault; `message` is the fault's, redacted.

    `made_from` is the hash of the definition of a container that was made and could not be started.
    """
    match command:
        case StartSandbox():
            return SandboxStartFailed(
                slot=command.slot,
                uid=command.uid,
                attempt=command.attempt,
                reason=fault.reason,
                message=message,
            )
        case StartContainer():
            return ContainerStartFailed(
                slot=command.slot,
                uid=command.uid,
                container=command.container,
                attempt=command.attempt,
                reason=fault.reason,
                message=message,
                container_id=fault.container_id,
                exit_code=128 if fault.exit_code is None else fault.exit_code,
                hash=made_from,
                ended=fault.ended,
            )
        case _:
            return CommandFailed(
                slot=command.slot,
                uid=command.uid,
                lane=lane_of(command),
                command=type(command).__name__,
                reason=fault.reason,
                message=message,
            )
