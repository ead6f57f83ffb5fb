"""A timeline as a trace for ui.perfetto.dev: Chrome's JSON trace format, with flows from causes to decisions.

Belongs here: the format. May not be here: which records there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from minikubelet.replay.replayerrors import write_text
from minikubelet.replay.timelinebars import Bars
from minikubelet.replay.timelinerows import Row

_MARK = 1
"""µs that a mark lasts: flows can only be bound to slices"""


def write_trace(path: Path, node: str, rows: list[Row], bars: Bars, damage: Iterable[str] = ()) -> None:
    """Write the trace; a process a pod, a thread a container. Raises ReplayError.

    What is damaged in the journal stands in its metadata, which the page shows under "Info and stats".
    """
    events = list(trace_events(node, rows, bars))
    text = ",\n".join(msgspec.json.encode(event).decode() for event in events)
    write_text(path, f'{{"displayTimeUnit":"ms","otherData":{_data(damage)},"traceEvents":[\n{text}\n]}}\n')


def _data(damage: Iterable[str]) -> str:
    return msgspec.json.encode({f"damage {n}": text for n, text in enumerate(damage, 1)}).decode()


def trace_events(node: str, rows: list[Row], bars: Bars) -> Iterator[dict[str, Any]]:
    """Names of lanes, bars, marks, and a flow for each cause."""
    lanes: dict[tuple[str, str], tuple[int, int]] = {}
    found = bars.within(min(row.at for row in rows), max(row.at for row in rows))
    slots = {row.slot for row in rows} | {bar.slot for bar in found}
    pids = {slot: n for n, slot in enumerate(dict.fromkeys(["", *sorted(slots)]), 1)}

    def lane(slot: str, container: str, marks: str) -> tuple[int, int]:
        key = (slot, f"{container or 'pod'} {marks}" if slot else marks)
        if key not in lanes:
            lanes[key] = (pids[slot], len(lanes) + 1)
        return lanes[key]

    for bar in found:
        pid, tid = lane(bar.slot, bar.container, "phase")
        yield {
            "ph": "X", "pid": pid, "tid": tid, "ts": bar.begins, "dur": max(bar.ends - bar.begins, _MARK),
            "name": bar.label, "cat": bar.look,
        }  # fmt: skip
    places: dict[int, tuple[int, int, int]] = {}
    for row in rows:
        pid, tid = lane(row.slot, row.container, "decisions" if row.decision else "events")
        places[row.seq] = (pid, tid, row.at)
        yield {
            "ph": "X", "pid": pid, "tid": tid, "ts": row.at, "dur": _MARK, "name": row.kind,
            "cat": "decision" if row.decision else "event",
            "args": {"seq": row.seq, "text": row.text, "causes": list(row.causes), "record": row.raw},
        }  # fmt: skip
        for cause in row.causes:
            if cause in places:
                yield from _flow(places[cause], places[row.seq], f"{cause}-{row.seq}")
    for slot, pid in pids.items():
        yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": slot or f"node {node}"}}
    for (_, name), (pid, tid) in lanes.items():
        yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": name}}


def _flow(cause: tuple[int, int, int], effect: tuple[int, int, int], name: str) -> Iterator[dict[str, Any]]:
    for phase, (pid, tid, at) in (("s", cause), ("f", effect)):
        flow: dict[str, Any] = {
            "ph": phase,
            "pid": pid,
            "tid": tid,
            "ts": at,
            "id": name,
            "name": "cause",
            "cat": "cause",
        }
        yield {**flow, "bp": "e"} if phase == "f" else flow
