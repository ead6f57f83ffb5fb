"""The judge of what is left over: at the engine and on the disk, of pods that nobody wants, or wants so.

Belongs here: what is there and should not be, and what should be on the disk and is not. May not be here:
what has to run or to be told (`simliveness`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Pod
from minikubelet.simulation.simengine import NODE
from minikubelet.simulation.simworld import World


def superfluous(world: World, wanted: Collection[PodUid]) -> Iterator[str]:
    """What is left though nobody wants its pod, or beside what took its place."""
    for sandbox in world.engine.sandboxes.values():
        if sandbox.node == NODE and sandbox.config.uid not in wanted:
            yield f"sandbox {sandbox.shown.id} is left, and nobody wants its pod"
    ours = [each for each in world.engine.containers.values() if each.node == NODE]
    newest = {(each.config.uid, each.config.name): each.config.attempt for each in ours}
    going = {
        each.config.uid for each in ours if each.runs
    }  # of what has finished all is kept to be looked at
    for id_, made in ((each.shown.id, each.config) for each in ours):
        if made.uid not in wanted:
            yield f"container {id_} is left, and nobody wants its pod"
        elif made.uid in going and newest[made.uid, made.name] != made.attempt:
            yield f"container {id_} is left beside a newer one"
    if not world.engine.stranger_lives():
        yield "a container of somebody else is gone"
    yield from _on_disk(world, wanted)


def _on_disk(world: World, wanted: Collection[PodUid]) -> Iterator[str]:
    pods = world.root / "pods"
    yield from (f"the definition of {uid} is not on the disk" for uid in wanted if not _kept(pods / uid))
    for left in sorted(pods.iterdir()) if pods.is_dir() else ():
        if left.name not in wanted:
            yield f"the directory {left.name} is left on the disk"


def _kept(directory: Path) -> bool:
    """Whether a definition can be read by the next life of the agent."""
    try:
        msgspec.json.decode((directory / "pod.json").read_bytes(), type=Pod)
    except (OSError, msgspec.DecodeError):
        return False
    return True
