"""A timeline as one HTML page that holds all it needs and asks no network.

Belongs here: packing rows and bars for the page. May not be here: drawing, which is in `timelinepage.html`.
Records are packed in blocks that the page unpacks only when one of them is looked at.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from minikubelet.replay.replayerrors import write_text
from minikubelet.replay.timelinebars import Bars
from minikubelet.replay.timelinerows import Row

_BLOCK = 500
"""records that are packed together"""


def write_page(path: Path, node: str, rows: list[Row], bars: Bars, damage: Iterable[str] = ()) -> None:
    """Write the page, which says what is damaged in the journal; raises ReplayError."""
    write_text(path, page(node, rows, bars, damage))


def page(node: str, rows: list[Row], bars: Bars, damage: Iterable[str]) -> str:
    """The page as text."""
    template = resources.files(__package__).joinpath("timelinepage.html").read_text(encoding="utf-8")
    blocks = [
        _packed([row.raw for row in rows[first : first + _BLOCK]]) for first in range(0, len(rows), _BLOCK)
    ]
    data = data_of(node, rows, bars) | {"damage": list(damage)}
    packed = {"data": _packed(data), "blocks": blocks, "block": _BLOCK}
    return template.replace("/*DATA*/null", msgspec.json.encode(packed).decode())


def data_of(node: str, rows: list[Row], bars: Bars) -> dict[str, Any]:
    """What the page draws: lanes, bars and marks, times in µs from the earliest."""
    start, end = min(row.at for row in rows), max(row.at for row in rows)
    found = bars.within(start, end)
    lanes = _lanes(rows, [(bar.slot, bar.container) for bar in found])
    kinds = {kind: n for n, kind in enumerate(dict.fromkeys(row.kind for row in rows))}
    return {
        "node": node,
        "start": start,
        "lanes": [list(lane) for lane in lanes],
        "kinds": list(kinds),
        "bars": [
            [lanes[bar.slot, bar.container], bar.begins - start, bar.ends - start, bar.look, bar.label]
            for bar in found
        ],
        "rows": [
            [
                row.seq,
                row.at - start,
                lanes[row.slot, row.container if (row.slot, row.container) in lanes else ""],
                int(row.decision),
                kinds[row.kind],
                row.uid,
                row.text,
                list(row.causes),
            ]
            for row in rows
        ],
    }


def _lanes(rows: list[Row], barred: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """A lane for the node, one a pod, and under it one a container, in the order in which they occur."""
    pods: dict[str, dict[str, None]] = {"": {}}
    for slot, container in (*((row.slot, row.container) for row in rows), *barred):
        containers = pods.setdefault(slot, {})
        if container:
            containers[container] = None
    order = [(slot, name) for slot, names in pods.items() for name in ("", *names)]
    return {lane: number for number, lane in enumerate(order)}


def _packed(value: Any) -> str:
    return base64.b64encode(gzip.compress(msgspec.json.encode(value), 6, mtime=0)).decode()
