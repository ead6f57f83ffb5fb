"""The live table: pods on a terminal as `kubectl get pods -w` shows them.

Belongs here: columns and redrawing. May not be here: what the values mean. Shared with `minikubelet pods`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any, TextIO

from minikubelet.wire.podcells import pod_cells, since

INTERVAL = 0.5
HEADER = ("NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE")
WIDE = ("IP", "NODE", "UID")


def rows_of(pods: dict[str, Any], *, wide: bool = False) -> list[tuple[str, ...]]:
    """The rows of a PodList, header first."""
    now = dt.datetime.now(dt.UTC)
    rows: list[tuple[str, ...]] = [HEADER + (WIDE if wide else ())]
    for pod in pods["items"]:
        meta, status = pod["metadata"], pod.get("status", {})
        cells = pod_cells(pod, now)
        row: tuple[str, ...] = (
            meta.get("namespace", ""),
            meta["name"],
            cells.ready,
            cells.status or "Unknown",
            cells.restarts,
            since(status.get("startTime"), now),
        )
        if wide:
            row += (status.get("podIP", "<none>"), pod["spec"].get("nodeName", ""), meta.get("uid", ""))
        rows.append(row)
    return rows


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as lines with columns three blanks apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


class LiveTable:
    """Prints the lines that changed, the header once."""

    def __init__(self, pods: Callable[[], dict[str, Any]], out: TextIO) -> None:
        self._pods = pods
        self._out = out
        self._shown: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._said_header = False

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            self.draw()
            await asyncio.sleep(INTERVAL)

    def draw(self) -> None:
        """Print what changed since the last call, ages aside."""
        rows = rows_of(self._pods())
        lines = aligned(rows)
        changed = [
            line
            for row, line in zip(rows[1:], lines[1:], strict=True)
            if self._shown.get(row[:2]) != row[:-1]
        ]
        self._shown = {row[:2]: row[:-1] for row in rows[1:]}
        if changed and not self._said_header:
            self._said_header = True
            changed.insert(0, lines[0])
        for line in changed:
            print(line, file=self._out, flush=True)
