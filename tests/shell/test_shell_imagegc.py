"""Collecting images: the longest unused first, as many as it takes, and never one in use or one just come."""

import asyncio
import contextlib
import io
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from minikubelet.model.observed import ContainerPhase, ObservedContainer
from minikubelet.ports.runtimeport import ImageInfo, RuntimeFault
from minikubelet.runtimes.docker import DockerRuntime
from minikubelet.shell.imagegc import Disk, ImageGc, ImageGcLimits, disk_of
from tests.engine import docker_probe
from tests.running import eventually, run
from tests.shell.shell_world import UID, FakeRuntime, shown

LIMITS = ImageGcLimits(high=85, low=80, min_age=120.0)


class Storing(FakeRuntime):
    """An engine whose images lie on a disk of a hundred bytes, on which `other` bytes are something else."""

    def __init__(self, **sizes: int) -> None:
        super().__init__()
        self.other = 0
        self.kept: set[str] = set()
        for name, size in sizes.items():
            self.add(name, size)

    def add(self, name: str, size: int = 10) -> None:
        self.images[name] = ImageInfo(f"id-{name}", (f"{name}:1",), size)

    def use(self, *names: str) -> None:
        """Containers of these images are there, running or dead."""
        made = [
            ObservedContainer(f"c-{name}", name, 0, ContainerPhase.EXITED, image_id=f"id-{name}")
            for name in names
        ]
        self.shown[UID] = shown(*made)

    async def remove_image(self, image: str) -> None:
        self._called("remove_image", image)
        name = image.removeprefix("id-")
        if name in self.kept:
            raise RuntimeFault("RemoveImage", f"{name} is in use by somebody's container")
        del self.images[name]

    def disk(self) -> Disk:
        return Disk(100, 100 - self.other - sum(image.size for image in self.images.values()))


class World:
    """A collector over an engine, and a clock."""

    def __init__(self, runtime: Storing, limits: ImageGcLimits = LIMITS) -> None:
        self.runtime = runtime
        self.now = 1000.0
        self.gc = ImageGc(runtime, limits, disk=runtime.disk, now=lambda: self.now)

    def look(self, later: float = 300.0) -> str:
        """Look once, so many seconds later; the images that are left."""
        self.now += later
        run(self.gc.once())
        return " ".join(self.runtime.images)


def test_nothing_goes_before_the_high_threshold() -> None:
    world = World(Storing(a=40, b=44))
    assert (world.look(), world.look()) == ("a b", "a b")


def test_the_longest_unused_go_until_the_low_threshold() -> None:
    runtime = Storing(a=10, b=10, c=10, d=10)
    world = World(runtime)
    runtime.use("a", "b")
    world.look()
    runtime.use("b")
    world.look()
    runtime.use("d")
    runtime.other = 58
    assert world.look() == "b d", "c was never used, then a was used least lately: 98 of 100 become 78"


def test_an_image_that_has_just_come_is_left() -> None:
    runtime = Storing(a=50)
    world = World(runtime)
    world.look()
    runtime.add("new", 40)
    assert world.look() == "new"
    runtime.other = 50
    assert world.look(later=119.0) == "new"
    assert world.look(later=1.0) == ""


def test_what_the_engine_will_not_remove_is_passed_over_and_the_shortage_told() -> None:
    runtime = Storing(a=30, b=30, c=30)
    runtime.kept = {"a"}
    world = World(runtime)
    world.look()
    with capture_logs() as logs:
        assert world.look() == "a c"
        runtime.other = 40
        runtime.use("c")
        assert world.look() == "a c"
    assert [line["log_level"] for line in logs] == ["info", "info", "info", "warning"]


def test_what_must_stay_is_not_even_tried() -> None:
    runtime = Storing(a=50, b=50)
    gc = ImageGc(
        runtime, LIMITS, disk=runtime.disk, now=iter((0.0, 500.0)).__next__, may_go=lambda i: i.id != "id-a"
    )
    run(gc.once())
    run(gc.once())
    assert list(runtime.images) == ["a"]
    assert "remove_image id-a" not in runtime.calls


def test_old_images_go_though_there_is_room() -> None:
    runtime = Storing(a=1, b=1)
    world = World(runtime, ImageGcLimits(high=100, low=80, min_age=120.0, max_age=1000.0))
    runtime.use("a")
    assert world.look() == "a b"
    assert world.look(later=1000.0) == "a b"
    assert world.look(later=1.0) == "a"
    runtime.shown.clear()
    assert world.look(later=1000.0) == "a"
    assert world.look(later=1.0) == ""


def test_without_thresholds_nothing_is_ever_asked() -> None:
    runtime = Storing(a=100)
    run(World(runtime, ImageGcLimits(high=100)).gc.run())
    assert runtime.calls == []


def test_a_disk_that_cannot_be_looked_at_removes_nothing(tmp_path: Path) -> None:
    runtime = Storing(a=99)
    world = World(runtime)
    gc = ImageGc(runtime, LIMITS, disk=lambda: disk_of(tmp_path / "none"), now=lambda: world.now)
    run(gc.once())
    world.now += 500
    run(gc.once())
    assert list(runtime.images) == ["a"]
    found = disk_of(tmp_path)
    assert found is not None
    assert 0 <= found.free <= found.size


def test_an_engine_that_does_not_answer_is_asked_again_later() -> None:
    runtime = Storing(a=99)
    runtime.broken = RuntimeFault("ListImages", "gone", unreachable=True)
    world = World(runtime)

    async def main() -> None:
        collecting = asyncio.create_task(world.gc.run())
        await eventually(lambda: bool(runtime.calls), "a first look")
        assert not collecting.done()
        collecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await collecting

    run(main())
    runtime.broken = None
    world.look()
    runtime.faults["remove_image"] = RuntimeFault("RemoveImage", "gone", unreachable=True)
    with pytest.raises(RuntimeFault, match="gone"):
        world.look()


def _layer(text: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("content")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


@pytest.mark.docker
def test_an_engine_loses_unused_images_under_all_their_names_and_keeps_used_ones(
    docker_host: str, docker_namespace: str, state_dir: Path
) -> None:
    """On images of this test's own; others of the engine are not looked at."""
    repository = f"{docker_namespace}.invalid/gc"

    async def main() -> None:
        for tag in ("unused", "used"):
            await asyncio.to_thread(docker_probe.make_image, repository, tag, _layer(tag.encode()))
        again = f"/images/{repository}:unused/tag?repo={quote(repository)}&tag=again"
        assert (await asyncio.to_thread(docker_probe.ask, "POST", again))[0] == 201
        runtime = DockerRuntime(docker_host, node=f"node-{docker_namespace}", state_dir=state_dir)
        await runtime.connect()
        try:
            assert Path(runtime.info.images_at).is_absolute()
            labels = {docker_probe.POD_NAMESPACE_LABEL: docker_namespace}
            user = await asyncio.to_thread(docker_probe.make_container, f"{repository}:used", labels)
            times = iter((0.0, 500.0))
            gc = ImageGc(
                runtime, ImageGcLimits(high=1, low=0, min_age=1.0),
                disk=lambda: Disk(100, 0), now=lambda: next(times),
                may_go=lambda image: any(tag.startswith(repository) for tag in image.tags),
            )  # fmt: skip
            await gc.once()
            await gc.once()
            assert await runtime.image_status(f"{repository}:unused") is None
            assert await runtime.image_status(f"{repository}:again") is None
            assert await runtime.image_status(f"{repository}:used") is not None
            await asyncio.to_thread(docker_probe.ask, "DELETE", f"/containers/{user}?force=true")
            await runtime.remove_image(f"{repository}:used")
            assert await runtime.image_status(f"{repository}:used") is None
        finally:
            await runtime.aclose()

    run(main())
