"""The engine's documents, and what they say in the port's words.

Decoding and translating only: which document is asked for when is the observer's. Only the fields that are
used are named; the rest of an engine's answer is skipped over.
"""

from __future__ import annotations

import calendar
import re
from typing import Final

import msgspec

from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedSandbox
from minikubelet.runtimes.docker import dockernames as names

CANNOT_RUN: Final = "ContainerCannotRun"
"""how a container ended whose start failed, in cri-dockerd's word"""

_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z")


class Network(msgspec.Struct, frozen=True, rename="pascal"):
    """One network that a container is on."""

    ip_address: str = msgspec.field(default="", name="IPAddress")
    ip6_address: str = msgspec.field(default="", name="GlobalIPv6Address")


class Networks(msgspec.Struct, frozen=True, rename="pascal"):
    """The networks of a container by name."""

    networks: dict[str, Network | None] | None = None


class Listed(msgspec.Struct, frozen=True, rename="pascal"):
    """An item of `GET containers/json`."""

    id: str
    created: int
    state: str = ""
    labels: dict[str, str] | None = None
    network_settings: Networks | None = None


class State(msgspec.Struct, frozen=True, rename="pascal"):
    """The state in an inspected container."""

    status: str
    exit_code: int = 0
    error: str = ""
    started_at: str = ""
    finished_at: str = ""
    oom_killed: bool = msgspec.field(default=False, name="OOMKilled")


class Config(msgspec.Struct, frozen=True, rename="pascal"):
    """The configuration in an inspected container."""

    image: str = ""
    tty: bool = False
    labels: dict[str, str] | None = None


class Inspected(msgspec.Struct, frozen=True, rename="pascal"):
    """The answer to `GET containers/<id>/json`."""

    id: str
    created: str
    image: str
    state: State
    config: Config
    log_path: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """The container's labels, none being an empty dictionary."""
        return self.config.labels or {}


def microseconds(text: str) -> int:
    """An engine's time as µs since the epoch; 0 for Go's zero time and for what is no time."""
    match = _TIME.fullmatch(text)
    if match is None or match[1] == "0001":
        return 0
    year, month, day, hour, minute, second = (int(match[number]) for number in range(1, 7))
    seconds = calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0))
    return seconds * 1_000_000 + int((match[7] or "").ljust(9, "0")[:6])


def never_ran(found: Inspected) -> bool:
    """Its start failed: the engine leaves it `created`, with an exit code and an error."""
    return found.state.status == "created" and found.state.exit_code != 0


def phase_of(found: Inspected) -> ContainerPhase:
    """The engine's seven states in CRI's four."""
    match found.state.status:
        case "created":
            return ContainerPhase.EXITED if never_ran(found) else ContainerPhase.CREATED
        case "running" | "paused" | "restarting":
            return ContainerPhase.RUNNING
        case "exited" | "dead" | "removing":
            return ContainerPhase.EXITED
        case _:
            return ContainerPhase.UNKNOWN


def observed(found: Inspected, message: str) -> ObservedContainer:
    """A container of a pod; `message` is the termination message of one that exited."""
    labels, phase = found.labels, phase_of(found)
    created = microseconds(found.created)
    container = ObservedContainer(
        id=found.id,
        name=labels.get(names.CONTAINER_NAME, ""),
        attempt=names.attempt_of(labels),
        phase=phase,
        sandbox_id=labels.get(names.SANDBOX_ID, ""),
        hash=labels.get(names.HASH, ""),
        image=found.config.image,
        image_id=found.image,
        created_at=created,
        started_at=microseconds(found.state.started_at),
    )
    return _ended(container, found, message) if phase is ContainerPhase.EXITED else container


def _ended(container: ObservedContainer, found: Inspected, message: str) -> ObservedContainer:
    state = found.state
    if never_ran(found):
        reason, message = CANNOT_RUN, message or " ".join(state.error.split())
    elif state.oom_killed:
        reason = "OOMKilled"
    else:
        reason = "Completed" if state.exit_code == 0 else "Error"
    return msgspec.structs.replace(
        container,
        # The engine notes a start after it, so that what ends at once seems to have ended before.
        finished_at=max(microseconds(state.finished_at), container.started_at) or container.created_at,
        exit_code=state.exit_code,
        reason=reason,
        message=message,
    )


def sandbox(item: Listed, state: str) -> ObservedSandbox:
    """A sandbox from its item in a list; `state` is the item's or what is known to be newer."""
    networks = (item.network_settings or Networks()).networks or {}
    addresses = [
        address
        for network in networks.values()
        if network is not None
        for address in (network.ip_address, network.ip6_address)
        if address
    ]
    return ObservedSandbox(
        id=item.id,
        attempt=names.attempt_of(item.labels or {}),
        ready=state == "running",
        ips=tuple(addresses),
        created_at=item.created * 1_000_000,
    )
