"""The journal that a simulated agent left: read back, and saved as a directory that other commands open.

Belongs here: from the simulated disk to a state or to files. May not be here: what is in the records.
"""

from __future__ import annotations

from pathlib import Path

from minikubelet.core.reducer import Snapshot
from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.ports.journalport import Retention
from minikubelet.shell.recovery import recover
from minikubelet.simulation.simdisk import LifeDisk, SimDisk
from minikubelet.simulation.simlife import JOURNAL


def state_of(disk: SimDisk) -> Snapshot:
    """The state to which a journal leads; the disk is left as it is."""
    opened = DiskJournal.open(
        JOURNAL,
        node="node",
        boot="look",
        core_version="",
        schema_hash="",
        settings={},
        limits=Retention(),
        fileops=LifeDisk(disk.copy()),
    )
    return recover(opened).reducer.snapshot()


def save(disk: SimDisk, directory: Path) -> None:
    """Write a journal's files into a directory of this machine, in place of those of another."""
    for old in directory.glob("*.mkj"):
        old.unlink()
    start = f"{JOURNAL}/"
    for name, content in sorted(disk.files().items()):
        if name.startswith(start):
            target = directory / name[len(start) :]
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o600)
