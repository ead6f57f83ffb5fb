"""What a configuration file's values have to keep to, beyond their types.

Belongs here: rules for values, and what they say of where they are broken. May not be here: reading the file
(`settingsfile`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from minikubelet.core.sysctls import dotted, namespace_of
from minikubelet.model.podquantity import parse_quantity
from minikubelet.model.settings import AgentSettings, AuthorizationMode, KubeletSettings, LogFormat
from minikubelet.wire import check_names as names
from minikubelet.wire.evictionsettings import check_eviction
from minikubelet.wire.fieldpaths import Findings

_AT_LEAST: dict[str, float] = {
    "fileCheckFrequency": 0, "syncFrequency": 0, "maxPods": 0, "containerLogMaxSize": 0,
    "containerLogMaxFiles": 2, "containerLogMonitorInterval": 1, "runtimeRequestTimeout": 0,
    "maxParallelImagePulls": 1,
    "nodeStatusUpdateFrequency": 0, "nodeStatusReportFrequency": 0, "nodeLeaseDurationSeconds": 0,
    "imageGCHighThresholdPercent": 0, "imageGCLowThresholdPercent": 0, "imageMinimumGCAge": 0,
    "imageMaximumGCAge": 0, "evictionPressureTransitionPeriod": 0, "evictionMaxPodGracePeriod": 0,
    "shutdownGracePeriod": 0, "shutdownGracePeriodCriticalPods": 0,
    "streamingConnectionIdleTimeout": 0,
}  # fmt: skip


def check_kubelet(settings: KubeletSettings, findings: Findings) -> None:
    """Find what is wrong with a KubeletConfiguration's values."""
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
    check_eviction(settings, findings)
    _check_logging(settings, findings)
    _check_node_api(settings, findings)
    _check_room(settings, findings)
    _check_shutdown(settings, findings)
    if settings.serialize_image_pulls and (settings.max_parallel_image_pulls or 0) > 1:
        findings.forbidden(("maxParallelImagePulls",), "cannot be set while serializeImagePulls is true")


def _check_logging(settings: KubeletSettings, findings: Findings) -> None:
    if settings.logging.format not in [form.value for form in LogFormat]:
        findings.invalid(("logging", "format"), settings.logging.format, "Unsupported log format")


def _check_shutdown(settings: KubeletSettings, findings: Findings) -> None:
    whole, critical = settings.shutdown_grace_period, settings.shutdown_grace_period_critical_pods
    for key, value in (("shutdownGracePeriod", whole), ("shutdownGracePeriodCriticalPods", critical)):
        if 0 < value < 1:
            findings.invalid((key,), f"{value:g}s", "must be at least 1s, or 0")
    if critical > whole:
        findings.invalid(
            ("shutdownGracePeriodCriticalPods",), f"{critical:g}s", "must not exceed shutdownGracePeriod"
        )
    key = "shutdownGracePeriodByPodPriority"
    if settings.shutdown_by_priority and (whole or critical):
        findings.forbidden((key,), "cannot be set together with shutdownGracePeriod")
    seen: set[int] = set()
    for number, each in enumerate(settings.shutdown_by_priority):
        if each.shutdown_grace_period_seconds < 0:
            path = (key, number, "shutdownGracePeriodSeconds")
            findings.invalid(path, each.shutdown_grace_period_seconds, "must be at least 0")
        if each.priority in seen:
            findings.invalid((key, number, "priority"), each.priority, "is there twice")
        seen.add(each.priority)


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


def check_agent(settings: AgentSettings, findings: Findings) -> None:
    """Find what is wrong with an AgentConfiguration's values."""
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
