"""`minikubelet why-not`: what holds back a start, a restart, readiness or a deletion.

Belongs here: finding the state and telling its guards. May not be here: the guards (`whyguards`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from minikubelet.core.state import Generation, Life, Slot, record_of
from minikubelet.model.ids import Source
from minikubelet.replay.podnaming import choose
from minikubelet.replay.replayerrors import NEGATIVE, OK, command
from minikubelet.replay.replaymoments import clock, parse_moment, span
from minikubelet.replay.replaypaint import say, say_json
from minikubelet.replay.replaytale import journal_of, meant_by
from minikubelet.replay.sentences import in_one_line, short
from minikubelet.replay.standing import Stand, stand_at, tell
from minikubelet.replay.whydeletion import of_deletion
from minikubelet.replay.whyguards import of_ready, of_start
from minikubelet.replay.whyscene import Scene, unlisted


class Held(msgspec.Struct, frozen=True):
    """What holds one pod back at a moment (`seq`, `at` in microseconds since the epoch)."""

    pod: str
    uid: str
    container: str
    stage: str
    action: str
    seq: int
    at: int
    guards: list[str]
    done: bool = False
    """what is asked for is so already"""


@command
def run(options: argparse.Namespace) -> int:
    """Tell the guards; 0 where something holds it back, 1 where nothing does.

    A pod of which nothing is known is held back from everything but its deletion.
    """
    reader = journal_of(options)
    stand = stand_at(reader, parse_moment(options.at) if options.at else None)
    last = stand.at
    if not options.at and reader.in_use():
        stand.at = max(last, time.time_ns() // 1000)
    name, container = meant_by(options.pod, stand.seen, reader)
    tell(reader, stand)
    slot = next((s for key, s in stand.reducer.slots.items() if key == name), None)
    found = list(_held(slot, stand, container, options.action)) if slot is not None else []
    if options.output == "json":
        say_json(found)
    else:
        _tell(name, _moment(stand, last, asked=bool(options.at)), found, stand)
    if not found:
        return OK if options.action != "delete" else NEGATIVE
    return OK if any(one.guards for one in found) else NEGATIVE


def _held(slot: Slot, stand: Stand, container: str, action: str) -> Iterator[Held]:
    scene = Scene(slot, stand.reducer.node, stand.at, stand.rejected, stand.probed)
    for gen in slot.generations:
        names = _names(gen, container) if gen is slot.generations[-1] or not container else []
        guards = list(dict.fromkeys(map(in_one_line, _guards(scene, gen, action, names))))
        done = action == "ready" and not guards and _is_ready(gen)
        yield Held(slot.key, gen.uid, container, gen.stage.value, action, stand.seq, stand.at, guards, done)


def _is_ready(gen: Generation) -> bool:
    told = gen.published.conditions if gen.published is not None else ()
    return any(each.type == "Ready" and each.status == "True" for each in told)


def _moment(stand: Stand, last: int, *, asked: bool) -> str:
    """Which moment the answer is for: the one asked for, now, or the end of a journal that nobody writes."""
    if stand.at > last and not asked:
        since = f"{span(stand.at - last)} after the journal's last event, seq {stand.seq}"
        return f"now, {clock(stand.at)} UTC, {since}"
    end = "" if asked else ", the journal's end"
    return f"at seq {stand.seq}, {clock(stand.at)} UTC{end}"


def _tell(name: str, moment: str, found: Iterable[Held], stand: Stand) -> None:
    say(f"{name} {moment}")
    if not found:
        say("  nothing is known of it at that moment: no source holds it and nothing of it is on the node")
        for source in unlisted(stand.reducer.node):
            say(f"    - {source} has not been listed yet: it may hold the pod")
    for one in found:
        say(f"  uid {short(one.uid)} ({one.stage})")
        for text in one.guards:
            say(f"    - {text}")
        if one.done:
            say("    it is ready")
        elif not one.guards:
            say(f"    nothing holds {_WORDS[one.action]} back: it follows with the next event, or is done")


_WORDS = {"start": "its start", "restart": "a restart", "ready": "readiness", "delete": "its deletion"}


def _names(gen: Generation, container: str) -> list[str]:
    defined = [c.name for c in gen.pod.spec.every_container] if gen.pod else []
    names = list(dict.fromkeys((*defined, *gen.containers)))
    return [choose(container, names, "container")] if container else defined


def _guards(scene: Scene, gen: Generation, action: str, names: list[str]) -> Iterable[str]:
    match action:
        case "delete":
            return of_deletion(scene, gen)
        case "ready":
            return of_ready(scene, gen, names)
        case "restart":
            ran = [name for name in names if record_of(gen, name).life is not Life.NEVER]
            return chain(_of_file(scene, gen), of_start(scene, gen, ran or names))
        case _:
            return chain(_of_file(scene, gen), of_start(scene, gen, names))


def _of_file(scene: Scene, gen: Generation) -> Iterator[str]:
    """A broken edit of its file holds nothing back, and what it says is not what runs."""
    file = gen.origin.partition("#")[0]
    if gen.source is Source.FILE and file in scene.rejected:
        yield f"{file} is rejected (see `minikubelet manifests`): the definition before it goes on"
