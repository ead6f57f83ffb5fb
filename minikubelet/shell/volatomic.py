"""The atomic writer: a volume's files change all at once, or not at all.

Belongs here: the layout of upstream's pkg/volume/util/atomic_writer.go, which programs rely on: files lie in
`..<time>.<random>`, `..data` points there, and what is seen are symlinks `name -> ..data/name`. An update
is one rename of `..data`. May not be here: where content comes from.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from minikubelet.shell.volowner import Ownership
from minikubelet.shell.volremoval import remove_tree

DATA: Final = "..data"
_NEW: Final = "..data_tmp"
_MOST_NAME: Final = 255
_MOST_PATH: Final = 4096


class ProjectedFile(msgspec.Struct, frozen=True):
    """Content and mode of one file; `user` owns it where it is set and the agent may say so."""

    content: bytes
    mode: int
    user: int | None = None

    def __repr__(self) -> str:
        """Show no content: it may be a Secret's."""
        return f"ProjectedFile({len(self.content)} bytes, {self.mode:o})"


Payload = Mapping[str, ProjectedFile]
"""Files by their path in the volume."""


def write_payload(volume: Path, payload: Payload, owner: Ownership) -> bool:
    """Make the volume hold just this payload; whether anything had to be written. Raises OSError, ValueError.

    What another process reads meanwhile is all old or all new. A crash in between leaves the old.
    """
    files = {_clean(path): file for path, file in payload.items()}
    before = _current(volume)
    if before is not None and _same(before, files):
        _show(volume, files)
        _clean_up(volume, before)
        return False
    fresh = _new_directory(volume)
    try:
        _write_all(fresh, files, owner)
        _show(volume, files)
        _swap(volume, fresh)
    except BaseException:
        remove_tree(fresh)
        raise
    _hide(volume, files)
    _clean_up(volume, fresh)
    return True


def _clean(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/"):
        raise ValueError(f"invalid path: must be relative and not empty: {path!r}")
    if ".." in parts or parts[0].startswith(".."):
        raise ValueError(f"invalid path: must not contain '..' or start with it: {path!r}")
    if len(path) > _MOST_PATH or any(len(os.fsencode(part)) > _MOST_NAME for part in parts):
        raise ValueError(f"invalid path: too long: {path[:64]!r}…")
    return "/".join(parts)


def _current(volume: Path) -> Path | None:
    try:
        return volume / (volume / DATA).readlink()
    except FileNotFoundError:
        return None


def _same(directory: Path, files: Payload) -> bool:
    """Whether the directory holds these files and no others, with the same content and owner."""
    held = {str(p.relative_to(directory)) for p in directory.rglob("*") if not p.is_dir()}
    if held != set(files):
        return False
    return all((directory / path).read_bytes() == file.content for path, file in files.items())


def _new_directory(volume: Path) -> Path:
    stamp = datetime.now(tz=UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    made = Path(tempfile.mkdtemp(prefix=stamp, dir=volume))
    made.chmod(0o755)
    return made


def _write_all(directory: Path, files: Payload, owner: Ownership) -> None:
    for path, file in sorted(files.items()):
        target = directory / path
        for parent in reversed(target.relative_to(directory).parents[:-1]):
            with contextlib.suppress(FileExistsError):
                (directory / parent).mkdir()
                (directory / parent).chmod(0o755)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(file.content)
        if file.user is not None and os.geteuid() == 0:
            os.chown(target, file.user, -1)
        target.chmod(file.mode)
    owner.give(directory, read_only=True)


def _show(volume: Path, files: Payload) -> None:
    for top in sorted({path.split("/", 1)[0] for path in files}):
        with contextlib.suppress(FileExistsError):
            (volume / top).symlink_to(f"{DATA}/{top}")


def _swap(volume: Path, fresh: Path) -> None:
    new = volume / _NEW
    new.unlink(missing_ok=True)
    new.symlink_to(fresh.name)
    new.replace(volume / DATA)


def _hide(volume: Path, files: Payload) -> None:
    kept = {path.split("/", 1)[0] for path in files}
    for entry in sorted(volume.iterdir()):
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in kept:
            entry.unlink()


def _clean_up(volume: Path, current: Path) -> None:
    """Remove the directories of earlier payloads, those of a crashed attempt among them."""
    for entry in sorted(volume.iterdir()):
        if entry.name.startswith("..") and not entry.is_symlink() and entry.name != current.name:
            remove_tree(entry)
