"""Record the histories of the present core version: `python -m tests.replay.record_histories`.

Refuses where they are there already: what was frozen stays.
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from minikubelet.replay.exportcommand import select, write
from minikubelet.replay.replayhistory import open_journal
from minikubelet.wire.records import CORE_VERSION
from tests.replay.history_scripts import SCRIPTS

HISTORIES = Path(__file__).resolve().parent / "histories"


def record(histories: Path, version: str = CORE_VERSION, *, unreleased: bool = False) -> str:
    """Record every script; returns what to tell. FileExistsError where this version is frozen."""
    directory = histories / f"core-{version}"
    if directory.exists():
        if not unreleased:
            raise FileExistsError(
                f"{directory.name} is frozen: raise CORE_VERSION in minikubelet/wire/records.py, and put what"
                " is decided otherwise behind a behaviour flag, so that the old histories go on verifying"
            )
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    for name, script in SCRIPTS.items():
        world = script()
        with tempfile.TemporaryDirectory() as made:
            world.write_segments(Path(made))
            if name == "shop":  # one of them stays as an agent writes it
                shutil.copytree(made, directory / name)
            else:
                write(select(open_journal(Path(made)), since=0, slot=""), directory / f"{name}.mkx")
    (histories / "FROZEN").write_text("".join(f"{digest}  {path}\n" for path, digest in digests(histories)))
    return f"recorded {len(SCRIPTS)} histories of core version {version}"


def digests(histories: Path) -> list[tuple[str, str]]:
    """Path and SHA-256 of every file of every history."""
    files = sorted(path for path in histories.glob("core-*/**/*") if path.is_file())
    return [
        (path.relative_to(histories).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    ]


def frozen() -> list[Path]:
    """Every frozen history: a directory of segments or an export."""
    return sorted(path for path in HISTORIES.glob("core-*/*"))


if __name__ == "__main__":
    try:
        sys.stdout.write(record(HISTORIES, unreleased="--unreleased" in sys.argv) + "\n")
    except FileExistsError as error:
        sys.exit(str(error))
