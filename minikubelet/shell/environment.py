"""Environment: the variables, command and arguments of a container.

Belongs here: `$(VAR)` expansion, fieldRef and resourceFieldRef
(kubernetes.io/docs/tasks/inject-data-application). May not be here: reading ConfigMaps or Secrets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import msgspec

from minikubelet.model.pod import Container, EnvVar, Pod, ResourceFieldSelector
from minikubelet.model.podquantity import parse_quantity
from minikubelet.ports.runtimeport import RuntimeFault

_REFERENCE: Final = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_MAP_KEY: Final = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a fieldRef may ask beyond the pod's definition; `capacity` is the node's, by resource."""

    node_name: str = ""
    host_ips: tuple[str, ...] = ()
    pod_ips: tuple[str, ...] = ()
    capacity: Mapping[str, str] = {}


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; `$$` is a dollar, and an unknown name stays as it is."""

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return values.get(match[1], match[0])

    return _REFERENCE.sub(one, text)


def environment(pod: Pod, container: Container, facts: Facts) -> dict[str, str]:
    """The variables of a container in order; raises RuntimeFault for what cannot be resolved."""
    if container.env_from:
        raise _unsupported(container, "envFrom")
    values: dict[str, str] = {}
    for variable in container.env:
        values[variable.name] = _value(pod, container, variable, facts, values)
    return values


def _value(pod: Pod, container: Container, variable: EnvVar, facts: Facts, values: Mapping[str, str]) -> str:
    source = variable.value_from
    if source is None:
        return expand(variable.value, values)
    if source.field_ref is not None:
        return field_value(pod, source.field_ref.field_path, facts)
    if source.resource_field_ref is not None:
        return resource_value(pod, container, source.resource_field_ref, facts)
    raise _unsupported(container, f"env {variable.name}: a reference to a ConfigMap, Secret or file")


def _unsupported(container: Container, what: str) -> RuntimeFault:
    return RuntimeFault(
        "CreateContainerConfigError", f"container {container.name}: {what} is not supported by this version"
    )


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
        raise RuntimeFault("CreateContainerConfigError", f"fieldRef {path!r} is not known")
    return known[path]


def resource_value(pod: Pod, container: Container, selector: ResourceFieldSelector, facts: Facts) -> str:
    """A limit or request divided and rounded up; without a limit, the node's capacity stands for it."""
    named = selector.container_name or container.name
    every = (*pod.spec.init_containers, *pod.spec.containers)
    chosen = next((c for c in every if c.name == named), container)
    kind, _, resource = selector.resource.partition(".")
    limit = chosen.resources.limits.get(resource, "")
    amount = limit or facts.capacity.get(resource, "0")
    if kind == "requests":
        amount = chosen.resources.requests.get(resource, limit or "0")
    divisor = parse_quantity(str(selector.divisor or "1")) or Fraction(1)
    return str(math.ceil(parse_quantity(str(amount)) / divisor))
