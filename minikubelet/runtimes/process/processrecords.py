"""What the process driver keeps on disk of sandboxes and containers, and how it is found again.

Belongs here: ids, paths, records and reading them. May not be here: starting or stopping anything.
Below the driver's directory: `<node>/<uid>/POD_<attempt>/sandbox.json` and
`<node>/<uid>/<container>_<attempt>/` with `container.json`, the supervisor's files, and `root/`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedSandbox
from minikubelet.ports.runtimeport import ContainerConfig, RuntimeFault
from minikubelet.runtimes.lastwords import termination_message
from minikubelet.runtimes.process import shimspec

SANDBOX = "sandbox.json"
CONTAINER = "container.json"
POD = "POD"
LOST = 137
"""Exit code of a container whose supervisor died with it or before it: it was killed."""

_SAFE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_ID = re.compile(rf"({_SAFE.pattern})_({_SAFE.pattern})_([0-9]{{1,9}})")

Record = TypeVar("Record", bound=msgspec.Struct)


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox: no process, only what its containers share. Times in microseconds."""

    id: str
    uid: PodUid
    namespace: str
    name: str
    attempt: int
    hostname: str
    created_at: int
    boot: str
    stopped: bool = False


class ContainerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A container as created: nothing secret, its environment is in the supervisor's spec until read."""

    id: str
    uid: PodUid
    name: str
    attempt: int
    sandbox_id: str
    hash: str
    image: str
    created_at: int
    stop_signal: int
    log_path: str
    termination_log: str = ""
    falls_back: bool = False


class ShimState(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor wrote: start times are in ticks and guard against reused pids."""

    v: int = 1
    boot: str
    pid: int = 0
    start: int = 0
    shim: int = 0
    shim_start: int = 0
    started_at: int
    finished_at: int = 0
    exit_code: int | None = None
    reason: str = ""
    message: str = ""


def make_id(uid: str, name: str, attempt: int) -> str:
    """`<uid>_<name>_<attempt>`; RuntimeFault when a part could lead out of the state directory."""
    return f"{safe_name(uid)}_{safe_name(name)}_{attempt}"


def safe_name(name: str) -> str:
    """The name itself, if it can be that of a directory; RuntimeFault if not."""
    if not _SAFE.fullmatch(name):
        raise RuntimeFault("CreateContainerConfigError", f"{name!r} cannot be part of a directory's name")
    return name


def path_of(base: Path, any_id: str) -> Path | None:
    """The directory of a sandbox or container id; None if it is not one of this driver's ids."""
    found = _ID.fullmatch(any_id)
    return base / found[1] / f"{found[2]}_{found[3]}" if found else None


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """A record from disk; None if it is not there or not whole.

    Raises OSError where it cannot be looked: what cannot be seen must not be taken for gone.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def write_record(path: Path, record: msgspec.Struct) -> None:
    """Write a record so that a reader sees all of it or none."""
    shimspec.write_atomically(str(path), msgspec.json.encode(record))


def observed_sandbox(record: SandboxRecord, boot: str, ip: str) -> ObservedSandbox:
    """A sandbox as the port shows it: ready until stopped, and not beyond a restart of the machine."""
    ready = not record.stopped and record.boot == boot
    ips = (ip,) if ready and ip else ()
    return ObservedSandbox(record.id, record.attempt, ready, ips=ips, created_at=record.created_at)


def observed_container(record: ContainerRecord, state: ShimState | None) -> ObservedContainer:
    """A container as the port shows it; without a state it was not started."""
    phase = ContainerPhase.CREATED
    if state is not None:
        phase = ContainerPhase.RUNNING if state.exit_code is None else ContainerPhase.EXITED
    return ObservedContainer(
        id=record.id,
        name=record.name,
        attempt=record.attempt,
        phase=phase,
        sandbox_id=record.sandbox_id,
        hash=record.hash,
        image=record.image,
        image_id=image_id(record.image),
        created_at=record.created_at,
        started_at=state.started_at if state else 0,
        finished_at=state.finished_at if state else 0,
        exit_code=state.exit_code if state else None,
        reason=state.reason if state else "",
        message=_last_words(record, state) if state else "",
    )


def _last_words(record: ContainerRecord, state: ShimState) -> str:
    """Why it could not run, or what it left to be read once it has ended."""
    if state.message or state.exit_code is None:
        return state.message
    file = Path(record.termination_log) if record.termination_log else None
    log = Path(record.log_path) if record.falls_back and state.exit_code else None
    return termination_message(file, log)


def container_record(
    container_id: str, sandbox_id: str, config: ContainerConfig, created_at: int, signal: int
) -> ContainerRecord:
    """The record of a container that is being created."""
    return ContainerRecord(
        id=container_id,
        uid=config.uid,
        name=config.name,
        attempt=config.attempt,
        sandbox_id=sandbox_id,
        hash=config.hash,
        image=config.image,
        created_at=created_at,
        stop_signal=signal,
        log_path=str(config.log_path),
        termination_log=str(config.termination_log or ""),
        falls_back=config.fallback_to_logs,
    )


def image_id(image: str) -> str:
    """Id of an image, which is a name only: nothing is ever pulled."""
    return f"process:{image}"
