"""A machine that refuses for a moment, as with too many open files: nothing is taken for gone or killed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minikubelet.model.observed import ContainerPhase
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.runtimes.process.processrecords import SandboxRecord, read_record
from minikubelet.runtimes.process.processwatch import supervised
from tests.running import run
from tests.runtimes.contract.contract_world import connected, container_of, sandbox_of, started, status
from tests.runtimes.process.process_world import ProcessWorld, state_of


@pytest.fixture
def world(state_dir: Path) -> Iterator[ProcessWorld]:
    made = ProcessWorld(state_dir)
    yield made
    made.clean()


def refused(*_: object, **__: object) -> int:
    """What opening a file gives in a process that has too many open."""
    raise OSError(errno.EMFILE, "Too many open files")


def refuse_opening(patch: pytest.MonkeyPatch) -> None:
    """No file can be opened any more."""
    patch.setattr(os, "open", refused)


def refuse_reading(patch: pytest.MonkeyPatch) -> None:
    """No record can be read any more."""
    patch.setattr(Path, "read_bytes", refused)


def refuse_listing(patch: pytest.MonkeyPatch) -> None:
    """No directory can be listed any more."""
    patch.setattr(Path, "iterdir", refused)


@pytest.mark.parametrize("refuse", [refuse_opening, refuse_reading, refuse_listing])
def test_a_container_that_cannot_be_looked_at_goes_on(
    world: ProcessWorld, refuse: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Taken for lost, it was killed; taken for gone, it was started a second time."""

    async def main() -> None:
        config = sandbox_of(world)
        runtime = world.driver()
        async with connected(runtime):
            sandbox_id = await runtime.run_pod_sandbox(config)
            container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
            pid = state_of(runtime, container_id).pid
            with pytest.MonkeyPatch.context() as patch:
                refuse(patch)
                for look in (runtime.list_pods(), runtime.list_pods(config.uid)):
                    with pytest.raises(RuntimeFault, match="Too many open files"):
                        await look
            found = await status(runtime, container_id)
            assert found.phase is ContainerPhase.RUNNING
            assert state_of(runtime, container_id).pid == pid

    run(main())


def test_what_cannot_be_seen_is_not_taken_for_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not supervised(tmp_path)
    assert read_record(tmp_path / "sandbox.json", SandboxRecord) is None
    refuse_opening(monkeypatch)
    refuse_reading(monkeypatch)
    with pytest.raises(OSError, match="Too many open files"):
        supervised(tmp_path)
    with pytest.raises(OSError, match="Too many open files"):
        read_record(tmp_path / "sandbox.json", SandboxRecord)
