"""How long it takes until a change of the folder is told: inotify, the look and the facts, with no agent.

One file among so many is renamed into place, edited so, and unlinked; the time ends where the source hands
the pod over. The folder is a temporary directory; `--directory` names one on the disk to measure.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._podfiles import Folder
from bench._results import quantiles, say, show
from minikubelet.ports.sourceport import PodOffered, PodRetracted, SourceFact, SourceListed
from minikubelet.sources.filesource import FileSource
from minikubelet.sources.manifestreading import manifest_reader

_FILES = (1, 100, 1000)
_PAUSE = 0.02


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench watch", description=__doc__)
    parser.add_argument("--changes", type=int, default=50, help="of each kind (default 50)")
    parser.add_argument("--directory", type=Path, help="on the disk to measure (default: a temporary one)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    for files in _FILES:
        say(f"a folder of {files} files …")
        with tempfile.TemporaryDirectory(dir=options.directory, prefix="bench-watch-") as name:
            results |= asyncio.run(_measure(Path(name), files, options.changes))
    show(results, options.output)
    return 0


class _Ear:
    """The sink: remembers when each fact came."""

    def __init__(self) -> None:
        self.listed = asyncio.Event()
        self.told: asyncio.Queue[tuple[type[object], float]] = asyncio.Queue()

    def put(self, *facts: SourceFact) -> None:
        """Take facts."""
        at = time.time()
        for fact in facts:
            if isinstance(fact, SourceListed):
                self.listed.set()
            elif isinstance(fact, PodOffered | PodRetracted) and self.listed.is_set():
                self.told.put_nowait((type(fact), at))


async def _measure(path: Path, files: int, changes: int) -> dict[str, Any]:
    folder = Folder(path, path, plain=True)
    for number in range(files):
        folder.put("create", f"other-{number}", folder.text(f"other-{number}", 1))
    reader = manifest_reader(node_name="bench", namespace="bench")
    source, ear = FileSource(path, reader, now=lambda: time.time_ns() // 1000), _Ear()
    times: dict[str, list[float]] = {"create": [], "edit": [], "unlink": []}
    running = asyncio.create_task(source.run(ear))
    await ear.listed.wait()
    for _ in range(changes):
        for what, generation in (("create", 1), ("edit", 2), ("unlink", 0)):
            await asyncio.sleep(_PAUSE)
            while not ear.told.empty():  # an edit retracts the pod that it replaces as well
                ear.told.get_nowait()
            if generation:
                change = folder.put(what, "one", folder.text("one", generation))
            else:
                change = folder.remove("one")
            wanted = PodOffered if generation else PodRetracted
            while True:
                kind, at = await asyncio.wait_for(ear.told.get(), 60)
                if kind is wanted:
                    break
            times[what].append(at - change.at)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return {f"{what} in {files} files": quantiles(seconds, 5) for what, seconds in times.items()}
