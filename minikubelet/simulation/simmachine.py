"""What happens on the machine: containers end, the engine fails, the disk fills, the clock is set.

Belongs here: one function for each kind of action on engine, disk and clock, by kind in `MACHINE_ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from minikubelet.core.probes import probe_of
from minikubelet.model.pod import ProbeKind
from minikubelet.runtimes.simulated.simulatedscript import KILLED
from minikubelet.simulation.simengine import Instance, behaved
from minikubelet.simulation.simloop import SECOND
from minikubelet.simulation.simprobes import FOR_GOOD
from minikubelet.simulation.simscenario import Action, Kind
from minikubelet.simulation.simworld import World


def _chosen(world: World, action: Action) -> Instance | None:
    running = [each for each in world.engine.running() if each.uid != "stranger"]
    return running[action.detail % len(running)] if running else None


def _exit(world: World, action: Action) -> None:
    chosen = _chosen(world, action)
    if chosen is not None:
        world.engine.exit(chosen.id, action.number)


def _oom(world: World, action: Action) -> None:
    chosen = _chosen(world, action)
    if chosen is not None:
        world.engine.exit(chosen.id, KILLED, "OOMKilled")


def _vanish(world: World, action: Action) -> None:
    """A container is removed by somebody else; that it was killed for that may be seen, or not."""
    chosen = _chosen(world, action)
    if chosen is None:
        return
    if action.number:
        world.engine.exit(chosen.id, KILLED)
        world.after(action.number / 1000, lambda: world.engine.lose(chosen.id))
    else:
        world.engine.lose(chosen.id)


def _sandbox_die(world: World, action: Action) -> None:
    """A sandbox is killed or removed by somebody else; the containers in it go on."""
    chosen = _chosen(world, action)
    if chosen is None or chosen.sandbox_id not in world.engine.sandboxes:
        return
    if action.number:
        world.engine.kill_sandbox(chosen.sandbox_id)
    else:
        world.engine.lose_sandbox(chosen.sandbox_id)


def _cut(world: World, _action: Action) -> None:
    """The engine restarts and keeps its containers: every stream of events ends."""
    if world.agent is not None:
        world.agent.runtime.abandon()


def _engine_down(world: World, action: Action) -> None:
    def up() -> None:
        world.draws.down = False

    world.draws.down = True
    _cut(world, action)
    world.after(action.number, up)


def _asked(world: World, action: Action, kinds: tuple[ProbeKind, ...]) -> tuple[str, ProbeKind] | None:
    """One of the running containers that have one of these probes, and which."""
    found = _open(world, kinds)
    return found[action.detail % len(found)] if found else None


def _open(world: World, kinds: tuple[ProbeKind, ...]) -> list[tuple[str, ProbeKind]]:
    """Every probe of these kinds that a running container has, start-up only where it has not passed."""
    found = []
    for instance in world.engine.running():
        wanted = world.book.pods.get(instance.uid)
        for container in wanted.pod.spec.containers if wanted is not None else ():
            if container.name != instance.name:
                continue
            over = ProbeKind.STARTUP if world.probe_judge.started(instance) else None
            here = [kind for kind in kinds if kind is not over and probe_of(container, kind) is not None]
            found += [(instance.id, kind) for kind in here]
    return found


def _probe_flap(world: World, action: Action) -> None:
    """A few bad answers, which may be too few to count."""
    chosen = _asked(world, action, tuple(ProbeKind))
    if chosen is not None:
        world.probes.worsen(*chosen, action.number, late=action.detail % 3 == 0)


def _probe_ill(world: World, action: Action) -> None:
    """Nothing but bad answers from now on: only a new instance helps."""
    chosen = _asked(world, action, (ProbeKind.LIVENESS, ProbeKind.STARTUP))
    if chosen is not None:
        world.probes.worsen(*chosen, FOR_GOOD, late=action.detail % 3 == 0)


def _probe_unready(world: World, action: Action) -> None:
    """It runs, and is not ready any more, or only after so many seconds."""
    chosen = _asked(world, action, (ProbeKind.READINESS,))
    if chosen is not None:
        world.probes.worsen(*chosen, FOR_GOOD, late=action.detail % 3 == 0)
        if action.number:
            world.after(action.number, lambda: world.probes.recover(*chosen))


def _registry_down(world: World, action: Action) -> None:
    """Images are missing, and cannot be pulled for a while."""

    def up() -> None:
        world.draws.no_pulls = False

    world.draws.no_pulls = True
    world.engine.images.clear()
    world.after(action.number, up)


def _images_gone(world: World, _action: Action) -> None:
    world.engine.images.clear()


def _disk_full(world: World, action: Action) -> None:
    def room() -> None:
        world.disk.full = False

    world.disk.full = True
    world.after(action.number, room)


def _clock_jump(world: World, action: Action) -> None:
    world.engine.set_clock(world.agent_clock, action.number * SECOND)
    now = world.clock.now()
    world.safety.jumped_at = world.safety.restarts.jumped_at = world.safety.graces.jumped_at = now
    world.probe_judge.jumped = world.coherence.jumped = True


MACHINE_ACTIONS: Final[dict[Kind, Callable[[World, Action], None]]] = {
    Kind.EXIT: _exit,
    Kind.OOM: _oom,
    Kind.VANISH: _vanish,
    Kind.SANDBOX_DIE: _sandbox_die,
    Kind.ENGINE_RESTART: _cut,
    Kind.ENGINE_DOWN: _engine_down,
    Kind.IMAGES_GONE: _images_gone,
    Kind.REGISTRY_DOWN: _registry_down,
    Kind.PROBE_FLAP: _probe_flap,
    Kind.PROBE_ILL: _probe_ill,
    Kind.PROBE_UNREADY: _probe_unready,
    Kind.DISK_FULL: _disk_full,
    Kind.CLOCK_JUMP: _clock_jump,
}


def mend_machine(world: World) -> None:
    """The disk has room, the engine answers, and programs that failed run from now on."""
    world.disk.full = False
    world.draws.calm, world.draws.down, world.draws.no_pulls = True, False, False
    world.engine.calm = True
    world.probes.soothe()
    for asked in _open(world, (ProbeKind.LIVENESS, ProbeKind.READINESS)):
        if world.random.random() < world.scenario.ill:
            world.probes.worsen(*asked, FOR_GOOD, late=world.random.random() < 1 / 2)
    for container in world.engine.containers.values():
        mended = behaved(container.script)
        instance = world.engine.latest(container.shown.id)
        stopping = instance is not None and instance.signalled_at
        if mended != container.script and mended.seconds is None and not stopping:
            container.ends_at = None
        container.script = mended
