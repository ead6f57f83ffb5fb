"""Record the histories of the present core version: `python -m tests.replay.record_histories`.

Refuses where they are there already: what was frozen stays.
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from minikubelet.core.behaviours import TODAY
from minikubelet.replay.exportcommand import write
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.selecting import select
from minikubelet.wire.records import CORE_VERSION
from tests.replay.history_scripts import SCRIPTS

HISTORIES = Path(__file__).resolve().parent / "histories"


RELEASED = 0
"""The newest core version that somebody has been given: its histories and all before stay as they are."""


def record(histories: Path, version: int = int(CORE_VERSION), *, unreleased: bool = False) -> str:
    """Record the scripts as a version of the core decides; returns what to tell.

    FileExistsError where its histories are there already, unless it is one that nobody has been given; then
    the scripts that it has are recorded again.
    """
    directory = histories / f"core-{version}"
    scripts = SCRIPTS
    if directory.exists():
        if not unreleased or version <= RELEASED:
            raise FileExistsError(
                f"{directory.name} is frozen: put what is decided otherwise behind a behaviour of its own"
                " (minikubelet/core/behaviours.py), so that the old histories go on verifying"
            )
        scripts = {path.stem: SCRIPTS[path.stem] for path in sorted(directory.iterdir())}
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    for name, script in scripts.items():
        world = script(TODAY[: version - 1])
        with tempfile.TemporaryDirectory() as made:
            world.write_segments(Path(made))
            if name == "shop":  # one of them stays as an agent writes it
                shutil.copytree(made, directory / name)
            else:
                write(select(open_journal(Path(made)), since=0, slot=""), directory / f"{name}.mkx")
    (histories / "FROZEN").write_text("".join(f"{digest}  {path}\n" for path, digest in digests(histories)))
    return f"recorded {len(scripts)} histories of core version {version}"


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
        again = "--unreleased" in sys.argv
        for one in range(RELEASED + 1, int(CORE_VERSION) + 1) if again else (int(CORE_VERSION),):
            sys.stdout.write(record(HISTORIES, one, unreleased=again) + "\n")
    except FileExistsError as error:
        sys.exit(str(error))
