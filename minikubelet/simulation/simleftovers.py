"""The judge of what is left over: at the engine and on the disk, of pods that nobody wants, or wants so.

Belongs here: what is there and should not be (mirror pods as well), and what should be on the disk and is
not. May not be here: what has to run or to be told (`simliveness`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Pod
from minikubelet.simulation.simengine import NODE
from minikubelet.simulation.simloop import SECOND
from minikubelet.simulation.simwanted import NEVER
from minikubelet.simulation.simworld import World
from minikubelet.wire.podmarks import CONFIG_MIRROR

ORPHANED: Final = 30
"""virtual seconds"""


class Orphans:
    """Mirror pods without a static pod, each with the time at which nothing was left to be waited for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since: dict[tuple[str, str], int] = {}

    def look(self) -> Iterator[str]:
        """Those that have stayed for longer than a list of what runs takes, or a call that hangs."""
        world, now = self._world, self._world.clock.now()
        options = world.scenario.runtime
        most = (ORPHANED + (options.hang if options.hangs else 0.0)) * SECOND
        there = {
            (key, str(pod["metadata"]["uid"]))
            for key, pod in world.api.pods.items()
            if self._is_orphan(pod["metadata"].get("annotations") or {})
        }
        self._since = {each: self._since.get(each, now) for each in sorted(there)}
        for (key, uid), since in self._since.items():
            if now - since > most:
                yield f"the mirror {key} {uid} is there {(now - since) // SECOND} s after its pod had gone"

    def _is_orphan(self, marks: Mapping[str, str]) -> bool:
        world, uid = self._world, PodUid(marks.get(CONFIG_MIRROR, ""))
        wanted = world.book.pods.get(uid)
        sees = world.agent is not None and world.agent.reducer.node.listed
        if not uid or not sees or (wanted is not None and wanted.gone_since == NEVER):
            return False
        held = {each.config.uid for each in world.engine.sandboxes.values()}
        held |= {each.config.uid for each in world.engine.containers.values()}
        return uid not in held and not world.engine.under_way


def superfluous(world: World, wanted: Collection[PodUid]) -> Iterator[str]:
    """What is left though nobody wants its pod, or beside what took its place."""
    for sandbox in world.engine.sandboxes.values():
        if sandbox.node == NODE and sandbox.config.uid not in wanted:
            yield f"sandbox {sandbox.shown.id} is left, and nobody wants its pod"
    ours = [each for each in world.engine.containers.values() if each.node == NODE]
    newest = {(each.config.uid, each.config.name): each.config.attempt for each in ours}
    # Of what has finished all is kept to be looked at.
    going = {each.config.uid for each in ours if each.runs}
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
