"""Rules for containers: names, images, ports, mounts, resources, security.

Belongs here: rules of one container and of several together. May not be here: variables, probes and
security contexts, which have modules of their own.
"""

from __future__ import annotations

from minikubelet.model.pod import (
    Container,
    ContainerPort,
    PodSpec,
    ResourceRequirements,
    SecurityContext,
    VolumeMount,
)
from minikubelet.model.podbase import (
    ImagePullPolicy,
    MountPropagationMode,
    Protocol,
    TerminationMessagePolicy,
)
from minikubelet.model.podquantity import parse_quantity
from minikubelet.wire import check_names as names
from minikubelet.wire.check_env import check_env, check_env_from
from minikubelet.wire.check_probes import check_probes
from minikubelet.wire.check_restarts import check_restarts
from minikubelet.wire.check_security import check_security
from minikubelet.wire.fieldpaths import Findings, Path

_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_MAX_MOUNT_PATH = 4096


def check_containers(spec: PodSpec, path: Path, findings: Findings) -> None:
    """Check init and main containers together: names are unique among all of them."""
    if not spec.containers:
        findings.required((*path, "containers"))
    seen: set[str] = set()
    host_ports: set[tuple[str, str, int]] = set()
    for key, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for number, container in enumerate(containers):
            at = (*path, key, number)
            _check_name(container, at, seen, findings)
            _check_container(container, spec, at, findings)
            _check_role(container, spec, at, findings, init=key == "initContainers")
            if (
                key == "containers" or container.restart_policy == "Always"
            ):  # plain init containers never run together
                _check_host_ports(container, at, host_ports, findings)


def _check_name(container: Container, at: Path, seen: set[str], findings: Findings) -> None:
    wrong = names.dns_label(container.name)
    if not container.name:
        findings.required((*at, "name"))
    elif wrong:
        findings.invalid((*at, "name"), container.name, wrong)
    elif container.name in seen:
        findings.duplicate((*at, "name"), container.name)
    seen.add(container.name)


def _check_container(container: Container, spec: PodSpec, at: Path, findings: Findings) -> None:
    if not container.image:
        findings.required((*at, "image"))
    elif container.image != container.image.strip():
        findings.invalid((*at, "image"), container.image, "must not have leading or trailing spaces")
    if container.image_pull_policy not in tuple(ImagePullPolicy):
        findings.unsupported((*at, "imagePullPolicy"), container.image_pull_policy, tuple(ImagePullPolicy))
    if container.termination_message_policy not in tuple(TerminationMessagePolicy):
        findings.unsupported(
            (*at, "terminationMessagePolicy"),
            container.termination_message_policy,
            tuple(TerminationMessagePolicy),
        )
    _check_ports(container, spec, (*at, "ports"), findings)
    check_env(container.env, (*at, "env"), findings)
    check_env_from(container.env_from, (*at, "envFrom"), findings)
    _check_mounts(container, spec, (*at, "volumeMounts"), findings)
    check_resources(container.resources, (*at, "resources"), findings)
    if container.security_context is not None:
        check_security(container.security_context, (*at, "securityContext"), findings)


def _check_role(container: Container, spec: PodSpec, at: Path, findings: Findings, *, init: bool) -> None:
    sidecar = init and container.restart_policy == "Always"
    check_restarts(container, at, findings)
    if not init or sidecar:
        check_probes(container, at, findings, grace=spec.termination_grace_period_seconds)
        return
    for key, given in (
        ("lifecycle", container.lifecycle),
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
    ):
        if given is not None:
            findings.forbidden((*at, key), "may not be set for init containers without restartPolicy=Always")


def _check_ports(container: Container, spec: PodSpec, path: Path, findings: Findings) -> None:
    seen: set[str] = set()
    for number, port in enumerate(container.ports):
        at = (*path, number)
        _check_port(port, at, findings, host_network=spec.host_network)
        if port.name and port.name in seen:
            findings.duplicate((*at, "name"), port.name)
        seen.add(port.name)


def _check_port(port: ContainerPort, at: Path, findings: Findings, *, host_network: bool) -> None:
    wrong_name = names.port_name(port.name) if port.name else None
    if wrong_name:
        findings.invalid((*at, "name"), port.name, wrong_name)
    wrong = names.port_number(port.container_port)
    if wrong:
        findings.invalid((*at, "containerPort"), port.container_port, wrong)
    wrong_host = names.port_number(port.host_port) if port.host_port else None
    if wrong_host:
        findings.invalid((*at, "hostPort"), port.host_port, wrong_host)
    elif host_network and port.host_port != port.container_port:
        findings.invalid(
            (*at, "hostPort"), port.host_port, "must match `containerPort` when `hostNetwork` is true"
        )
    if port.protocol not in tuple(Protocol):
        findings.unsupported((*at, "protocol"), port.protocol, tuple(Protocol))
    wrong_ip = names.ip_address(port.host_ip) if port.host_ip else None
    if wrong_ip:
        findings.invalid((*at, "hostIP"), port.host_ip, wrong_ip)


def _check_host_ports(
    container: Container, at: Path, taken: set[tuple[str, str, int]], findings: Findings
) -> None:
    for number, port in enumerate(container.ports):
        key = (port.protocol, port.host_ip, port.host_port)
        if port.host_port and key in taken:
            findings.duplicate((*at, "ports", number, "hostPort"), port.host_port)
        taken.add(key)


def _check_mounts(container: Container, spec: PodSpec, path: Path, findings: Findings) -> None:
    volumes = {volume.name for volume in spec.volumes}
    places: set[str] = set()
    for number, mount in enumerate(container.volume_mounts):
        at = (*path, number)
        if not mount.name:
            findings.required((*at, "name"))
        elif mount.name not in volumes:
            findings.add((*at, "name"), f'Not found: "{mount.name[:63]}"')
        if not mount.mount_path:
            findings.required((*at, "mountPath"))
        elif len(mount.mount_path) > _MAX_MOUNT_PATH or ":" in mount.mount_path:
            findings.invalid((*at, "mountPath"), mount.mount_path, "must be a path without ':'")
        elif mount.mount_path in places:
            findings.invalid((*at, "mountPath"), mount.mount_path, "must be unique")
        places.add(mount.mount_path)
        _check_mount(mount, container.security_context, at, findings)


def _check_mount(mount: VolumeMount, security: SecurityContext | None, at: Path, findings: Findings) -> None:
    if mount.sub_path and mount.sub_path_expr:
        findings.invalid(
            (*at, "subPathExpr"), mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive"
        )
    for key, sub_path in (("subPath", mount.sub_path), ("subPathExpr", mount.sub_path_expr)):
        wrong = names.local_path(sub_path) if sub_path else None
        if wrong:
            findings.invalid((*at, key), sub_path, wrong)
    if mount.mount_propagation not in ("", *MountPropagationMode):
        findings.unsupported((*at, "mountPropagation"), mount.mount_propagation, tuple(MountPropagationMode))
    if mount.mount_propagation == MountPropagationMode.BIDIRECTIONAL and not (
        security and security.privileged
    ):
        findings.forbidden((*at, "mountPropagation"), "Bidirectional needs a privileged container")
    if mount.recursive_read_only not in ("", "Disabled", "IfPossible", "Enabled"):
        supported = ("Disabled", "IfPossible", "Enabled")
        findings.unsupported((*at, "recursiveReadOnly"), mount.recursive_read_only, supported)
    elif mount.recursive_read_only in ("IfPossible", "Enabled") and not mount.read_only:
        findings.forbidden((*at, "recursiveReadOnly"), "may only be specified when readOnly is true")


def check_resources(resources: ResourceRequirements, path: Path, findings: Findings) -> None:
    """Check requests and limits: names, quantities, and that no request exceeds its limit."""
    for kind, quantities in (("limits", resources.limits), ("requests", resources.requests)):
        check_quantities(quantities, (*path, kind), findings)
    for name, text in resources.requests.items():
        limit = resources.limits.get(name)
        try:
            if limit is not None and parse_quantity(text) > parse_quantity(limit):
                findings.invalid(
                    (*path, "requests", name), text, f"must be less than or equal to {name} limit of {limit}"
                )
        except ValueError:
            continue  # said above


def check_quantities(quantities: dict[str, str], path: Path, findings: Findings) -> None:
    """Check amounts of resources by name: cpu, memory, storage, huge pages and extended ones."""
    for name, text in quantities.items():
        _check_resource(name, text, (*path, name), findings)


def _check_resource(name: str, text: str, at: Path, findings: Findings) -> None:
    wrong = names.qualified_name(name)
    if wrong:
        findings.invalid(at, name, wrong)
    elif "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        findings.invalid(
            at, name, f"must be {', '.join(_STANDARD_RESOURCES)}, hugepages-<size> or <domain>/<name>"
        )
    try:
        amount = parse_quantity(text)
        if amount < 0:
            findings.invalid(at, text, "must be greater than or equal to 0")
        elif "/" in name and amount.denominator != 1:
            findings.invalid(at, text, "must be an integer")
    except ValueError as error:
        findings.invalid(at, text, str(error))
