"""What happens at the API server: pods and mirrors changed by others, outages, lost watches and state.

Belongs here: one function for each kind of action on the API server, by kind in `API_ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from minikubelet.simulation import simpods
from minikubelet.simulation.simapi import ApiFaults
from minikubelet.simulation.simengine import NODE
from minikubelet.simulation.simscenario import Action, Kind
from minikubelet.simulation.simworld import World
from minikubelet.wire.podmarks import CONFIG_MIRROR


def _key(action: Action) -> str:
    return f"default/{action.target}"


def _mirror(action: Action) -> str:
    return f"{simpods.NAMESPACE}/{action.target}-{NODE}"


def _create(world: World, action: Action) -> None:
    world.shapes[action.target] = action.detail
    pod = simpods.api_pod(action.target, action.detail, action.number, NODE)
    world.api.put(_key(action), pod, fresh=True)


def _put(world: World, action: Action) -> None:
    if _key(action) not in world.api.pods:
        _create(world, action)


def _edit(world: World, action: Action) -> None:
    pod = world.api.pods.get(_key(action))
    if pod is not None:
        changed = simpods.api_pod(action.target, world.shapes[action.target], action.number, NODE)
        world.api.put(_key(action), {**pod, "spec": changed["spec"]}, fresh=False)


def _flurry(world: World, action: Action) -> None:
    """Several edits at once, of which only the last counts."""
    for number in range(action.number, action.number + 1 + action.detail % 3):
        _edit(world, replace(action, number=number))


def _delete(world: World, action: Action) -> None:
    world.api.mark_deleted(_key(action), action.number)


def _force(world: World, action: Action) -> None:
    world.api.drop(_key(action))


def _recreate(world: World, action: Action) -> None:
    world.api.drop(_key(action))
    _create(world, action)


def _touch_status(world: World, action: Action) -> None:
    pod = world.api.pods.get(_key(action))
    if pod is not None:
        status = {**(pod.get("status") or {}), "phase": "Unknown"}
        world.api.put(_key(action), {**pod, "status": status}, fresh=False)


def _mirror_delete(world: World, action: Action) -> None:
    if _mirror(action) in world.api.pods and action.number % 2:
        world.api.drop(_mirror(action))
    else:
        world.api.mark_deleted(_mirror(action), 30)


def _mirror_edit(world: World, action: Action) -> None:
    pod = world.api.pods.get(_mirror(action))
    if pod is not None:
        meta = pod["metadata"]
        marks = {**meta["annotations"], CONFIG_MIRROR: "edited"}
        world.api.put(_mirror(action), {**pod, "metadata": {**meta, "annotations": marks}}, fresh=False)


def _down(world: World, action: Action) -> None:
    def up() -> None:
        world.api.up = True

    world.api.up = False
    world.api.break_watches()
    world.after(action.number, up)


def _slow(world: World, action: Action) -> None:
    def quick() -> None:
        world.api.slow = 0.0

    world.api.slow = 3.0
    world.after(action.number, quick)


def _break(world: World, _action: Action) -> None:
    world.api.break_watches()


def _expire(world: World, _action: Action) -> None:
    world.api.expire()


def _lose(world: World, _action: Action) -> None:
    world.api.lose_state(world.random)


API_ACTIONS: Final[dict[Kind, Callable[[World, Action], None]]] = {
    Kind.API_PUT: _put,
    Kind.API_EDIT: _edit,
    Kind.API_FLURRY: _flurry,
    Kind.API_DELETE: _delete,
    Kind.API_FORCE: _force,
    Kind.API_RECREATE: _recreate,
    Kind.API_TOUCH_STATUS: _touch_status,
    Kind.MIRROR_DELETE: _mirror_delete,
    Kind.MIRROR_EDIT: _mirror_edit,
    Kind.API_DOWN: _down,
    Kind.API_SLOW: _slow,
    Kind.WATCH_BREAK: _break,
    Kind.WATCH_EXPIRE: _expire,
    Kind.API_LOSE: _lose,
}


def mend_api(world: World) -> None:
    """The server is there and kind."""
    world.api.up, world.api.slow, world.api.faults = True, 0.0, ApiFaults()
