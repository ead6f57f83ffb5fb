"""The folder itself: missing, vanishing, replaced, one file only, or not to be watched."""

import errno
import shutil
from functools import partial
from pathlib import Path

import pytest
from asyncinotify import Inotify, Mask

from minikubelet.ports.sourceport import FileStatus
from minikubelet.sources.filesource import judge_folder
from tests.running import run
from tests.sources.sources_world import KeepingSink, read_lines, watching


def test_a_missing_folder_is_listed_as_such_and_seen_when_it_comes(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "manifests"
        async with watching(folder) as sink:
            verdict = sink.verdicts[str(folder)]
            assert verdict.status is FileStatus.UNREADABLE
            assert "does not exist" in verdict.messages[0]
            folder.mkdir()
            (folder / "web").write_text("web one")
            await sink.until(lambda s: s.images == {"web": "one"}, "the folder's coming")
            await sink.until(lambda s: str(folder) not in s.verdicts, "the verdict's going")

    run(main())


def test_a_folder_that_vanishes_keeps_its_pods_and_an_empty_one_ends_them(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "manifests"
        folder.mkdir()
        (folder / "web").write_text("web one")
        async with watching(folder) as sink:
            folder.rename(tmp_path / "aside")
            await sink.until(lambda s: str(folder) in s.verdicts, "the verdict")
            assert sink.images == {"web": "one"}
            (tmp_path / "aside").rename(folder)
            await sink.until(lambda s: str(folder) not in s.verdicts, "its return")
            (folder / "web").write_text("web two")
            await sink.until(lambda s: s.images == {"web": "two"}, "a change after its return")
            shutil.rmtree(folder)
            folder.mkdir()
            await sink.until(lambda s: s.images == {}, "the empty folder")

    run(main())


def test_a_linked_folder_that_is_swapped_is_followed(tmp_path: Path) -> None:
    async def main() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "web").write_text(f"web {name}")
        link = tmp_path / "link"
        link.symlink_to("one")
        async with watching(link) as sink:
            (tmp_path / "next").symlink_to("two")
            (tmp_path / "next").rename(link)
            await sink.until(lambda s: s.images == {"web": "two"}, "the other folder")
            (tmp_path / "two" / "db").write_text("db two")
            await sink.until(lambda s: s.images == {"web": "two", "db": "two"}, "a change in it")

    run(main())


def test_one_file_may_be_the_whole_source(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "pods"
        file.write_text("web one")
        (tmp_path / "beside").write_text("beside one")
        async with watching(file) as sink:
            assert sink.images == {"web": "one"}
            file.write_text("web two\ndb two")
            await sink.until(lambda s: s.images == {"web": "two", "db": "two"}, "an edit")
            (tmp_path / "beside").write_text("beside two")
            file.unlink()
            await sink.until(lambda s: s.images == {}, "its removal")
            file.write_text("web three")
            await sink.until(lambda s: s.images == {"web": "three"}, "its return")

    run(main())


def test_a_linked_file_is_followed_to_where_no_watch_reaches(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "manifests"
        folder.mkdir()
        (tmp_path / "elsewhere").write_text("web one")
        (folder / "web").symlink_to(tmp_path / "elsewhere")
        async with watching(folder) as sink:
            assert sink.images == {"web": "one"}
            (tmp_path / "elsewhere").write_text("web two")
            await sink.until(lambda s: s.images == {"web": "two"}, "a change of the target")

    run(main())


@pytest.mark.parametrize("failing", ["__init__", "add_watch"])
def test_exhausted_limits_cost_speed_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Inotify, failing, refuse)

    async def main() -> None:
        (tmp_path / "web").write_text("web one")
        async with watching(tmp_path, frequency=0.02) as sink:
            (tmp_path / "web").write_text("web two")
            await sink.until(lambda s: s.images == {"web": "two"}, "a poll")
            (tmp_path / "web").write_text("web 333")
            await sink.until(lambda s: s.images == {"web": "333"}, "a change of the same length")
            (tmp_path / "web").unlink()
            await sink.until(lambda s: s.images == {}, "a poll")

    run(main())


def shows(images: dict[str, str], sink: KeepingSink) -> bool:
    return sink.images == images


def test_watching_begins_as_soon_as_limits_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []
    really = Inotify.add_watch

    def once(self: Inotify, path: Path, mask: Mask) -> object:
        if len(refused) < 2:
            refused.append(str(path))
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(self, path, mask)

    monkeypatch.setattr(Inotify, "add_watch", once)
    monkeypatch.setattr("minikubelet.sources.filesource.UNWATCHED_SECONDS", 0.02)

    async def main() -> None:
        async with watching(tmp_path) as sink:
            for number in range(3):
                (tmp_path / "web").write_text(f"web {number}")
                await sink.until(partial(shows, {"web": str(number)}), "a change")
        assert len(refused) == 2

    run(main())


def test_a_missing_folder_is_judged_as_such(tmp_path: Path) -> None:
    (verdict,) = judge_folder(tmp_path / "none", read_lines)
    assert verdict.status is FileStatus.UNREADABLE
