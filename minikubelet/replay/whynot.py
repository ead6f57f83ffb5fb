"""`minikubelet why-not`: what holds back a start, a restart, readiness or a deletion.

Belongs here: finding the state and telling its guards. May not be here: the guards (`whyguards`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from minikubelet.core.state import Generation, Life, init_containers, main_containers, record_of
from minikubelet.replay.podnaming import choose, resolve
from minikubelet.replay.replayerrors import NEGATIVE, OK, command
from minikubelet.replay.replaymoments import clock, parse_moment
from minikubelet.replay.replaypaint import say
from minikubelet.replay.replaytale import journal_of, nodes_of
from minikubelet.replay.sentences import short
from minikubelet.replay.standing import stand_at
from minikubelet.replay.whyguards import Scene, of_deletion, of_ready, of_start


@command
def run(options: argparse.Namespace) -> int:
    """Tell the guards; 0 where something holds it back, 1 where nothing does."""
    reader = journal_of(options)
    stand = stand_at(reader, parse_moment(options.at) if options.at else None)
    reducer = stand.reducer
    name, container = resolve(options.pod, stand.seen, nodes_of(reader))
    slot = next((s for key, s in reducer.slots.items() if key == name), None)
    say(f"{name} at seq {stand.seq}, {clock(stand.at)} UTC")
    if slot is None or not slot.generations:
        say("  nothing is known of it at that moment: no source holds it and nothing of it is on the node")
        return OK if options.action != "delete" else NEGATIVE
    scene = Scene(slot, reducer.node, stand.at, stand.rejected, stand.probed)
    told = 0
    for gen in slot.generations:
        names = _names(gen, container) if gen is slot.generations[-1] or not container else []
        found = list(dict.fromkeys(_guards(scene, gen, options.action, names)))
        say(f"  uid {short(gen.uid)} ({gen.stage.value})")
        for text in found:
            say(f"    - {text}")
        if not found:
            say(
                f"    nothing holds {_WORDS[options.action]} back: it follows with the next event, or is done"
            )
        told += len(found)
    return OK if told else NEGATIVE


_WORDS = {"start": "its start", "restart": "a restart", "ready": "readiness", "delete": "its deletion"}


def _names(gen: Generation, container: str) -> list[str]:
    defined = [c.name for c in (*init_containers(gen), *main_containers(gen))]
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
            return of_start(scene, gen, ran or names)
        case _:
            return of_start(scene, gen, names)
