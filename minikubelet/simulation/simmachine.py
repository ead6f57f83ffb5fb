"""What happens on the machine: containers end, the engine fails, the disk fills, the clock is set.

Belongs here: one function for each kind of action on engine, disk and clock, by kind in `MACHINE_ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from minikubelet.simulation.simengine import Instance, behaved
from minikubelet.simulation.simloop import SECOND
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
        world.engine.exit(chosen.id, 137, "OOMKilled")


def _vanish(world: World, action: Action) -> None:
    chosen = _chosen(world, action)
    if chosen is not None:
        world.engine.lose(chosen.id)


def _sandbox_die(world: World, action: Action) -> None:
    chosen = _chosen(world, action)
    if chosen is not None:
        world.engine.kill_sandbox(chosen.sandbox_id)


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


def _images_gone(world: World, _action: Action) -> None:
    world.engine.images.clear()


def _disk_full(world: World, action: Action) -> None:
    def room() -> None:
        world.disk.full = False

    world.disk.full = True
    world.after(action.number, room)


def _clock_jump(world: World, action: Action) -> None:
    world.engine.set_clock(world.agent_clock, action.number * SECOND)
    world.safety.jumped_at = world.safety.restarts.jumped_at = world.clock.now()


MACHINE_ACTIONS: Final[dict[Kind, Callable[[World, Action], None]]] = {
    Kind.EXIT: _exit,
    Kind.OOM: _oom,
    Kind.VANISH: _vanish,
    Kind.SANDBOX_DIE: _sandbox_die,
    Kind.ENGINE_RESTART: _cut,
    Kind.ENGINE_DOWN: _engine_down,
    Kind.IMAGES_GONE: _images_gone,
    Kind.DISK_FULL: _disk_full,
    Kind.CLOCK_JUMP: _clock_jump,
}


def mend_machine(world: World) -> None:
    """The disk has room, the engine answers, and programs that failed run from now on."""
    world.disk.full = False
    world.draws.calm, world.draws.down = True, False
    world.engine.calm = True
    for container in world.engine.containers.values():
        mended = behaved(container.script)
        instance = world.engine.latest(container.shown.id)
        stopping = instance is not None and instance.signalled_at
        if mended != container.script and mended.seconds is None and not stopping:
            container.ends_at = None
        container.script = mended
