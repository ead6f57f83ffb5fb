"""The file source over real folders: told through inotify, and by polling where that fails."""

import os
import socket
from pathlib import Path

import pytest

from minikubelet.ports.sourceport import FileStatus, PodOffered, PodRetracted
from minikubelet.sources import manifestfiles
from minikubelet.sources.filesource import judge_folder
from minikubelet.sources.folderwatch import FolderWatch
from minikubelet.sources.manifestset import FileReading
from tests.running import run
from tests.sources.sources_world import read_lines, watching


def put(file: Path, content: str) -> None:
    """Write as careful programs do: beside, then rename."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(content)
    beside.replace(file)


def test_files_come_change_and_go(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "web.yaml").write_text("web one")
        async with watching(tmp_path) as sink:
            assert sink.images == {"web": "one"}
            assert sink.listed is not None
            assert set(sink.listed.present) == sink.uids
            put(tmp_path / "db.json", "db one")
            await sink.until(lambda s: s.images == {"web": "one", "db": "one"}, "a new file")
            put(tmp_path / "web.yaml", "web two")
            await sink.until(lambda s: s.images == {"web": "two", "db": "one"}, "an edit")
            (tmp_path / "db.json").unlink()
            await sink.until(lambda s: s.images == {"web": "two"}, "a removal")

    run(main())


def test_a_half_written_file_is_not_read_before_its_writer_closes_it(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "web").write_text("web one")
        async with watching(tmp_path) as sink:
            with (tmp_path / "web").open("w") as slow, (tmp_path / "new").open("w") as other:
                slow.write("web two\nsid")
                other.write("new one\nan")
                slow.flush()
                other.flush()
                put(tmp_path / "marker", "marker one")
                await sink.until(lambda s: "marker" in s.images, "a file written in between")
                assert sink.images == {"web": "one", "marker": "one"}
                assert sink.verdicts.keys() == {"web", "marker"}
                slow.write("e one\n")
                other.write("other one\n")
            await sink.until(
                lambda s: (
                    s.images == {"web": "two", "side": "one", "new": "one", "another": "one", "marker": "one"}
                ),
                "both files in full",
            )
            assert {v.status for v in sink.verdicts.values()} == {FileStatus.ACCEPTED}

    run(main())


def test_a_file_that_nobody_closes_is_read_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minikubelet.sources.folderwatch.SETTLE_SECONDS", 0.05)

    async def main() -> None:
        async with watching(tmp_path) as sink:
            with (tmp_path / "web").open("w") as slow:
                slow.write("web one")
                slow.flush()
                await sink.until(lambda s: s.images == {"web": "one"}, "a file left open")

    run(main())


def test_a_rename_and_a_swap_of_the_data_link_restart_nothing(tmp_path: Path) -> None:
    """As ConfigMap volumes do it: files link to `..data/…`, `..data` links to a directory and is replaced."""

    async def main() -> None:
        for version in ("1", "2"):
            (tmp_path / f"..{version}").mkdir()
            (tmp_path / f"..{version}" / "web").write_text(f"web {version}\nside same")
        (tmp_path / "..data").symlink_to("..1")
        (tmp_path / "web").symlink_to("..data/web")
        async with watching(tmp_path) as sink:
            assert sink.images == {"web": "1", "side": "same"}
            (tmp_path / "..tmp").symlink_to("..2")
            (tmp_path / "..tmp").rename(tmp_path / "..data")
            await sink.until(lambda s: s.images == {"web": "2", "side": "same"}, "the swap")
            (tmp_path / "web").rename(tmp_path / "renamed")
            await sink.until(lambda s: s.pods["default/web"].origin.startswith("renamed#"), "the rename")
            assert sink.retracted == ["web"]  # the one that was edited

    run(main())


def test_an_editor_that_renames_before_it_writes_ends_no_pod(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "web").write_text("web one")
        async with watching(tmp_path) as sink:
            (tmp_path / "web").rename(tmp_path / "web~")
            await sink.until(lambda s: "web~" in s.verdicts, "the backup")
            assert sink.images == {"web": "one"}
            (tmp_path / "web").write_text("web two")
            await sink.until(lambda s: s.images == {"web": "two"}, "the edit")
            assert [type(f) for f in sink.facts if isinstance(f, PodOffered | PodRetracted)] == [
                PodOffered,
                PodOffered,
                PodRetracted,
            ]
            (tmp_path / "web").rename(tmp_path / "web.bak")
            await sink.until(lambda s: s.images == {}, "the end of a file set aside for good")

    run(main())


def test_whatever_lies_in_the_folder_gets_a_verdict_and_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        (tmp_path / "web").write_text("web one")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "dir").mkdir()
        (tmp_path / "dir" / "inner").write_text("inner one")
        (tmp_path / "nowhere").symlink_to("missing")
        (tmp_path / "circle").symlink_to("circle")
        (tmp_path / "tty").symlink_to("/dev/tty")
        (tmp_path / "old.bak").write_text("old one")
        (tmp_path / ".hidden").write_text("hidden one")
        (tmp_path / "bytes").write_bytes(bytes(range(256)))
        with (tmp_path / "huge").open("wb") as huge:
            huge.truncate(11 * 1024 * 1024)
        server = socket.socket(socket.AF_UNIX)
        with server:
            monkeypatch.chdir(tmp_path)  # a socket's path has to be short
            server.bind("sock")
            async with watching(tmp_path) as sink:
                assert sink.images == {"web": "one"}
                found = {name: verdict.status.value for name, verdict in sink.verdicts.items()}
        assert found == {
            "web": "accepted",
            "pipe": "ignored",
            "dir": "ignored",
            "nowhere": "unreadable",
            "circle": "unreadable",
            "tty": "ignored",
            "old.bak": "ignored",
            "bytes": "rejected",
            "huge": "rejected",
            "sock": "ignored",
        }
        assert "10485760 at most" in sink.verdicts["huge"].messages[0]
        assert [verdict.file for verdict in judge_folder(tmp_path, read_lines)] == sorted(found)

    run(main())


def test_a_good_file_replaced_by_one_too_big_or_unreadable_keeps_its_pod(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "web").write_text("web one")
        async with watching(tmp_path) as sink:
            with (tmp_path / "big").open("wb") as big:
                big.truncate(manifestfiles.MOST_BYTES + 1)
            (tmp_path / "big").rename(tmp_path / "web")
            await sink.until(lambda s: s.verdicts["web"].status is FileStatus.REJECTED, "the verdict")
            (tmp_path / "link").symlink_to("nothing")
            (tmp_path / "link").rename(tmp_path / "web")
            await sink.until(lambda s: s.verdicts["web"].status is FileStatus.UNREADABLE, "the verdict")
            assert sink.images == {"web": "one"}
            assert sink.verdicts["web"].kept == ("default/web",)
            (tmp_path / "web").unlink()
            await sink.until(lambda s: s.images == {}, "the removal")

    run(main())


def test_a_file_without_permission_keeps_its_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission is refused by hand: as root, nothing is forbidden."""
    refused: list[Path] = []
    really_open = os.open

    def opening(path: Path, flags: int) -> int:
        if path in refused:
            raise PermissionError(13, "Permission denied")
        return really_open(path, flags)

    monkeypatch.setattr("minikubelet.sources.manifestfiles.os.open", opening)

    async def main() -> None:
        file = tmp_path / "web"
        file.write_text("web one")
        async with watching(tmp_path) as sink:
            refused.append(file)
            file.chmod(0)
            await sink.until(lambda s: s.verdicts["web"].status is FileStatus.UNREADABLE, "the verdict")
            assert sink.images == {"web": "one"}
            refused.clear()
            file.chmod(0o600)
            await sink.until(lambda s: s.verdicts["web"].status is FileStatus.ACCEPTED, "the verdict")
            assert sink.retracted == []

    run(main())


def test_a_big_file_is_parsed_apart_and_belongs_to_the_first_list(tmp_path: Path) -> None:
    async def main() -> None:
        filler = "# filler\n" * (manifestfiles.BIG_BYTES // 8)
        (tmp_path / "big").write_text(f"{filler}big one")
        async with watching(tmp_path) as sink:
            assert sink.images == {"big": "one"}
            assert sink.listed is not None
            assert len(sink.listed.present) == 1
            put(tmp_path / "big", f"{filler}big two")
            await sink.until(lambda s: s.images == {"big": "two"}, "an edit of a big file")

    run(main())


def test_many_changes_at_once_all_arrive(tmp_path: Path) -> None:
    async def main() -> None:
        async with watching(tmp_path) as sink:
            for round_ in range(5):
                for number in range(40):
                    put(tmp_path / f"p{number}", f"p{number} {round_}")
                if round_ == 3:
                    for number in range(20):
                        (tmp_path / f"p{number}").unlink()
            expected = {f"p{number}": "4" for number in range(40)}
            await sink.until(lambda s: s.images == expected, "the last state")

    run(main())


def test_odd_names_do_no_harm(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb")).write_text("web one")

    async def main() -> None:
        async with watching(tmp_path) as sink:
            assert sink.images == {"web": "one"}
            assert list(sink.verdicts) == ["a\\xff\\nb"]

    run(main())


def test_a_bug_in_the_reader_costs_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("web one")
    (tmp_path / "b").write_text("boom")

    def reader(data: bytes, name: str) -> FileReading:
        if data == b"boom":
            raise RecursionError("too deep")
        return read_lines(data, name)

    verdicts = judge_folder(tmp_path, reader)
    assert [verdict.status.value for verdict in verdicts] == ["accepted", "rejected"]
    assert "a bug in it: RecursionError" in verdicts[1].messages[0]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_watch_lets_go_of_its_descriptor(tmp_path: Path) -> None:
    async def main() -> None:
        before = open_files()
        for _ in range(3):
            with FolderWatch(tmp_path, lambda: 0.0) as watch:
                watch.arm(single=False)
                assert watch.complete
        assert open_files() == before

    run(main())
