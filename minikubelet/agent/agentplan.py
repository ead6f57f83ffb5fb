"""The plan of an agent: flags and configuration file resolved into what is going to run.

Belongs here: precedence (flags, file, defaults), places on the disk, the node's name and address. May not
be here: anything that opens a socket to others or starts a task.
"""

from __future__ import annotations

import argparse
import os
import socket
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

import msgspec

from minikubelet.model.settings import KubeletSettings, LoggingSettings, Settings
from minikubelet.wire import check_names
from minikubelet.wire.settingsfile import SettingsFault, read_settings


class StartFault(Exception):
    """The agent cannot start; the text says what is wrong, where, and what to do."""


class Upstream(Enum):
    """Which API server the agent reports to."""

    EMBEDDED = "embedded stub"
    JOINED = "kubeconfig"
    NONE = "standalone"


class Places(msgspec.Struct, frozen=True):
    """Where things lie; `root` is the state directory."""

    root: Path
    logs: Path
    manifests: Path | None

    @property
    def journal(self) -> Path:
        """The journal's directory."""
        return self.root / "journal"

    @property
    def stub(self) -> Path:
        """The embedded API server's state."""
        return self.root / "apiserver"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the embedded API server."""
        return self.root / "kubeconfig"

    @property
    def socket(self) -> Path:
        """The socket on which the running agent answers."""
        return self.root / "agent.sock"


class AgentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is going to run."""

    settings: Settings
    places: Places
    node_name: str
    node_ips: tuple[str, ...]
    upstream: Upstream
    kubeconfig: Path | None = None
    bootstrap_kubeconfig: Path | None = None
    cert_dir: Path
    endpoint: str = ""
    logging: LoggingSettings = LoggingSettings()
    warnings: tuple[str, ...] = ()


def make_plan(options: argparse.Namespace) -> AgentPlan:
    """Resolve the options of `minikubelet run`; raises StartFault."""
    settings, warnings = _settings(options.config)
    kubelet, agent = settings.kubelet, settings.agent
    root = _normal(options.root_dir or agent.state_dir or _default_root())
    manifests = options.pod_manifest_path or kubelet.static_pod_path
    for flag, given in (
        ("--kubeconfig", options.kubeconfig),
        ("--bootstrap-kubeconfig", options.bootstrap_kubeconfig),
    ):
        if options.standalone and given:
            raise StartFault(f"--standalone and {flag} exclude each other; leave one out")
    if options.kubeconfig or options.bootstrap_kubeconfig:
        upstream = Upstream.JOINED
    elif options.standalone or not agent.api_server.embed:
        upstream = Upstream.NONE
    else:
        upstream = Upstream.EMBEDDED
    if not manifests and upstream is Upstream.NONE:
        raise StartFault(
            "there is nothing to run: name a manifest folder (staticPodPath in the configuration file, or "
            "--pod-manifest-path) or an API server (--kubeconfig)"
        )
    _can_wait_for_pods(kubelet)
    return AgentPlan(
        settings=settings,
        places=Places(
            root, _logs(_normal(kubelet.pod_logs_dir), root), _normal(manifests) if manifests else None
        ),
        node_name=_node_name(options.hostname_override),
        node_ips=(_node_ip(options.node_ip),),
        upstream=upstream,
        kubeconfig=options.kubeconfig,
        bootstrap_kubeconfig=options.bootstrap_kubeconfig,
        cert_dir=_normal(options.cert_dir) if options.cert_dir else root / "pki",
        endpoint=options.container_runtime_endpoint or kubelet.container_runtime_endpoint,
        logging=_logging(options, kubelet.logging),
        warnings=warnings,
    )


def _can_wait_for_pods(settings: KubeletSettings) -> None:
    if (settings.shutdown_grace_period or settings.shutdown_by_priority) and find_spec("dbus_fast") is None:
        raise StartFault(
            "to have a shutdown of the machine wait for pods (shutdownGracePeriod), the package dbus-fast is "
            "needed: pip install 'minikubelet[logind]'"
        )


def _logging(options: argparse.Namespace, file: LoggingSettings) -> LoggingSettings:
    return LoggingSettings(
        format=options.logging_format or file.format,
        verbosity=file.verbosity if options.verbosity is None else options.verbosity,
    )


def _settings(path: Path | None) -> tuple[Settings, tuple[str, ...]]:
    if path is None:
        return Settings(), ()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StartFault(f"--config {path} cannot be read: {error.strerror}") from error
    if not data.strip():
        raise StartFault(f"{path}: the file is empty; leave --config out to run with the defaults")
    try:
        reading = read_settings(data, directory=str(path.parent.absolute()))
    except SettingsFault as fault:
        raise StartFault("\n".join(f"{path}: {message}" for message in fault.messages)) from fault
    return reading.settings, tuple(f"{path}: {warning}" for warning in reading.warnings)


def _default_root() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/minikubelet")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "minikubelet"


def _normal(path: str | Path) -> Path:
    """Absolute and without `..`; links stay what they are."""
    return Path(os.path.normpath(Path(path).absolute()))


def _logs(path: Path, root: Path) -> Path:
    """The directory of container logs; upstream's default is used where it can be written."""
    parent = next(p for p in (path, *path.parents) if os.path.lexists(p))
    return path if os.access(parent, os.W_OK) else root / "logs"


def _node_name(override: str | None) -> str:
    """The node's name as upstream makes it: lower case, without surrounding blanks."""
    name = (override or socket.gethostname()).strip().lower()
    if not name:
        raise StartFault("the host has no name; give one with --hostname-override")
    fault = check_names.dns_subdomain(name)
    if fault is not None:
        raise StartFault(f"the node's name {name!r} {fault}; give one with --hostname-override")
    return name


def _node_ip(wanted: str | None) -> str:
    fault = check_names.ip_address(wanted) if wanted else None
    if fault is not None:
        raise StartFault(f"--node-ip {wanted!r} {fault}")
    return wanted or _own_address()


def _own_address() -> str:
    """The address of the default route's interface; connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
