"""Environment: the variables, command and arguments of a container.

Belongs here: `$(VAR)` expansion, what overrides what, fieldRef and resourceFieldRef
(kubernetes.io/docs/tasks/inject-data-application). May not be here: reading objects (`envobjects`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

import msgspec

from minikubelet.model.pod import (
    ConfigMapKeySelector,
    Container,
    EnvVar,
    EnvVarSource,
    FileKeySelector,
    Pod,
    ResourceFieldSelector,
    SecretKeySelector,
)
from minikubelet.model.podquantity import parse_quantity
from minikubelet.ports.runtimeport import RuntimeFault

_REFERENCE: Final = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_MAP_KEY: Final = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a fieldRef may ask beyond the pod's definition; `allocatable` is the node's, by resource."""

    node_name: str = ""
    host_ips: tuple[str, ...] = ()
    pod_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, str] = {}


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; `$$` is a dollar, and an unknown name stays as it is."""

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return values.get(match[1], match[0])

    return _REFERENCE.sub(one, text)


def names_in(text: str) -> list[str]:
    """The names that `expand` looks up in a text."""
    return [name for name in _REFERENCE.findall(text) if name]


EnvFiles = Mapping[tuple[str, str], Mapping[str, str]]
"""Variables of files, by volume and path."""


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for one container: texts of objects by name and key, and the service variables.

    An object that is optional and missing is not there.
    """

    config_maps: Mapping[str, Mapping[str, str]] = {}
    secrets: Mapping[str, Mapping[str, str]] = {}
    services: Mapping[str, str] = {}
    files: EnvFiles = {}

    def __repr__(self) -> str:
        """Show names only."""
        return f"Looked({sorted(self.config_maps)}, {sorted(self.secrets)})"


def environment(pod: Pod, container: Container, facts: Facts, looked: Looked | None = None) -> dict[str, str]:
    """The variables of a container: of envFrom, then its own in order, then those of services.

    Raises RuntimeFault for what cannot be resolved. As upstream, `$(NAME)` stands for a service's variable
    too, and one of envFrom or env hides the service's.
    """
    looked = looked or Looked()
    values = dict(_whole(container, looked))
    for variable in container.env:
        if variable.value_from is None:
            values[variable.name] = expand(variable.value, {**looked.services, **values})
            continue
        found = _value(pod, container, variable, facts, looked)
        if found is not None:
            values[variable.name] = found
    values |= {name: text for name, text in looked.services.items() if name not in values}
    for name, text in values.items():
        if "\0" in text:
            raise _fault(f"container {container.name}: the value of {name} has a NUL byte in it")
    return values


def _whole(container: Container, looked: Looked) -> Iterator[tuple[str, str]]:
    """All keys of the objects of envFrom, with their prefix."""
    for source in container.env_from:
        held: Mapping[str, str] = {}
        if source.config_map_ref is not None:
            held = looked.config_maps.get(source.config_map_ref.name, {})
        elif source.secret_ref is not None:
            held = looked.secrets.get(source.secret_ref.name, {})
        for key, text in held.items():
            yield source.prefix + key, text


def _value(pod: Pod, container: Container, variable: EnvVar, facts: Facts, looked: Looked) -> str | None:
    """The value that a variable refers to; None where it is optional and not there."""
    source = variable.value_from or EnvVarSource()
    if source.field_ref is not None:
        return field_value(pod, source.field_ref.field_path, facts)
    if source.resource_field_ref is not None:
        return resource_value(pod, container, source.resource_field_ref, facts)
    if source.config_map_key_ref is not None:
        return _key(pod, source.config_map_key_ref, looked.config_maps, "ConfigMap")
    if source.secret_key_ref is not None:
        return _key(pod, source.secret_key_ref, looked.secrets, "Secret")
    if source.file_key_ref is not None:
        return _of_file(source.file_key_ref, looked)
    raise _fault(f"container {container.name}: env {variable.name}: valueFrom names no source")


def _of_file(ref: FileKeySelector, looked: Looked) -> str | None:
    found = looked.files.get((ref.volume_name, ref.path), {}).get(ref.key)
    if not found and not ref.optional:
        raise _fault(f'environment variable key "{ref.key}" not found in file "{ref.path}"')
    return found or None


def _key(
    pod: Pod,
    ref: ConfigMapKeySelector | SecretKeySelector,
    held: Mapping[str, Mapping[str, str]],
    kind: str,
) -> str | None:
    found = held.get(ref.name, {}).get(ref.key)
    if found is None and not ref.optional:
        raise _fault(f"couldn't find key {ref.key} in {kind} {pod.metadata.namespace}/{ref.name}")
    return found


def _fault(message: str) -> RuntimeFault:
    return RuntimeFault("CreateContainerConfigError", message)


def field_value(pod: Pod, path: str, facts: Facts) -> str:
    """The value of a fieldRef such as `metadata.name` or `status.podIP`; raises RuntimeFault."""
    found = _MAP_KEY.fullmatch(path)
    if found is not None:
        held = pod.metadata.labels if found[1] == "labels" else pod.metadata.annotations
        return held.get(found[2], "")
    known = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "spec.nodeName": pod.spec.node_name or facts.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.hostIP": facts.host_ips[0] if facts.host_ips else "",
        "status.hostIPs": ",".join(facts.host_ips),
        "status.podIP": facts.pod_ips[0] if facts.pod_ips else "",
        "status.podIPs": ",".join(facts.pod_ips),
    }
    if path not in known:
        raise _fault(f"fieldRef {path!r} is not known")
    return known[path]


def resource_value(pod: Pod, container: Container, selector: ResourceFieldSelector, facts: Facts) -> str:
    """A limit or request divided and rounded up; without a limit, what the node has to give stands for it."""
    named = selector.container_name or container.name
    chosen = next((c for c in pod.spec.every_container if c.name == named), container)
    kind, _, resource = selector.resource.partition(".")
    limit = chosen.resources.limits.get(resource, "")
    amount = limit or facts.allocatable.get(resource, "0")
    if kind == "requests":
        amount = chosen.resources.requests.get(resource, limit or "0")
    divisor = parse_quantity(str(selector.divisor or "1")) or Fraction(1)
    return str(math.ceil(parse_quantity(str(amount)) / divisor))
