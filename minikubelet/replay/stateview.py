"""`minikubelet state`: the pods as the agent saw them at a moment, as Kubernetes objects.

Belongs here: objects from the state, as YAML, JSON or a table. May not be here: finding the state (`whynot`
and `replayhistory` do), or differences (`historydiff`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import yaml

from minikubelet.core.project import project
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Generation, Moment
from minikubelet.model.ids import split_slot
from minikubelet.model.pod import ObjectMeta, Pod
from minikubelet.replay.replayerrors import NEGATIVE, OK, ReplayError, command
from minikubelet.replay.replaymoments import SECOND, clock, parse_moment, span
from minikubelet.replay.replaypaint import say
from minikubelet.replay.replaytale import journal_of, meant_by
from minikubelet.replay.standing import Stand, stand_at, tell
from minikubelet.wire.pod_codec import encode_pod
from minikubelet.wire.podcells import pod_cells

_COLUMNS = ("NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "STAGE", "UID")


@command
def run(options: argparse.Namespace) -> int:
    """Show the pods at a moment; 1 where there are none."""
    reader = journal_of(options)
    stand = stand_at(reader, parse_moment(options.at) if options.at else None)
    only, container = meant_by(options.pod, stand.seen, reader) if options.pod else ("", "")
    if container:
        raise ReplayError(f"{options.pod}: a state is that of a whole pod; leave /{container} out")
    tell(reader, stand)
    found = [gen for gen in generations(stand.reducer) if only in ("", gen.slot)]
    objects = [pod_object(gen, stand) for gen in found]
    if options.output == "table":
        _table(found, objects, stand)
    else:
        listed = (
            objects[0]
            if only and len(objects) == 1
            else {"apiVersion": "v1", "kind": "List", "items": objects}
        )
        say(as_yaml(listed) if options.output == "yaml" else _as_json(listed))
    if only and not found:
        sys.stderr.write(f"{only}: nothing is known of it at seq {stand.seq}, {clock(stand.at)} UTC\n")
    return OK if found else NEGATIVE


def generations(reducer: Reducer) -> Iterator[Generation]:
    """All pods, in the order of their slots, older generations first."""
    for key in sorted(reducer.slots):
        yield from reducer.slots[key].generations


def pod_object(gen: Generation, stand: Stand) -> dict[str, Any]:
    """A pod with its status as the API shows it; one that only the runtime knows has no spec."""
    namespace, name = split_slot(gen.slot)
    known = gen.pod or Pod(metadata=ObjectMeta(name=name, namespace=namespace, uid=gen.uid))
    status = project(gen, stand.reducer.node, Moment(stand.seq, stand.at))
    return encode_pod(known, status)


def as_yaml(value: object) -> str:
    """YAML in the order of the API's fields."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110).rstrip()


def _as_json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _table(found: list[Generation], objects: list[dict[str, Any]], stand: Stand) -> None:
    lines = [_COLUMNS]
    moment = datetime.fromtimestamp(stand.at / SECOND, UTC)
    for gen, pod in zip(found, objects, strict=True):
        namespace, name = split_slot(gen.slot)
        cells = pod_cells(pod, moment)
        age = span((stand.at - gen.born_at) // SECOND * SECOND).replace("0ms", "0s")
        lines.append(
            (namespace, name, cells.ready, cells.status, cells.restarts, age, gen.stage.value, gen.uid[:12])
        )
    widths = [max(len(line[n]) for line in lines) for n in range(len(_COLUMNS))]
    say(f"at seq {stand.seq}, {clock(stand.at)} UTC")
    for line in lines:
        say("   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
