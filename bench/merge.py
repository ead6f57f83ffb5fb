"""How fast definitions are taken in: a look at the folder into facts, and facts into a pod's generations.

`look` is the pure part of the file source, for folders of so many files in which one, or all, changed;
`merge` is the core's, for an edit, and for a definition that says nothing new.
"""

from __future__ import annotations

import argparse
from typing import Any

from bench._podfiles import Folder
from bench._results import say, show
from bench._streams import Node
from bench._timing import timed
from minikubelet.core.events import PodSet
from minikubelet.core.merge import merge
from minikubelet.core.state import Moment, Slot
from minikubelet.sources.manifestadvance import advance
from minikubelet.sources.manifestreading import manifest_reader
from minikubelet.sources.manifestset import Entry, Listing, Loaded, ManifestState, Same

_FILES = (10, 100, 1000)


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench merge", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="(default 5)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    for files in _FILES:
        say(f"a folder of {files} files …")
        results |= _looks(files, options.runs)
    say("merging …")
    results |= _merges(options.runs)
    show(results, options.output)
    return 0


def _looks(files: int, runs: int) -> dict[str, Any]:
    reader = manifest_reader(node_name="bench", namespace="bench")

    def loaded(number: int, generation: int) -> Loaded:
        text = Folder.text_of(f"pod-{number}", generation).encode()
        return Loaded(f"{number:05}.yaml", f"sha256:{number}-{generation}", reader(text, f"{number:05}.yaml"))

    first = tuple(loaded(number, 1) for number in range(files))
    one: tuple[Entry, ...] = (loaded(0, 2), *(Same(each.name) for each in first[1:]))
    state, _ = advance(ManifestState("bench"), Listing(first), now="t0")
    return {
        f"look {files} files, one changed": timed(lambda: advance(state, Listing(one), now="t1"), runs=runs),
        f"look {files} files, all new": timed(
            lambda: advance(ManifestState("bench"), Listing(first), now="t0"), items=files, runs=runs
        ),
    }


def _merges(runs: int) -> dict[str, Any]:
    offers: list[PodSet] = []

    def taken(_seq: int, _at: int, event: object, _decisions: object) -> None:
        if isinstance(event, PodSet):
            offers.append(event)

    node = Node(taken)
    node.start()
    for generation in (1, 2):
        node.offer(Folder.text_of("web", generation), "web.yaml")
    slot = merge(Slot(offers[0].slot), offers[0], Moment(1, 1))
    return {
        "merge an edit": timed(lambda: merge(slot, offers[1], Moment(2, 2)), runs=runs),
        "merge what is known": timed(lambda: merge(slot, offers[0], Moment(2, 2)), runs=runs),
    }
