"""What a container's variables take from API objects: ConfigMaps, Secrets and the Services of its namespace.

Belongs here: reading what `environment` needs, and spelling service variables as upstream's
pkg/kubelet/envvars does. May not be here: which variable gets which value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from minikubelet.model.pod import Container, Pod
from minikubelet.ports.objectport import ObjectFault, ObjectKind, ObjectReader, Service
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.environment import Looked
from minikubelet.wire.podmarks import CONFIG_SOURCE

_MASTER: Final = ("default", "kubernetes")
_NO_IP: Final = ("", "None")

_Wanted = dict[tuple[ObjectKind, str], bool]
"""Objects by kind and name, and whether the container cannot do without."""


async def look_up(pod: Pod, container: Container, objects: ObjectReader) -> Looked:
    """Read what the container's variables refer to; raises RuntimeFault in upstream's words."""
    config_maps: dict[str, Mapping[str, str]] = {}
    secrets: dict[str, Mapping[str, str]] = {}
    namespace = pod.metadata.namespace
    try:
        for (kind, name), needed in _wanted(container).items():
            try:
                if kind is ObjectKind.CONFIG_MAP:
                    config_maps[name] = (await objects.config_map(namespace, name)).data
                else:
                    held = (await objects.secret(namespace, name)).data
                    secrets[name] = {key: value.decode("utf-8", "replace") for key, value in held.items()}
            except ObjectFault as fault:
                if needed or not fault.missing:
                    raise
        services = await _services(pod, objects)
    except ObjectFault as fault:
        raise RuntimeFault("CreateContainerConfigError", fault.message) from fault
    return Looked(config_maps=config_maps, secrets=secrets, services=services)


def _wanted(container: Container) -> _Wanted:
    wanted: _Wanted = {}

    def want(kind: ObjectKind, name: str, *, optional: bool | None) -> None:
        wanted[kind, name] = wanted.get((kind, name), False) or not optional

    for whole in container.env_from:
        if whole.config_map_ref is not None:
            want(ObjectKind.CONFIG_MAP, whole.config_map_ref.name, optional=whole.config_map_ref.optional)
        if whole.secret_ref is not None:
            want(ObjectKind.SECRET, whole.secret_ref.name, optional=whole.secret_ref.optional)
    for variable in container.env:
        source = variable.value_from
        if source is not None and source.config_map_key_ref is not None:
            ref = source.config_map_key_ref
            want(ObjectKind.CONFIG_MAP, ref.name, optional=ref.optional)
        if source is not None and source.secret_key_ref is not None:
            want(ObjectKind.SECRET, source.secret_key_ref.name, optional=source.secret_key_ref.optional)
    return wanted


async def _services(pod: Pod, objects: ObjectReader) -> dict[str, str]:
    """Service variables. A static pod does not wait for an API server, so it takes what is known."""
    try:
        every = await objects.services()
    except ObjectFault:
        if pod.metadata.annotations.get(CONFIG_SOURCE) == "file":
            return {}
        raise
    links = pod.spec.enable_service_links is not False
    return service_variables(chosen(every, pod.metadata.namespace, links=links))


def chosen(services: Iterable[Service], namespace: str, *, links: bool) -> list[Service]:
    """The Services that a pod is told of: its namespace's where it wants links, and the API server's."""
    found: dict[str, Service] = {}
    for service in sorted(services, key=lambda s: (s.namespace, s.name)):
        if service.cluster_ip in _NO_IP:
            continue
        if (service.namespace, service.name) == _MASTER:
            found.setdefault(service.name, service)
        elif service.namespace == namespace and links:
            found[service.name] = service
    return list(found.values())


def service_variables(services: Iterable[Service]) -> dict[str, str]:
    """`<NAME>_SERVICE_HOST`, `_SERVICE_PORT` and the variables of Docker's links."""
    variables: dict[str, str] = {}
    for service in services:
        if service.ports:
            variables |= _of_service(service)
    return variables


def _of_service(service: Service) -> dict[str, str]:
    name = _variable(service.name)
    made = {f"{name}_SERVICE_HOST": service.cluster_ip, f"{name}_SERVICE_PORT": str(service.ports[0].port)}
    for port in service.ports:
        if port.name:
            made[f"{name}_SERVICE_PORT_{_variable(port.name)}"] = str(port.port)
    return made | dict(_links(service, name))


def _links(service: Service, name: str) -> Iterator[tuple[str, str]]:
    address = service.cluster_ip
    host = f"[{address}]" if ":" in address else address
    for number, port in enumerate(service.ports):
        protocol = port.protocol.lower()
        url = f"{protocol}://{host}:{port.port}"
        prefix = f"{name}_PORT_{port.port}_{port.protocol.upper()}"
        if number == 0:
            yield f"{name}_PORT", url
        yield prefix, url
        yield f"{prefix}_PROTO", protocol
        yield f"{prefix}_PORT", str(port.port)
        yield f"{prefix}_ADDR", address


def _variable(name: str) -> str:
    return name.replace("-", "_").upper()
