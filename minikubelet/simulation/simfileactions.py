"""What happens to manifests: finished and half-written files, renames, permissions, the folder itself.

Belongs here: one function for each kind of action on files, by kind in `FILE_ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from minikubelet.simulation import simpods
from minikubelet.simulation.simscenario import Action, Kind
from minikubelet.simulation.simworld import World

_BACKUPS: Final = ("~", ".backup")


def _name(action: Action) -> str:
    return f"{action.target}.yaml"


def _put(world: World, action: Action) -> None:
    world.shapes[action.target] = action.detail
    content = simpods.manifest(action.target, action.detail, action.number)
    world.folder.replace(_name(action), content)


def _slow(world: World, action: Action) -> None:
    """Written in two parts, milliseconds or many seconds apart."""
    content = simpods.manifest(action.target, world.shapes.get(action.target, 0), action.number)
    world.folder.begin(_name(action), simpods.half(content))
    world.after(action.detail / 1000, lambda: world.folder.finish(_name(action), content))


def _break(world: World, action: Action) -> None:
    world.folder.replace(_name(action), simpods.broken(action.target, action.number))


def _remove(world: World, action: Action) -> None:
    world.folder.remove(_name(action))


def _rename(world: World, action: Action) -> None:
    world.folder.rename(_name(action), f"{action.target}-renamed.yaml")


def _backup(world: World, action: Action) -> None:
    """An editor moves the file aside and writes it anew."""
    found = world.folder.files.get(_name(action))
    if found is not None:
        content = found.content
        world.folder.rename(_name(action), f"{_name(action)}{_BACKUPS[action.number % len(_BACKUPS)]}")
        world.after(action.detail / 10, lambda: world.folder.replace(_name(action), content))


def _back(world: World, action: Action) -> None:
    """An edit, and soon the edit back: the pod of before is wanted again while it ends."""
    found = world.folder.files.get(_name(action))
    if found is not None:
        content = found.content
        edited = simpods.manifest(action.target, world.shapes.get(action.target, 0), action.number)
        world.folder.replace(_name(action), edited)
        world.after(action.detail / 1000, lambda: world.folder.replace(_name(action), content))


def _swap(world: World, action: Action) -> None:
    """The folder shows a ConfigMap: one link is exchanged, and every file is another."""
    contents = {}
    for name in sorted(world.folder.files):
        target = name.removesuffix(".yaml")
        if target in world.shapes:
            contents[name] = simpods.manifest(target, world.shapes[target], action.number)
    world.folder.swap(contents)


def _forbid(world: World, action: Action) -> None:
    world.folder.permit(_name(action), readable=False)
    world.after(action.detail, lambda: world.folder.permit(_name(action), readable=True))


def _gone(world: World, action: Action) -> None:
    world.folder.show(there=False)
    world.after(action.number, lambda: world.folder.show(there=True))


def _deaf(world: World, _action: Action) -> None:
    """The limits of inotify are exhausted, or not any more."""
    world.folder.deaf = not world.folder.deaf


FILE_ACTIONS: Final[dict[Kind, Callable[[World, Action], None]]] = {
    Kind.FILE_PUT: _put,
    Kind.FILE_SLOW: _slow,
    Kind.FILE_BREAK: _break,
    Kind.FILE_REMOVE: _remove,
    Kind.FILE_RENAME: _rename,
    Kind.FILE_BACKUP: _backup,
    Kind.FILE_BACK: _back,
    Kind.FILE_SWAP: _swap,
    Kind.FILE_FORBID: _forbid,
    Kind.FOLDER_GONE: _gone,
    Kind.FOLDER_DEAF: _deaf,
}


def mend_files(world: World) -> None:
    """Every manifest is whole and readable, each pod has one; what editors left stays beside them."""
    folder = world.folder
    folder.there, folder.deaf = True, False
    for name in sorted(folder.manifests()):
        target = name.removesuffix(".yaml").removesuffix("-renamed")
        if name.endswith("-renamed.yaml") and f"{target}.yaml" in folder.files:
            folder.files.pop(name)
            continue
        folder.files[name].readable = True
        if simpods.is_broken(folder.files[name].content):
            folder.files[name].content = simpods.manifest(target, world.shapes.get(target, 0), 1)
    for watch in folder.watches:
        watch.suspect()
