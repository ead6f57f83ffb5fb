"""Sandboxes and containers of the process driver on disk: making, looking, removing.

Belongs here: blocking work on the driver's directory, called in threads. May not be here: asyncio.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ObservedContainer, ObservedPod
from minikubelet.ports.runtimeport import ContainerConfig, RuntimeFault, SandboxConfig
from minikubelet.runtimes.process import processpolicy, processrecords, proctable, shimspec
from minikubelet.runtimes.process.processrecords import ContainerRecord, Record, SandboxRecord, ShimState
from minikubelet.runtimes.process.processwatch import supervised

_RECORDS = (processrecords.SANDBOX, processrecords.CONTAINER)
_PATIENCE = 10.0
"""Seconds that processes of a lost container are killed again and again."""


class ProcessStore:
    """The driver's directory; every call reads the disk, since supervisors write to it as well."""

    def __init__(self, base: Path, ip: str, *, namespaces: bool = True) -> None:
        self.base = base
        self.boot = proctable.boot_id()
        self._ip = ip
        self._namespaces = namespaces
        self._losing = threading.Lock()

    def directory(self, any_id: str) -> Path | None:
        """The directory of a sandbox or container id, whether it exists or not."""
        return processrecords.path_of(self.base, any_id)

    def sandbox(self, sandbox_id: str) -> SandboxRecord | None:
        """A sandbox's record; None if there is no such sandbox."""
        path = self.directory(sandbox_id)
        return processrecords.read_record(path / processrecords.SANDBOX, SandboxRecord) if path else None

    def container(self, container_id: str) -> ContainerRecord | None:
        """A container's record; None if there is no such container."""
        path = self.directory(container_id)
        return processrecords.read_record(path / processrecords.CONTAINER, ContainerRecord) if path else None

    def make_sandbox(self, config: SandboxConfig) -> str:
        """Create a sandbox, or find it."""
        processpolicy.refuse_sandbox(config)
        sandbox_id = processrecords.make_id(config.uid, processrecords.POD, config.attempt)
        found = self.sandbox(sandbox_id)
        if found and not found.stopped and found.boot == self.boot:
            return sandbox_id
        path = self.base / config.uid / f"{processrecords.POD}_{config.attempt}"
        with _as_fault("CreatePodSandboxError"):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            config.log_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            record = SandboxRecord(
                id=sandbox_id,
                uid=config.uid,
                namespace=config.namespace,
                name=config.name,
                attempt=config.attempt,
                hostname=config.hostname,
                created_at=_now(),
                boot=self.boot,
            )
            processrecords.write_record(path / processrecords.SANDBOX, record)
        return sandbox_id

    def mark_stopped(self, record: SandboxRecord) -> None:
        """The sandbox is not ready from now on."""
        path = self.directory(record.id)
        if path is not None and not record.stopped:
            stopped = replace(record, stopped=True)
            processrecords.write_record(path / processrecords.SANDBOX, stopped)

    def make_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Create a container's directory; one that runs under this id is adopted, any other replaced."""
        sandbox = self.sandbox(sandbox_id)
        if sandbox is None or sandbox.stopped or sandbox.boot != self.boot or sandbox.uid != config.uid:
            raise RuntimeFault("CreateContainerError", f"sandbox {sandbox_id} of {config.name} is not ready")
        container_id = processrecords.make_id(config.uid, config.name, config.attempt)
        path = self.base / config.uid / f"{config.name}_{config.attempt}"
        if path.exists() and supervised(path):
            return container_id
        processpolicy.refuse_container(config)
        signal = processpolicy.stop_signal(config.stop_signal)
        with _as_fault("CreateContainerError"):
            self.remove(path)
            _lay_out(path, config)
            config.log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            spec = processpolicy.container_spec(config, path, sandbox.hostname)
            if not self._namespaces:
                spec["flags"].append(shimspec.NO_MOUNTS)
            shimspec.write_atomically(str(path / shimspec.SPEC), shimspec.encode_spec(spec))
            record = processrecords.container_record(container_id, sandbox_id, config, _now(), signal)
            processrecords.write_record(path / processrecords.CONTAINER, record)
        return container_id

    def state(self, path: Path) -> ShimState | None:
        """What the supervisor wrote; a container without supervisor or exit code was killed with it."""
        state = self._written(path)
        if (state and state.exit_code is not None) or (state is None and (path / shimspec.SPEC).exists()):
            return state
        if supervised(path):
            return state
        with self._losing:
            state = self._written(path)  # its last words may have come in between
            if state and state.exit_code is not None:
                return state
            return self._lose(path, state)

    def look(self, container_id: str) -> ObservedContainer | None:
        """One container as it is now."""
        path, record = self.directory(container_id), self.container(container_id)
        if path is None or record is None:
            return None
        return processrecords.observed_container(record, self.state(path))

    def pods(self, uid: PodUid | None) -> list[ObservedPod]:
        """All pods, or that one."""
        found = [self._pod(path) for path in sorted(self.base.iterdir()) if uid in (None, path.name)]
        return [pod for pod in found if pod is not None]

    def containers_of(self, record: SandboxRecord) -> list[ContainerRecord]:
        """All containers in a sandbox, by id."""
        found = _records(self.base / record.uid, processrecords.CONTAINER, ContainerRecord)
        return [each for each in found if each.sandbox_id == record.id]

    def remove(self, path: Path) -> None:
        """Remove a sandbox's or container's directory; with a pod's last one, all that crashes left of it."""
        with self._losing:  # no loss is written down any more below what is being removed
            for record in _RECORDS:
                (path / record).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (path / shimspec.WORK / "work").chmod(0o700)  # an overlay leaves it without permissions
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)
        if not any((place / record).exists() for place in _places(path.parent) for record in _RECORDS):
            shutil.rmtree(path.parent, ignore_errors=True)

    def _pod(self, path: Path) -> ObservedPod | None:
        sandboxes = _records(path, processrecords.SANDBOX, SandboxRecord)
        if not sandboxes:
            return None
        created = _records(path, processrecords.CONTAINER, ContainerRecord)
        looks = [self.look(record.id) for record in created]
        containers = [found for found in looks if found is not None]
        sandboxes.sort(key=lambda each: -each.attempt)
        containers.sort(key=lambda each: (-each.attempt, each.name))
        return ObservedPod(
            uid=sandboxes[0].uid,
            namespace=sandboxes[0].namespace,
            name=sandboxes[0].name,
            sandboxes=tuple(processrecords.observed_sandbox(each, self.boot, self._ip) for each in sandboxes),
            containers=tuple(containers),
        )

    def _written(self, path: Path) -> ShimState | None:
        return processrecords.read_record(path / shimspec.STATE, ShimState)

    def _lose(self, path: Path, state: ShimState | None) -> ShimState:
        """Kill what a dead supervisor left and write down that the container was killed."""
        same_boot = state is None or state.boot == self.boot
        if same_boot:
            kill_marked(path)
        (path / f"{shimspec.SPEC}.taken").unlink(missing_ok=True)
        lost = ShimState(
            boot=self.boot,
            started_at=state.started_at if state else _now(),
            finished_at=_now(),
            exit_code=processrecords.LOST,
            reason="Error",
            message="its supervisor was killed" if same_boot else "the machine was restarted",
        )
        if (path / processrecords.CONTAINER).exists():  # else it is being removed
            processrecords.write_record(path / shimspec.STATE, lost)
        return lost


def _places(pod: Path) -> list[Path]:
    """The directories of a pod in order of names; none when it has just been removed."""
    try:
        return sorted(pod.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _records(pod: Path, file: str, kind: type[Record]) -> list[Record]:
    """The records of that name in a pod's directories; what is removed meanwhile is left out."""
    read = (processrecords.read_record(place / file, kind) for place in _places(pod))
    return [record for record in read if record is not None]


def kill_marked(path: Path) -> None:
    """Kill every process that was begun for a container, by the marker in its environment."""
    mark = os.fsencode(f"{shimspec.MARKER}={path}")
    give_up = time.monotonic() + _PATIENCE
    while (left := proctable.marked(mark)) and time.monotonic() < give_up:
        for pid in left:
            proctable.kill(pid, 9)
        time.sleep(0.01)


def _lay_out(path: Path, config: ContainerConfig) -> None:
    for name in (shimspec.ROOT, shimspec.STAGE, shimspec.UPPER, shimspec.WORK):
        (path / name).mkdir(parents=True, mode=0o700)
    os.mkfifo(path / shimspec.CONTROL, 0o600)
    user, group = config.security.run_as_user, config.security.run_as_group
    if os.geteuid() == 0 and user is not None:
        os.chown(path / shimspec.ROOT, user, group or 0)
    (path / shimspec.UPPER).chmod(0o755)  # becomes the root directory of an image


@contextlib.contextmanager
def _as_fault(reason: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RuntimeFault(reason, str(error)) from error


def _now() -> int:
    return time.time_ns() // 1000
