"""What pods take of the disk is measured, and told where it is more than they may take."""

from __future__ import annotations

import os
from pathlib import Path

from minikubelet.core.events import AnyEvent, StorageMeasured
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import ContainerRecord, Generation, Slot
from minikubelet.model.ids import PodUid, Source, slot_key
from minikubelet.model.pod import EmptyDirVolumeSource, Pod, PodSpec, Volume
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.diskusage import disk_use
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.storagewatch import StorageWatch
from tests.running import run
from tests.shell.shell_world import FakeRuntime

UID = PodUid("u1")
KEY = slot_key("default", "web")
SCRATCH = Volume(name="scratch", empty_dir=EmptyDirVolumeSource(size_limit="1Mi"))


def generation(source: Source = Source.API) -> Generation:
    return Generation(
        uid=UID,
        slot=KEY,
        source=source,
        pod=Pod(spec=PodSpec(volumes=(SCRATCH,))),
        containers={"main": ContainerRecord("main", id="c1")},
    )


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_files_are_counted_once_by_the_blocks_they_take_and_links_are_not_followed(tmp_path: Path) -> None:
    paths, runtime = PodPaths(tmp_path / "state", tmp_path / "logs"), FakeRuntime()
    runtime.written["c1"] = 7
    volume = paths.volume(UID, "empty-dir", "scratch")
    big = write(volume / "deep/er/big", 100_000)
    os.link(big, volume / "same")
    (volume / "elsewhere").symlink_to(write(tmp_path / "other", 500_000))
    (volume / "sparse").touch()
    os.truncate(volume / "sparse", 10_000_000)
    write(paths.log(KEY, UID, "main", 0), 50_000)
    used = run(disk_use(generation(), paths, runtime, layers=True))
    assert 100_000 <= dict(used.volumes)["scratch"] < 300_000
    assert 50_000 <= dict(used.logs)["main"] < 100_000
    assert dict(used.containers())["main"] == dict(used.logs)["main"] + 7
    assert used.total == used.local + 7
    assert used.inodes == 6


def test_what_an_engine_does_not_tell_and_what_is_not_there_counts_nothing(tmp_path: Path) -> None:
    class Silent(FakeRuntime):
        async def container_disk(self, container_id: str) -> int:
            raise RuntimeFault("ContainerStats", "no answer")

    paths = PodPaths(tmp_path / "state", tmp_path / "logs")
    assert run(disk_use(generation(), paths, Silent(), layers=True)).total == 0
    assert run(disk_use(generation(), paths, Silent(), layers=False)).own == ()


def test_a_pod_is_told_of_once_it_exceeds_a_limit_and_a_static_one_never(tmp_path: Path) -> None:
    paths, told = PodPaths(tmp_path / "state", tmp_path / "logs"), list[AnyEvent]()
    reducer = Reducer()
    watch = StorageWatch(reducer, paths, FakeRuntime(), told.append, layers=lambda: True)
    file = paths.volume(UID, "empty-dir", "scratch") / "file"
    for source, size in ((Source.API, 1000), (Source.FILE, 2 << 20), (Source.API, 2 << 20)):
        reducer.slots[KEY] = Slot(KEY, (generation(source),))
        write(file, size)
        run(watch.once())
    (event,) = told
    assert isinstance(event, StorageMeasured)
    assert (event.slot, event.uid) == (KEY, UID)
    assert event.total >= dict(event.volumes)["scratch"] >= 2 << 20
