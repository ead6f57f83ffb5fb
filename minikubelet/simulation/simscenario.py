"""Scenarios: what happens in the world and when, drawn from one seed, as plain data.

Belongs here: the kinds of actions, how likely each is, the faults of a scenario. May not be here: carrying
them out (`simworld`). A scenario is all that a run needs, so it can be kept, shrunk and run again.
"""

from __future__ import annotations

from enum import Enum
from random import Random
from typing import Final

import msgspec

from minikubelet.runtimes.simulated.simulatedoptions import SimulationOptions
from minikubelet.simulation.simapi import ApiFaults
from minikubelet.simulation.simpods import SHAPES


class Kind(Enum):
    """What the world can do. `target` is a pod, `number` a version, a code or seconds."""

    FILE_PUT = "file-put"
    FILE_SLOW = "file-slow"
    FILE_BREAK = "file-break"
    FILE_REMOVE = "file-remove"
    FILE_RENAME = "file-rename"
    FILE_BACKUP = "file-backup"
    FILE_BACK = "file-back"
    FILE_SWAP = "file-swap"
    FILE_FORBID = "file-forbid"
    FOLDER_GONE = "folder-gone"
    FOLDER_DEAF = "folder-deaf"
    API_PUT = "api-put"
    API_EDIT = "api-edit"
    API_FLURRY = "api-flurry"
    API_DELETE = "api-delete"
    API_FORCE = "api-force"
    API_RECREATE = "api-recreate"
    API_TOUCH_STATUS = "api-touch-status"
    MIRROR_DELETE = "mirror-delete"
    MIRROR_EDIT = "mirror-edit"
    API_DOWN = "api-down"
    API_SLOW = "api-slow"
    WATCH_BREAK = "watch-break"
    WATCH_EXPIRE = "watch-expire"
    API_LOSE = "api-lose"
    API_HOUR = "api-hour"
    EXIT = "exit"
    OOM = "oom"
    VANISH = "vanish"
    SANDBOX_DIE = "sandbox-die"
    ENGINE_RESTART = "engine-restart"
    ENGINE_DOWN = "engine-down"
    IMAGES_GONE = "images-gone"
    REGISTRY_DOWN = "registry-down"
    DISK_FULL = "disk-full"
    PROBE_FLAP = "probe-flap"
    PROBE_ILL = "probe-ill"
    PROBE_UNREADY = "probe-unready"
    CLOCK_JUMP = "clock-jump"
    AGENT_STOP = "agent-stop"
    AGENT_KILL = "agent-kill"
    POWER_LOSS = "power-loss"


class Action(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happens, `at` µs after the beginning. `detail` is another number where one is needed."""

    at: int
    kind: Kind
    target: str = ""
    number: int = 0
    detail: int = 0


class Scenario(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a run needs. `duration` and `slow_disk` in seconds; then everything is mended.

    `flaky` is the chance that an answer to a probe is bad, `ill` that of an instance that runs in the end to
    answer one of its probes ill for good.
    """

    seed: int
    duration: float
    actions: tuple[Action, ...]
    runtime: SimulationOptions = SimulationOptions()
    api: ApiFaults = ApiFaults()
    slow_disk: float = 0.0
    flaky: float = 0.0
    ill: float = 0.0
    journal_bytes: int = 1 << 22
    has_api: bool = True


GROUPS: Final[dict[str, dict[Kind, int]]] = {
    "files": {
        Kind.FILE_PUT: 9,
        Kind.FILE_SLOW: 3,
        Kind.FILE_BREAK: 4,
        Kind.FILE_REMOVE: 3,
        Kind.FILE_RENAME: 1,
        Kind.FILE_BACKUP: 1,
        Kind.FILE_BACK: 3,
        Kind.FILE_FORBID: 1,
        Kind.FOLDER_GONE: 1,
        Kind.FOLDER_DEAF: 1,
    },
    "pods": {
        Kind.API_PUT: 5,
        Kind.API_EDIT: 4,
        Kind.API_FLURRY: 3,
        Kind.API_DELETE: 4,
        Kind.API_FORCE: 2,
        Kind.API_RECREATE: 2,
        Kind.API_TOUCH_STATUS: 1,
        Kind.MIRROR_DELETE: 2,
        Kind.MIRROR_EDIT: 1,
    },
    "api": {
        Kind.API_DOWN: 2,
        Kind.API_SLOW: 1,
        Kind.WATCH_BREAK: 2,
        Kind.WATCH_EXPIRE: 1,
        Kind.API_LOSE: 1,
    },
    "containers": {Kind.EXIT: 6, Kind.OOM: 1, Kind.VANISH: 1, Kind.SANDBOX_DIE: 2},
    "probes": {Kind.PROBE_FLAP: 3, Kind.PROBE_ILL: 2, Kind.PROBE_UNREADY: 2},
    "runtime": {Kind.ENGINE_RESTART: 1, Kind.ENGINE_DOWN: 1, Kind.IMAGES_GONE: 1, Kind.REGISTRY_DOWN: 2},
    "events": {},
    "disk": {Kind.DISK_FULL: 2},
    "clock": {Kind.CLOCK_JUMP: 1},
    "crash": {Kind.AGENT_STOP: 1, Kind.AGENT_KILL: 4, Kind.POWER_LOSS: 2},
}
"""Groups of faults by the name that `--faults` knows, with the weight of each kind of action."""

_OUTAGES: Final = (1, 3, 10, 30)
_DOWN: Final = (0, 10, 500, 5000, 20000)
_NUMBERS: Final[dict[Kind, tuple[int, ...]]] = {
    Kind.API_DOWN: _OUTAGES,
    Kind.API_SLOW: _OUTAGES,
    Kind.FOLDER_GONE: _OUTAGES,
    Kind.ENGINE_DOWN: _OUTAGES,
    Kind.REGISTRY_DOWN: _OUTAGES,
    Kind.DISK_FULL: _OUTAGES,
    Kind.API_DELETE: (0, 1, 3, 8, 30),
    Kind.EXIT: (0, 0, 1, 1, 2, 137),
    Kind.CLOCK_JUMP: (-3600, -300, -120, -30, -1, 1, 30, 120, 3600),
    Kind.PROBE_FLAP: (1, 2, 3, 4),
    Kind.PROBE_UNREADY: (0, 2, 10),
    Kind.AGENT_STOP: _DOWN,
    Kind.AGENT_KILL: _DOWN,
    Kind.POWER_LOSS: _DOWN,
}
"""what `number` may be where it is more than a version: seconds, codes, milliseconds"""
_DETAILS: Final[dict[Kind, tuple[int, ...]]] = {
    Kind.FILE_BACK: (1, 20, 100, 500, 1500, 3000),
    Kind.FILE_SLOW: (5, 50, 900, 5000, 15000),
}
"""milliseconds"""
_HOURS: Final = 1 / 64
"""how many of the scenarios have an outage of an hour"""
_LINKED: Final = 1 / 4
"""how many of the folders show a ConfigMap"""
_CHANGES: Final = (
    Kind.FILE_PUT,
    Kind.FILE_BACK,
    Kind.FILE_REMOVE,
    Kind.API_EDIT,
    Kind.API_FLURRY,
    Kind.API_DELETE,
    Kind.API_RECREATE,
    Kind.MIRROR_DELETE,
    Kind.EXIT,
)


def scenario(seed: int, *, duration: float, pods: int, faults: tuple[str, ...]) -> Scenario:
    """The scenario of a seed; `faults` are names of GROUPS."""
    random = Random(f"{seed} scenario")  # noqa: S311 - no secret
    weights = {kind: weight for name in faults for kind, weight in GROUPS[name].items()}
    actions = _first(random, pods, api="pods" in faults)
    count = int(duration * random.choice((0.5, 1, 3))) if weights else 0
    # Bursts: what happens within milliseconds of another thing finds other races than what happens alone.
    at = 0
    for _ in range(count):
        step = random.choice((0.0, 0.001, 0.05, 1.0)) if random.random() < 1 / 2 else 2 * duration / count
        at += int(step * random.random() * 1_000_000)
        if at >= duration * 1_000_000:
            break
        kind = random.choices(list(weights), list(weights.values()))[0]
        actions.append(_action(random, kind, at, pods))
    actions += _closing(random, duration, pods, weights)
    if "files" in faults and random.random() < _LINKED:
        actions += [_action(random, Kind.FILE_SWAP, int(duration * part), pods) for part in (3e5, 7e5)]
    if "api" in faults and random.random() < _HOURS:
        actions.append(Action(int(duration * 500_000), Kind.API_HOUR))
    return Scenario(
        seed=seed,
        duration=duration,
        actions=tuple(actions),
        runtime=_runtime(random, seed, faults),
        api=_api(random, faults),
        slow_disk=random.choice((0.0, 0.001, 0.05)) if "disk" in faults else 0.0,
        flaky=random.choice((0.0, 0.1, 0.4)) if "probes" in faults else 0.0,
        ill=0.3 if "probes" in faults else 0.0,
        has_api=random.random() < 7 / 8,
        journal_bytes=random.choice((1 << 22, 1 << 16)) if weights else 1 << 22,
    )


def _first(random: Random, pods: int, *, api: bool) -> list[Action]:
    """What is there when the agent starts."""
    names = [(Kind.FILE_PUT, f"s{number}") for number in range(random.randint(1, pods))]
    if api:
        names += [(Kind.API_PUT, f"a{number}") for number in range(random.randint(0, pods - 1))]
    return [Action(0, kind, name, random.randrange(4), random.randrange(SHAPES)) for kind, name in names]


def _closing(random: Random, duration: float, pods: int, weights: dict[Kind, int]) -> list[Action]:
    """A few changes within milliseconds just before the faults end: what they leave behind is judged then."""
    kinds = [kind for kind in _CHANGES if kind in weights]
    if not kinds:
        return []
    at, target = int(duration * 1_000_000) - 300_000, random.randrange(pods)
    closing = []
    for _ in range(random.choice((0, 0, 1, 3))):
        at += int(random.choice((0.0, 0.001, 0.05)) * random.random() * 1_000_000)
        closing.append(_action(random, random.choice(kinds), at, pods, target))
    return closing


def _action(random: Random, kind: Kind, at: int, pods: int, pod: int | None = None) -> Action:
    number, detail = random.randrange(4), random.randrange(SHAPES)
    pod = random.randrange(pods) if pod is None else pod
    target = f"a{pod}" if kind.value.startswith("api-") else f"s{pod}"
    number = random.choice(_NUMBERS[kind]) if kind in _NUMBERS else number
    detail = random.choice(_DETAILS[kind]) if kind in _DETAILS else detail
    if kind in (Kind.AGENT_STOP, Kind.AGENT_KILL, Kind.POWER_LOSS):
        detail = random.randrange(1 << 16)
    return Action(at, kind, target, number, detail)


def _runtime(random: Random, seed: int, faults: tuple[str, ...]) -> SimulationOptions:
    rough = "runtime" in faults and random.random() < 3 / 4
    deaf = "events" in faults and random.random() < 3 / 4
    return SimulationOptions(
        seed=seed,
        latency=random.choice((0.001, 0.02, 0.2)) if rough else 0.01,
        tail=0.05 if rough else 0.0,
        faults=random.choice((0.0, 0.02, 0.15)) if rough else 0.0,
        hangs=random.choice((0.0, 0.005)) if rough else 0.0,
        hang=45.0,
        lost=random.choice((0.0, 0.3, 1.0)) if deaf else 0.0,
        doubled=random.choice((0.0, 0.3)) if deaf else 0.0,
        late=random.choice((0.0, 0.3)) if deaf else 0.0,
        delay=5.0,
    )


def _api(random: Random, faults: tuple[str, ...]) -> ApiFaults:
    if "api" not in faults or random.random() < 1 / 4:
        return ApiFaults()
    return ApiFaults(
        latency=random.choice((0.002, 0.05, 0.5)),
        unreachable=random.choice((0.0, 0.1)),
        lost_answer=random.choice((0.0, 0.05)),
        conflict=random.choice((0.0, 0.1)),
        throttled=random.choice((0.0, 0.1)),
        broken_watch=random.choice((0.0, 0.1)),
    )
