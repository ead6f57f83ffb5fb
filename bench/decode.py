"""How fast bytes become pods and records: manifests (YAML and JSON), API objects, statuses, events.

`manifest` is all that a file passes: parsing with positions, fitting into the model, checking, defaults, uid.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import msgspec
import yaml

from bench._podfiles import Folder
from bench._results import say, show
from bench._streams import Node
from bench._timing import timed
from minikubelet.core.commands import PublishStatus
from minikubelet.core.events import AnyEvent, PodSet
from minikubelet.wire.manifest import read_manifest
from minikubelet.wire.pod_codec import decode_pod, encode_pod
from minikubelet.wire.records import decode_event, encode_command, encode_event


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench decode", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="(default 5)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    text = Folder.text_of("web", 1, probe='{"httpGet": {"path": "/", "port": 80}}')
    spelled = yaml.safe_dump(json.loads(text))
    event, command = _records(text)
    shown = json.dumps(encode_pod(event.pod, command.status))
    found = decode_pod(json.loads(shown)).pod
    kept = encode_event(event)
    say("decoding …")
    works: dict[str, Any] = {
        "manifest, YAML": lambda: _read(spelled.encode()),
        "manifest, JSON": lambda: _read(text.encode()),
        "API object to pod": lambda: decode_pod(json.loads(shown)),
        "pod to API object": lambda: encode_pod(found, command.status),
        "event to record": lambda: encode_event(event),
        "record to event": lambda: decode_event(msgspec.Raw(kept)),
        "status to record": lambda: encode_command(command),
    }
    show({name: timed(work, runs=options.runs) for name, work in works.items()}, options.output)
    return 0


def _read(data: bytes) -> None:
    reading = read_manifest(data, name="web.yaml", node_name="bench", namespace="bench")
    assert reading.ok, reading.verdicts


def _records(text: str) -> tuple[PodSet, PublishStatus]:
    """An event and a command as an agent writes them."""
    events: list[PodSet] = []
    commands: list[PublishStatus] = []

    def taken(_seq: int, _at: int, event: AnyEvent, decisions: list[Any]) -> None:
        if isinstance(event, PodSet):
            events.append(event)
        told = [each.command for each in decisions]
        commands.extend(each for each in told if isinstance(each, PublishStatus))

    node = Node(taken)
    node.start()
    node.offer(text, "web.yaml")
    return events[0], commands[-1]
