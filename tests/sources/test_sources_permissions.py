"""A folder that may only be listed, or only be entered: verdicts, and never an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.sources.manifestfiles import Known, Request, look
from minikubelet.sources.manifestset import FileReading, Unreadable


def denied(_: Path) -> Iterator[Path]:
    """What an unprivileged agent gets; tests may run as root, who may do everything."""
    raise PermissionError(13, "Permission denied")


def reader(_: bytes, name: str) -> FileReading:
    """Nothing is read here."""
    raise AssertionError(name)


def test_a_folder_that_may_only_be_listed_gives_each_file_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web.yaml").touch()
    with monkeypatch.context() as patch:
        real = Path.stat
        patch.setattr(Path, "is_symlink", denied)
        patch.setattr(Path, "stat", lambda path: real(path) if path == tmp_path else denied(path))
        found = look(Request(path=tmp_path, reader=reader))
    assert found.listing.entries == (Unreadable("web.yaml", "cannot be read: Permission denied"),)


def test_a_file_is_seen_to_go_from_a_folder_that_may_not_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"web.yaml": Known(None, (1, 2), "sha256:1")}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", denied)
        found = look(Request(path=tmp_path / "web.yaml", reader=reader, known=known, single=True))
    assert (found.listing.entries, found.listing.problem) == ((), "")
