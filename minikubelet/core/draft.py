"""Draft: the decisions of one step while they are being made.

Belongs here: collecting commands with their causes, the pending mark that each leaves, and the earliest
moment at which the slot has to be looked at again. May not be here: what to decide.
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core.backoff import RETRY_MAX, SECOND, longest_wait
from minikubelet.core.behaviours import Behaviour, Behaviours
from minikubelet.core.commands import (
    AnyCommand,
    Decision,
    RuntimeCommand,
    StartContainer,
    StartSandbox,
    StopContainer,
    lane_of,
)
from minikubelet.core.state import Generation, Moment, Pending


class Draft:
    """Collects what one step decides; it lives no longer than the step."""

    __slots__ = ("behaviours", "decisions", "now", "wake")

    def __init__(self, now: Moment, behaviours: Behaviours = ()) -> None:
        self.now = now
        self.behaviours = behaviours
        self.decisions: list[Decision] = []
        self.wake = 0

    def decide(self, command: AnyCommand, *causes: int) -> None:
        """Add a command; the event of the step is always among its causes."""
        known = {self.now.seq, *causes}
        known.discard(0)
        self.decisions.append(Decision(command, tuple(sorted(known))))

    def issue(self, gen: Generation, command: RuntimeCommand, *causes: int) -> Generation:
        """Add a runtime command and mark its lane as busy."""
        self.decide(command, *causes)
        return replace(gen, pending={**gen.pending, lane_of(command): self._pending(command)})

    def _pending(self, command: RuntimeCommand) -> Pending:
        kind, seq = type(command).__name__, self.now.seq
        match command:
            case StartSandbox():
                return Pending(kind, seq, attempt=command.attempt)
            case StartContainer():
                return Pending(kind, seq, attempt=command.attempt, target=command.sandbox_id)
            case StopContainer():
                until = self.now.at + command.grace * SECOND
                return Pending(kind, seq, until=until, target=command.container_id)
            case _:
                return Pending(kind, seq)

    def wake_by(self, at: int) -> None:
        """Look at the slot again at this moment, or before."""
        if self.wake == 0 or at < self.wake:
            self.wake = at

    def held_back(self, gen: Generation, lane: str) -> bool:
        """Whether the lane is busy, or waits after a failure (then the slot is woken at its end)."""
        if lane in gen.pending:
            return True
        retry = gen.retries.get(lane)
        if retry is None:
            return False
        exact = Behaviour.WAITS_BEGAN_BEFORE in self.behaviours
        longest = longest_wait(retry.tries) if exact else RETRY_MAX
        if not self.now.at < retry.until <= self.now.at + longest:
            return False
        self.wake_by(retry.until)
        return True
