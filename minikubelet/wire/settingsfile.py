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

from minikubelet.core.sysctls import dotted, namespace_of
from minikubelet.model.podquantity import parse_quantity
from minikubelet.model.settings import (
    AgentSettings,
    AuthenticationSettings,
    AuthorizationMode,
    KubeletSettings,
    LogFormat,
    Settings,
)
from minikubelet.wire import check_names as names
from minikubelet.wire.fieldpaths import Findings, report
from minikubelet.wire.fitting import fit, kind_of
from minikubelet.wire.settingsnames import KNOWN_INNER_FIELDS, KNOWN_KUBELET_FIELDS
from minikubelet.wire.yamldoc import Node, read_documents

KUBELET = ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration")
AGENT = ("minikubelet.dev/v1alpha1", "AgentConfiguration")

_ZERO_IS_UNSET = (
    "file_check_frequency", "sync_frequency", "max_pods", "pod_logs_dir", "container_log_max_size",
    "runtime_request_timeout", "node_status_update_frequency", "node_status_report_frequency",
    "node_lease_duration_seconds", "address", "port", "image_minimum_gc_age",
    "streaming_connection_idle_timeout",
)  # fmt: skip
_PATHS = ("static_pod_path", "pod_logs_dir", "resolv_conf", "tls_cert_file", "tls_private_key_file")
_AT_LEAST: dict[str, float] = {
    "fileCheckFrequency": 0, "syncFrequency": 0, "maxPods": 0, "containerLogMaxSize": 0,
    "containerLogMaxFiles": 2, "containerLogMonitorInterval": 1, "runtimeRequestTimeout": 0,
    "maxParallelImagePulls": 1,
    "nodeStatusUpdateFrequency": 0, "nodeStatusReportFrequency": 0, "nodeLeaseDurationSeconds": 0,
    "imageGCHighThresholdPercent": 0, "imageGCLowThresholdPercent": 0, "imageMinimumGCAge": 0,
    "imageMaximumGCAge": 0, "shutdownGracePeriod": 0, "shutdownGracePeriodCriticalPods": 0,
    "streamingConnectionIdleTimeout": 0,
}  # fmt: skip


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
    for key, least in _AT_LEAST.items():
        value = _by_name(settings, key)
        if value is not None and value < least:
            findings.invalid((key,), value, f"must be at least {least:g}")
    for number, address in enumerate(settings.cluster_dns):
        wrong = names.ip_address(address)
        if wrong:
            findings.invalid(("clusterDNS", number), address, wrong)
    for number, name in enumerate(settings.allowed_unsafe_sysctls):
        if not namespace_of(dotted(name).removesuffix("*")):
            findings.invalid(("allowedUnsafeSysctls", number), name, "is not known to be namespaced")
    _check_logging(settings, findings)
    _check_node_api(settings, findings)
    _check_room(settings, findings)
    if settings.shutdown_grace_period_critical_pods > settings.shutdown_grace_period:
        key, value = "shutdownGracePeriodCriticalPods", settings.shutdown_grace_period_critical_pods
        findings.invalid((key,), value, "must not exceed shutdownGracePeriod")
    if settings.serialize_image_pulls and (settings.max_parallel_image_pulls or 0) > 1:
        findings.forbidden(("maxParallelImagePulls",), "cannot be set while serializeImagePulls is true")
    messages.extend(report(node, findings.found))
    return settings


def _check_logging(settings: KubeletSettings, findings: Findings) -> None:
    if settings.logging.format not in [form.value for form in LogFormat]:
        findings.invalid(("logging", "format"), settings.logging.format, "Unsupported log format")


def _check_node_api(settings: KubeletSettings, findings: Findings) -> None:
    wrong = names.ip_address(settings.address)
    if wrong:
        findings.invalid(("address",), settings.address, wrong)
    if not 0 < settings.port < 1 << 16:
        findings.invalid(("port",), settings.port, "must be between 1 and 65535")
    modes = [mode.value for mode in AuthorizationMode]
    if settings.authorization.mode not in modes:
        findings.invalid(
            ("authorization", "mode"), settings.authorization.mode, f"must be {' or '.join(modes)}"
        )
    if bool(settings.tls_cert_file) != bool(settings.tls_private_key_file):
        findings.invalid(("tlsCertFile",), settings.tls_cert_file, "goes together with tlsPrivateKeyFile")
    if settings.tls_cert_file and settings.server_tls_bootstrap:
        findings.forbidden(("serverTLSBootstrap",), "cannot be set while tlsCertFile names a certificate")


_RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")


def _check_room(settings: KubeletSettings, findings: Findings) -> None:
    """What is reserved, and how full the disk of images may be."""
    for key in ("systemReserved", "kubeReserved"):
        for name, quantity in _by_name(settings, key).items():
            if name not in _RESERVABLE:
                findings.unsupported((key, name), name, _RESERVABLE)
            elif _negative(quantity):
                findings.invalid((key, name), quantity, "must be a quantity of at least 0")
    high, low = settings.image_gc_high_threshold_percent, settings.image_gc_low_threshold_percent
    if high > 100:  # noqa: PLR2004 - per cent have no other most
        findings.invalid(("imageGCHighThresholdPercent",), high, "must be at most 100")
    if low >= high:
        findings.invalid(
            ("imageGCLowThresholdPercent",), low, "must be less than imageGCHighThresholdPercent"
        )
    if 0 < settings.image_maximum_gc_age <= settings.image_minimum_gc_age:
        age = settings.image_maximum_gc_age
        findings.invalid(("imageMaximumGCAge",), f"{age:g}s", "must be more than imageMinimumGCAge")


def _negative(quantity: str) -> bool:
    try:
        return parse_quantity(quantity) < 0
    except ValueError:
        return True


def _by_name(settings: KubeletSettings, key: str) -> Any:
    fields = {one.encode_name: one.name for one in msgspec.structs.fields(settings)}
    return getattr(settings, fields[key])


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
    wrong = names.dns_label(settings.static_pod_namespace)
    if wrong:
        findings.invalid(("staticPodNamespace",), settings.static_pod_namespace, wrong)
    if not 0 <= settings.api_server.port < 1 << 16:
        findings.invalid(("apiServer", "port"), settings.api_server.port, "must be between 0 and 65535")
    wrong = names.ip_address(settings.api_server.address)
    if wrong:
        findings.invalid(("apiServer", "address"), settings.api_server.address, wrong)
    if settings.max_concurrent_runtime_calls < 1:
        findings.invalid(
            ("maxConcurrentRuntimeCalls",), settings.max_concurrent_runtime_calls, "must be at least 1"
        )
    for key, value in (
        ("maxSize", settings.journal.max_size),
        ("segmentSize", settings.journal.segment_size),
    ):
        if value < 64 * 1024:
            findings.invalid(("journal", key), value, "must be at least 64Ki")
    if settings.journal.max_age <= 0:
        findings.invalid(("journal", "maxAge"), settings.journal.max_age, "must be greater than 0")
    messages.extend(report(node, findings.found))
    return settings


def _resolved(
    settings: KubeletSettings | AgentSettings, keys: tuple[str, ...], directory: str
) -> dict[str, Any]:
    paths = {key: str(getattr(settings, key)) for key in keys}
    return {key: posixpath.join(directory, path) for key, path in paths.items() if path}
