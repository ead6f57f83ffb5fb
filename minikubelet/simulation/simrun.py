"""Running a scenario: actions at their times, the judges after each, calm in the end, then quiet.

Belongs here: one run and its report. May not be here: many runs (`simcommand`), shrinking (`simshrink`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from minikubelet.simulation.simapiactions import API_ACTIONS, mend_api
from minikubelet.simulation.simbounds import at_rest
from minikubelet.simulation.simchange import one_change
from minikubelet.simulation.simdisk import SimDisk
from minikubelet.simulation.simfileactions import FILE_ACTIONS, mend_files
from minikubelet.simulation.simleftovers import Orphans
from minikubelet.simulation.simlife import replaced
from minikubelet.simulation.simliveness import astray, unsettled
from minikubelet.simulation.simloop import SECOND, LifeEnded, Stuck, VirtualLoop
from minikubelet.simulation.simmachine import MACHINE_ACTIONS, mend_machine
from minikubelet.simulation.simpatience import patience
from minikubelet.simulation.simpods import MARKED
from minikubelet.simulation.simscenario import Action, Kind, Scenario
from minikubelet.simulation.simwanted import NEVER
from minikubelet.simulation.simworld import Violation, World

LOOKS: Final = 2.0
QUIET: Final = 45.0
_IN_MILLISECONDS: Final = frozenset((Kind.AGENT_STOP, Kind.AGENT_KILL, Kind.POWER_LOSS))
_DISTURBING: Final = _IN_MILLISECONDS | {
    Kind.SANDBOX_DIE,
    Kind.VANISH,
    Kind.ENGINE_RESTART,
    Kind.ENGINE_DOWN,
    Kind.IMAGES_GONE,
    Kind.REGISTRY_DOWN,
    Kind.DISK_FULL,
    Kind.CLOCK_JUMP,
}
"""what may make a restart late"""


class Report(msgspec.Struct):
    """What came of a run. `events` were taken in, `seconds` are virtual, `digest` is of all journal files."""

    violations: list[Violation]
    events: int
    decisions: int
    lives: int
    seconds: float
    digest: str
    coverage: Counter[tuple[str, str]]
    transitions: Counter[tuple[str, str]]
    settled_after: float = 0.0


def run(scenario: Scenario, keep: Callable[[SimDisk], None] | None = None) -> Report:
    """Run a scenario to its end, or to the first broken promise; `keep` is given the disk that is left."""
    root = Path(tempfile.mkdtemp(prefix="minikubelet-sim-", dir=_memory()))
    loop = VirtualLoop()
    failures: list[str] = []
    loop.set_exception_handler(lambda _loop, context: failures.extend(_told(context)))
    try:
        asyncio.set_event_loop(None)
        world = World(scenario, root, loop)
        with silence(), replaced(world.folder, world.store):
            report = _report(world, loop)
        for text in failures:
            report.violations.append(Violation("no-crash", 0, text))
        if keep is not None:
            keep(world.disk)
        return report
    finally:
        loop.close()
        shutil.rmtree(root, ignore_errors=True)


def _memory() -> str | None:
    """Where files cost least: memory, where the machine has such a place."""
    place = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
    return str(place) if place.is_dir() else None


def _told(context: dict[str, Any]) -> list[str]:
    """What went wrong outside of all that somebody waits for; the end of a life is no news."""
    error = context.get("exception")
    return [] if isinstance(error, LifeEnded) else [f"{context.get('message', '')}: {error!r}"]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let the agent's log lines go nowhere: there would be thousands a second."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


async def act(world: World, action: Action) -> None:
    """Carry out one action."""
    found = FILE_ACTIONS.get(action.kind) or API_ACTIONS.get(action.kind) or MACHINE_ACTIONS.get(action.kind)
    if action.kind in _DISTURBING:
        longest = 30 + (max(0, action.number) if action.kind not in _IN_MILLISECONDS else 0)
        until = world.clock.now() + longest * SECOND
        world.safety.restarts.disturbed_until = max(world.safety.restarts.disturbed_until, until)
    if action.kind is Kind.API_HOUR:
        await _api_hour(world)
    elif found is None:
        await world.act_on_agent(action)
    else:
        found(world, action)


async def _api_hour(world: World) -> None:
    """The API server is gone for an hour, in which nothing else happens; it comes back as it was."""
    world.api.up = False
    world.api.break_watches()
    await asyncio.sleep(3600)
    world.api.up = True


def mend(world: World) -> None:
    """Nothing is broken any more, and nobody changes anything."""
    world.end_faults()
    mend_files(world)
    mend_api(world)
    mend_machine(world)


def _report(world: World, loop: VirtualLoop) -> Report:
    """Let a world run, be it until nothing in it ever happens again."""
    main, settled = loop.create_task(_run(world)), 0.0
    try:
        settled = loop.run_until_complete(main)
    except Stuck as stuck:
        world.fail("no-hang", str(stuck))
    except Exception as error:  # noqa: BLE001 - one seed in which a judge errs must not end all others
        where = traceback.extract_tb(error.__traceback__)[-1]
        world.fail(
            "no-error", f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        )
    seconds = loop.time()
    loop.run_until_complete(world.quiesce())
    main.cancel()
    loop.run_until_complete(asyncio.wait([main]))
    return Report(
        violations=world.violations[:1],
        events=world.events,
        decisions=world.decisions,
        lives=world.lives,
        seconds=seconds,
        digest=_digest(world.disk),
        coverage=world.coverage.pairs,
        transitions=world.coverage.transitions,
        settled_after=settled,
    )


async def _run(world: World) -> float:
    """Carry out the scenario; how long it took after the faults until all was as wanted."""
    world.engine.settle_stranger()
    actions = sorted(world.scenario.actions, key=lambda each: each.at)
    loop = asyncio.get_running_loop()
    for action in [each for each in actions if each.at == 0]:
        await act(world, action)
    world.begin_life()
    for action in [each for each in actions if each.at]:
        await asyncio.sleep(max(0.0, action.at / SECOND - loop.time()))
        if world.violations:
            return 0.0
        await act(world, action)
    if world.violations:
        return 0.0
    await asyncio.sleep(max(0.0, world.scenario.duration - loop.time()))
    return await _calm(world)


async def _calm(world: World) -> float:
    """Faults end: soon all is as wanted, and then nothing more is done."""
    mend(world)
    begun, allowed = asyncio.get_running_loop().time(), patience(world)
    orphans, left = Orphans(world), ["nothing was looked at yet"]
    while left and not world.violations:
        waited = asyncio.get_running_loop().time() - begun
        if waited > allowed:
            world.fail("liveness", f"{allowed:.0f} s after the faults ended: {'; '.join(left[:4])}")
            return waited
        await asyncio.sleep(LOOKS)
        left = list(unsettled(world))
        for text in orphans.look():
            world.fail("orphaned-mirror", text)
    settled = asyncio.get_running_loop().time() - begun
    if not world.violations:
        await _quiet(world)
    for name, content in world.disk.files().items():
        if MARKED.encode() in content:
            world.fail("no-secrets", f"{name} of the journal holds the value of a variable")
    if not world.violations:
        await one_change(world, _done)
    return settled


async def _quiet(world: World) -> None:
    await asyncio.sleep(LOOKS)
    before, timers = _done(world), world.timers
    await asyncio.sleep(QUIET)
    after = _done(world)
    if before != after:
        more = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
        world.fail("quiet", f"all is as wanted, and yet the agent does more: {more}")
    armed, containers = world.timers - timers, sum(len(each.hashes) for each in world.book.pods.values())
    if armed > containers:  # each may have had a moment to come, though it brings nothing any more
        world.fail(
            "quiet", f"all is as wanted, and {armed} timers were armed since, of {containers} containers"
        )
    left = list(astray(world))
    if left and not world.violations:
        world.fail("liveness", f"it did not last: {'; '.join(left[:4])}")
    if world.agent is not None and not world.violations:
        every = world.book.pods.values()
        gone = {each.uid for each in every if each.gone_since != NEVER}
        at_rest(world.agent, [each for each in every if each.uid not in gone], gone, world.fail)


def _done(world: World) -> dict[str, int]:
    calls = {f"api {verb}": count for verb, count in world.api.calls.items()}
    return {**calls, **world.engine.calls, "decisions": world.decisions - world.timers}


def _digest(disk: SimDisk) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(disk.files().items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
