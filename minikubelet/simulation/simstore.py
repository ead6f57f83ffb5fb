"""The pods' own directories as the agent's calls reach them: on a disk that may be full or lose what is new.

Belongs here: faults of definitions and volumes. May not be here: what is in them.
"""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random
from typing import Any

from minikubelet.shell import vault
from minikubelet.shell.volemptydir import make_empty_dir
from minikubelet.simulation.simdisk import SimDisk


class SimStore:
    """Real files in a directory of the simulation; `disk` says whether there is room."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk
        self._write = vault.write_file
        self._make = make_empty_dir
        self._fresh: dict[Path, None] = {}

    def write(self, path: Path, body: bytes) -> None:
        """Keep a definition, as the vault does."""
        self._refuse()
        self._write(path, body)
        self._fresh[path] = None

    def make_empty_dir(self, path: Path, *details: Any) -> None:
        """Make an emptyDir; one that is there needs no room."""
        if not path.is_dir():
            self._refuse()
        self._make(path, *details)

    def cut(self, random: Random) -> None:
        """The agent died while it wrote: a half-written file lies beside the last whole one."""
        for path in list(self._fresh)[-1:]:
            if path.is_file() and random.random() < 1 / 2:
                body = path.read_bytes()
                path.with_suffix(".new").write_bytes(body[: random.randrange(len(body) + 1)])

    def tear(self, random: Random) -> None:
        """The machine lost its power: what was written last is there, in part, or not."""
        for path in self._fresh:
            if not path.is_file():
                continue
            match random.randrange(4):
                case 0:
                    path.unlink()
                case 1:
                    body = path.read_bytes()
                    path.write_bytes(body[: random.randrange(len(body))])
                case _:
                    pass
        self._fresh.clear()

    def _refuse(self) -> None:
        if self._disk.full:
            raise OSError(errno.ENOSPC, "No space left on device")
