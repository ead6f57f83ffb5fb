"""Rules for a whole pod, as the API server checks them, after defaults have been filled in.

Belongs here: metadata and the pod's own fields; containers, volumes, probes and the rest have their
modules. May not be here: what only static pods must not do (`check_static`). Follows upstream's
`pkg/apis/core/validation` in what it refuses.
"""

from __future__ import annotations

from minikubelet.model.pod import HostAlias, ObjectMeta, Pod, PodDNSConfig, PodSpec, Toleration
from minikubelet.model.podbase import DnsPolicy, RestartPolicy, TaintEffect
from minikubelet.wire import check_names as names
from minikubelet.wire.check_affinity import check_affinity
from minikubelet.wire.check_containers import check_containers, check_quantities, check_resources
from minikubelet.wire.check_security import check_pod_security
from minikubelet.wire.check_volumes import check_volumes
from minikubelet.wire.fieldpaths import Findings, Path

_MAX_ANNOTATIONS = 256 * 1024
_MAX_INT32 = 2**31 - 1
_INT32 = range(-(2**31), 2**31)
_MAX_NAMESERVERS = 3
_MAX_SEARCHES = 32
_OPERATORS = ("Equal", "Exists")


def check_pod(pod: Pod, findings: Findings) -> None:
    """Add everything that is wrong with a pod to `findings`, with field paths."""
    _check_metadata(pod.metadata, ("metadata",), findings)
    spec, path = pod.spec, ("spec",)
    check_volumes(spec.volumes, (*path, "volumes"), findings)
    check_containers(spec, path, findings)
    _check_lifetime(spec, path, findings)
    _check_names(spec, path, findings)
    _check_dns(spec, path, findings)
    _check_aliases(spec.host_aliases, (*path, "hostAliases"), findings)
    _check_tolerations(spec.tolerations, (*path, "tolerations"), findings)
    _check_labels(spec.node_selector, (*path, "nodeSelector"), findings)
    if spec.affinity is not None:
        check_affinity(spec.affinity, (*path, "affinity"), findings)
    check_quantities(spec.overhead, (*path, "overhead"), findings)
    if spec.security_context is not None:
        check_pod_security(spec.security_context, (*path, "securityContext"), findings)
    if spec.resources is not None:
        check_resources(spec.resources, (*path, "resources"), findings)
    if spec.host_pid and spec.share_process_namespace:
        findings.invalid((*path, "shareProcessNamespace"), True, "cannot be true while `hostPID` is true")


def _check_metadata(metadata: ObjectMeta, path: Path, findings: Findings) -> None:
    wrong = names.dns_subdomain(metadata.name)
    if not metadata.name:
        findings.required((*path, "name"))
    elif wrong:
        findings.invalid((*path, "name"), metadata.name, wrong)
    wrong = names.dns_label(metadata.namespace) if metadata.namespace else None
    if wrong:
        findings.invalid((*path, "namespace"), metadata.namespace, wrong)
    _check_labels(metadata.labels, (*path, "labels"), findings)
    for key in metadata.annotations:
        wrong = names.qualified_name(key.lower())
        if wrong:
            findings.invalid((*path, "annotations", key), key, wrong)
    size = sum(len(key) + len(value.encode()) for key, value in metadata.annotations.items())
    if size > _MAX_ANNOTATIONS:
        findings.add((*path, "annotations"), f"Too long: must have at most {_MAX_ANNOTATIONS} bytes")


def _check_labels(labels: dict[str, str], path: Path, findings: Findings) -> None:
    for key, value in labels.items():
        wrong_key, wrong_value = names.qualified_name(key), names.label_value(value)
        if wrong_key:
            findings.invalid((*path, key), key, wrong_key)
        if wrong_value:
            findings.invalid((*path, key), value, wrong_value)


def _check_lifetime(spec: PodSpec, path: Path, findings: Findings) -> None:
    if spec.restart_policy not in tuple(RestartPolicy):
        findings.unsupported((*path, "restartPolicy"), spec.restart_policy, tuple(RestartPolicy))
    grace, deadline = spec.termination_grace_period_seconds, spec.active_deadline_seconds
    if grace is not None and grace < 0:
        findings.invalid(
            (*path, "terminationGracePeriodSeconds"), grace, "must be greater than or equal to 0"
        )
    if deadline is not None and not 1 <= deadline <= _MAX_INT32:
        findings.invalid(
            (*path, "activeDeadlineSeconds"), deadline, f"must be between 1 and {_MAX_INT32}, inclusive"
        )
    if spec.priority is not None and spec.priority not in _INT32:
        findings.invalid(
            (*path, "priority"), spec.priority, f"must be between {_INT32[0]} and {_INT32[-1]}, inclusive"
        )
    if spec.ephemeral_containers:
        findings.forbidden(
            (*path, "ephemeralContainers"), "ephemeral containers cannot be part of a manifest"
        )


def _check_names(spec: PodSpec, path: Path, findings: Findings) -> None:
    for key, text in (("hostname", spec.hostname), ("subdomain", spec.subdomain)):
        wrong = names.dns_label(text) if text else None
        if wrong:
            findings.invalid((*path, key), text, wrong)
    for key, text in (
        ("serviceAccountName", spec.service_account_name),
        ("nodeName", spec.node_name),
        ("priorityClassName", spec.priority_class_name),
        ("runtimeClassName", spec.runtime_class_name),
        ("hostnameOverride", spec.hostname_override),
    ):
        wrong = names.dns_subdomain(text) if text else None
        if wrong:
            findings.invalid((*path, key), text, wrong)
    for number, secret in enumerate(spec.image_pull_secrets):
        if not secret.name:
            findings.required((*path, "imagePullSecrets", number, "name"))
    for number, gate in enumerate(spec.readiness_gates):
        wrong = names.qualified_name(gate.condition_type)
        if wrong:
            findings.invalid((*path, "readinessGates", number, "conditionType"), gate.condition_type, wrong)
    if spec.os is not None and spec.os.name not in ("linux", "windows"):
        findings.unsupported((*path, "os", "name"), spec.os.name, ("linux", "windows"))


def _check_dns(spec: PodSpec, path: Path, findings: Findings) -> None:
    if spec.dns_policy not in tuple(DnsPolicy):
        findings.unsupported((*path, "dnsPolicy"), spec.dns_policy, tuple(DnsPolicy))
    config, at = spec.dns_config or PodDNSConfig(), (*path, "dnsConfig")
    if spec.dns_policy == DnsPolicy.NONE and not config.nameservers:
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        findings.required((*at, "nameservers") if spec.dns_config else at, why)
    _check_dns_config(config, at, findings)


def _check_dns_config(config: PodDNSConfig, at: Path, findings: Findings) -> None:
    if len(config.nameservers) > _MAX_NAMESERVERS:
        findings.add((*at, "nameservers"), f"Too many: must have at most {_MAX_NAMESERVERS} items")
    for number, address in enumerate(config.nameservers):
        wrong = names.ip_address(address)
        if wrong:
            findings.invalid((*at, "nameservers", number), address, wrong)
    if len(config.searches) > _MAX_SEARCHES:
        findings.add((*at, "searches"), f"Too many: must have at most {_MAX_SEARCHES} items")
    for number, search in enumerate(config.searches):
        wrong = None if search == "." else names.dns_subdomain(search.rstrip(".").replace("_", ""))
        if wrong:
            findings.invalid((*at, "searches", number), search, wrong)
    for number, option in enumerate(config.options):
        if not option.name:
            findings.required((*at, "options", number, "name"))


def _check_aliases(aliases: tuple[HostAlias, ...], path: Path, findings: Findings) -> None:
    for number, alias in enumerate(aliases):
        wrong = names.ip_address(alias.ip)
        if wrong:
            findings.invalid((*path, number, "ip"), alias.ip, wrong)
        for place, host in enumerate(alias.hostnames):
            wrong = names.dns_subdomain(host)
            if wrong:
                findings.invalid((*path, number, "hostnames", place), host, wrong)


def _check_tolerations(tolerations: tuple[Toleration, ...], path: Path, findings: Findings) -> None:
    for number, toleration in enumerate(tolerations):
        at = (*path, number)
        wrong = names.qualified_name(toleration.key) if toleration.key else None
        if wrong:
            findings.invalid((*at, "key"), toleration.key, wrong)
        if not toleration.key and toleration.operator != "Exists":
            findings.invalid((*at, "operator"), toleration.operator, "must be Exists when `key` is empty")
        if toleration.operator not in ("", *_OPERATORS):
            findings.unsupported((*at, "operator"), toleration.operator, _OPERATORS)
        elif toleration.operator == "Exists" and toleration.value:
            findings.invalid((*at, "value"), toleration.value, "must be empty when `operator` is Exists")
        if toleration.effect not in ("", *TaintEffect):
            findings.unsupported((*at, "effect"), toleration.effect, tuple(TaintEffect))
        if toleration.toleration_seconds is not None and toleration.effect != TaintEffect.NO_EXECUTE:
            findings.invalid(
                (*at, "effect"), toleration.effect, "must be NoExecute when `tolerationSeconds` is set"
            )
