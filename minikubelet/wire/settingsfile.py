"""The configuration file: a KubeletConfiguration and an AgentConfiguration, each at most once.

Belongs here: reading the file's bytes with lines, paths and upstream's rules of defaults. May not be
here: files, flags, or what a setting leads to.
"""

from __future__ import annotations

import dataclasses
import posixpath
from typing import Any

import msgspec
from msgspec.structs import replace

from minikubelet.model.settings import (
    AgentSettings,
    AuthenticationSettings,
    KubeletSettings,
    Settings,
)
from minikubelet.wire.fieldpaths import Findings, report
from minikubelet.wire.fitting import fit, kind_of
from minikubelet.wire.settingschecks import check_agent, check_kubelet
from minikubelet.wire.settingsnames import KNOWN_INNER_FIELDS, KNOWN_KUBELET_FIELDS
from minikubelet.wire.yamldoc import Node, read_documents

KUBELET = ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration")
AGENT = ("minikubelet.dev/v1alpha1", "AgentConfiguration")

_ZERO_IS_UNSET = (
    "file_check_frequency", "sync_frequency", "max_pods", "pod_logs_dir", "container_log_max_size",
    "runtime_request_timeout", "node_status_update_frequency", "node_status_report_frequency",
    "node_lease_duration_seconds", "address", "port", "image_minimum_gc_age",
    "eviction_pressure_transition_period",
    "streaming_connection_idle_timeout",
)  # fmt: skip
_PATHS = ("static_pod_path", "pod_logs_dir", "resolv_conf", "tls_cert_file", "tls_private_key_file")


class SettingsFault(ValueError):
    """The configuration file cannot be used; `messages` say why, with line and field path."""

    def __init__(self, messages: tuple[str, ...]) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


class SettingsReading(msgspec.Struct, frozen=True):
    """Settings of a file, and warnings on fields that are known and do nothing."""

    settings: Settings
    warnings: tuple[str, ...] = ()


def read_settings(data: bytes, *, directory: str = "") -> SettingsReading:
    """Read a configuration file; raises SettingsFault.

    Relative paths in it are taken from `directory`, the file's own, as upstream does.
    """
    read = read_documents(data)
    if read.fault is not None:
        raise SettingsFault((str(read.fault),))
    documents = _by_kind(read.documents)
    messages: list[str] = []
    warnings: list[str] = []
    kubelet, agent = KubeletSettings(), AgentSettings()
    if KUBELET in documents:
        node = _without_known(documents[KUBELET], warnings)
        kubelet = _checked_kubelet(node, messages)
    if AGENT in documents:
        agent = _checked_agent(_body(documents[AGENT], ()), messages)
    if messages:
        raise SettingsFault(tuple(messages))
    kubelet = replace(
        kubelet,
        authentication=_with_authority(kubelet.authentication, directory),
        **_resolved(kubelet, _PATHS, directory),
    )
    agent = replace(agent, **_resolved(agent, ("state_dir", "host_root"), directory))
    return SettingsReading(Settings(kubelet=kubelet, agent=agent), tuple(warnings))


def _with_authority(settings: AuthenticationSettings, directory: str) -> AuthenticationSettings:
    file = settings.x509.client_ca_file
    if not file:
        return settings
    return replace(settings, x509=replace(settings.x509, client_ca_file=posixpath.join(directory, file)))


def _by_kind(documents: tuple[Node, ...]) -> dict[tuple[str, str], Node]:
    known: dict[tuple[str, str], Node] = {}
    for node in documents:
        if not isinstance(node.value, dict):
            raise SettingsFault((f"line {node.line}: expected a mapping, got {kind_of(node.value)}",))
        version, kind = (_text(node.value.get(key)) for key in ("apiVersion", "kind"))
        if (version, kind) not in (KUBELET, AGENT):
            told = f"{version or 'no apiVersion'}, {kind or 'no kind'}"[:120]
            wanted = " or ".join(f"`apiVersion: {one}` with `kind: {two}`" for one, two in (KUBELET, AGENT))
            raise SettingsFault((f"line {node.line}: expected {wanted}, got {told}",))
        if (version, kind) in known:
            first = known[version, kind].line
            raise SettingsFault((f"line {node.line}: a second {kind}; the first is on line {first}",))
        known[version, kind] = node
    return known


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""


def _body(node: Node, left_out: tuple[str, ...]) -> Node:
    entries = node.value if isinstance(node.value, dict) else {}
    skipped = ("apiVersion", "kind", *left_out)
    kept: dict[str, Node] = {key: child for key, child in entries.items() if key not in skipped}
    return Node(kept, node.line, node.column)


def _without_known(node: Node, warnings: list[str]) -> Node:
    entries = dict(node.value) if isinstance(node.value, dict) else {}
    for outer, known in KNOWN_INNER_FIELDS.items():
        inner = entries.get(outer)
        if inner is not None and isinstance(inner.value, dict):
            idle = tuple(key for key in inner.value if key in known)
            warnings.extend(_idle(inner.value[key], f"{outer}.{key}") for key in idle)
            kept = {key: child for key, child in inner.value.items() if key not in known}
            entries[outer] = dataclasses.replace(inner, value=kept)
    idle = tuple(key for key in entries if key in KNOWN_KUBELET_FIELDS)
    warnings.extend(_idle(entries[key], key) for key in idle)
    return _body(dataclasses.replace(node, value=entries), idle)


def _idle(node: Node, path: str) -> str:
    return f"line {node.key_line}: {path} is known but has no effect yet"


def _checked_kubelet(node: Node, messages: list[str]) -> KubeletSettings:
    findings = Findings()
    settings = fit(node, KubeletSettings, findings, also_known=KNOWN_KUBELET_FIELDS)
    if settings is None or findings.found:
        messages.extend(report(node, findings.found))
        return KubeletSettings()
    settings = _with_upstream_defaults(settings, node)
    check_kubelet(settings, findings)
    messages.extend(report(node, findings.found))
    return settings


def _with_upstream_defaults(settings: KubeletSettings, node: Node) -> KubeletSettings:
    written = node.value if isinstance(node.value, dict) else {}
    plain = KubeletSettings()
    unset: dict[str, Any] = {key: getattr(plain, key) for key in _ZERO_IS_UNSET if not getattr(settings, key)}
    if "nodeStatusUpdateFrequency" in written and not written.keys() & {"nodeStatusReportFrequency"}:
        unset["node_status_report_frequency"] = settings.node_status_update_frequency or 10.0
    if "serializeImagePulls" not in written:
        unset["serialize_image_pulls"] = (settings.max_parallel_image_pulls or 0) < 2  # noqa: PLR2004 - two are parallel
    return replace(settings, **unset)


def _checked_agent(node: Node, messages: list[str]) -> AgentSettings:
    findings = Findings()
    settings = fit(node, AgentSettings, findings)
    if settings is None or findings.found:
        messages.extend(report(node, findings.found))
        return AgentSettings()
    check_agent(settings, findings)
    messages.extend(report(node, findings.found))
    return settings


def _resolved(
    settings: KubeletSettings | AgentSettings, keys: tuple[str, ...], directory: str
) -> dict[str, Any]:
    paths = {key: str(getattr(settings, key)) for key in keys}
    return {key: posixpath.join(directory, path) for key, path in paths.items() if path}
