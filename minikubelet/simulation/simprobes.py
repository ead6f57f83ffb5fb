"""What containers answer to probes and hooks: well or ill, too late, or never well again.

Belongs here: the answers that the world draws. May not be here: who asks when, or what follows from an
answer, whose judge is `simprobejudge`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from minikubelet.model.pod import ProbeKind

FOR_GOOD: Final = 1 << 30
_WELL: Final = ("true",)
_ILL: Final = ("exit", "1")
_TOO_LATE: Final = ("sleep", "100")
_PROBE: Final = "probe"
_HOOK: Final = "hook"
_FIRST: Final[dict[ProbeKind, tuple[int, ...]]] = {
    ProbeKind.STARTUP: (0, 0, 1, 2, 9),
    ProbeKind.READINESS: (0, 0, 1),
    ProbeKind.LIVENESS: (0,),
}
"""how many of the first answers of an instance may be bad"""


def question(kind: ProbeKind) -> list[str]:
    """The command of a probe of that kind."""
    return [_PROBE, kind.value]


def hook(*words: str) -> list[str]:
    """The command of a hook that does what a script says."""
    return [_HOOK, *words]


class SimProbes:
    """The answers of every instance. `flaky` is the chance that a single answer is bad.

    `answered` is told of each answer that reached the agent, `asked` of each question, `failed` of hooks.
    """

    def __init__(self, seed: int, flaky: float) -> None:
        self.calm = False
        self.flaky = flaky
        self.asked: Callable[[str, ProbeKind], None] = lambda _id, _kind: None
        self.answered: Callable[[str, ProbeKind, bool], None] = lambda _id, _kind, _passed: None
        self.failed: Callable[[str], None] = lambda _id: None
        self._seed = seed
        self._counts: dict[tuple[str, ProbeKind], int] = {}
        self._bad: dict[tuple[str, ProbeKind], tuple[int, bool]] = {}

    def worsen(self, container_id: str, kind: ProbeKind, times: int, *, late: bool) -> None:
        """Let the next answers be bad: ill, or too late; FOR_GOOD until the instance has ended."""
        self._bad[container_id, kind] = (times, late)

    def recover(self, container_id: str, kind: ProbeKind) -> None:
        """Let the next answers be good."""
        self._bad.pop((container_id, kind), None)

    def is_ill(self, container_id: str, kind: ProbeKind) -> bool:
        """Whether an instance will never answer well again."""
        return self._bad.get((container_id, kind), (0, False))[0] > FOR_GOOD // 2

    def soothe(self) -> None:
        """All answers are good from now on, but of those that are ill for good."""
        self.calm = True
        self._bad = {key: bad for key, bad in self._bad.items() if bad[0] > FOR_GOOD // 2}

    def kind_of(self, command: Sequence[str]) -> ProbeKind | None:
        """Which probe a command is; None for none."""
        return ProbeKind(command[1]) if command[0] == _PROBE else None

    def words(self, container_id: str, kind: ProbeKind) -> tuple[str, ...]:
        """The script of the next answer."""
        key = container_id, kind
        count = self._counts[key] = self._counts.get(key, 0) + 1
        random = Random(f"{self._seed} probe {container_id} {kind.value} {count}")  # noqa: S311 - no secret
        if count == 1 and not self.calm and key not in self._bad:
            self._bad[key] = (random.choice(_FIRST[kind]), random.random() < 1 / 4)
        times, late = self._bad.get(key, (0, False))
        if times:
            self._bad[key] = (times - 1, late)
            return _TOO_LATE if late else _ILL
        return _ILL if not self.calm and random.random() < self.flaky else _WELL

    def hook_words(self, command: Sequence[str]) -> tuple[str, ...]:
        """What a hook, or any other command, does."""
        if command[0] != _HOOK:
            return tuple(command)
        return _WELL if self.calm else tuple(command[1:])
