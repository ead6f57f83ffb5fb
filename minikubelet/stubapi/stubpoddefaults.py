"""The defaults that an API server writes into a new pod, and its quality-of-service class.

Pure, on an object whose shape was checked; follows upstream's core/v1 defaults for the common fields.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from minikubelet.stubapi.stubresources import Obj

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(1000),
    "M": Decimal(1000) ** 2,
    "G": Decimal(1000) ** 3,
    "T": Decimal(1000) ** 4,
    "P": Decimal(1000) ** 5,
    "E": Decimal(1000) ** 6,
    "Ki": Decimal(1024),
    "Mi": Decimal(1024) ** 2,
    "Gi": Decimal(1024) ** 3,
    "Ti": Decimal(1024) ** 4,
    "Pi": Decimal(1024) ** 5,
    "Ei": Decimal(1024) ** 6,
}
_FILE_MODE = 0o644
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_DEFAULTS = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def containers_of(spec: Obj) -> list[Obj]:
    """The init containers and the containers of a pod's spec."""
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def default_pod(pod: Obj) -> None:
    """Fill in, in place, what the manifest leaves open."""
    _default(pod, spec={})
    spec = pod["spec"]
    _default(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
        enableServiceLinks=True,
    )
    for volume in spec.get("volumes") or []:
        _default_volume(volume)
    for container in spec.get("ephemeralContainers") or []:
        _default_container(container)
    for container in containers_of(spec):
        _default_container(container)
        if spec.get("hostNetwork"):
            for port in container.get("ports") or []:
                _default(port, hostPort=port.get("containerPort"))


def _default(target: Obj, **values: Any) -> None:
    for key, value in values.items():
        if target.get(key) is None and value is not None:
            target[key] = value


def _default_container(container: Obj) -> None:
    _default(
        container,
        imagePullPolicy=_pull_policy(str(container.get("image") or "")),
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    resources = container["resources"]
    if resources.get("limits"):
        requests = resources.get("requests") or {}
        resources["requests"] = {**resources["limits"], **requests}
    for port in container.get("ports") or []:
        _default(port, protocol="TCP")
    for variable in container.get("env") or []:
        source = variable.get("valueFrom")
        if isinstance(source, dict) and isinstance(source.get("fieldRef"), dict):
            _default(source["fieldRef"], apiVersion="v1")
    for name in _PROBES:
        if container.get(name) is not None:
            _default_probe(container[name])


def _default_probe(probe: Obj) -> None:
    _default(probe, **_PROBE_DEFAULTS)
    if isinstance(probe.get("httpGet"), dict):
        _default(probe["httpGet"], path="/", scheme="HTTP")
    if isinstance(probe.get("grpc"), dict):
        _default(probe["grpc"], service="")


def _default_volume(volume: Obj) -> None:
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if not sources:
        volume["emptyDir"] = {}
    for key in sources:
        source = volume[key]
        if not isinstance(source, dict):
            continue
        if key in ("configMap", "secret", "projected", "downwardAPI"):
            _default(source, defaultMode=_FILE_MODE)
        elif key == "hostPath":
            _default(source, type="")


def _pull_policy(image: str) -> str:
    name = image.rpartition("/")[2]
    if "@" in name:
        return "IfNotPresent"
    _, colon, tag = name.partition(":")
    return "Always" if not colon or tag == "latest" else "IfNotPresent"


def qos_class(spec: Obj) -> str:
    """Guaranteed, Burstable or BestEffort, from the requests and limits of all containers."""
    any_given = False
    guaranteed = True
    for container in containers_of(spec):
        resources = container.get("resources") or {}
        limits, requests = _amounts(resources.get("limits")), _amounts(resources.get("requests"))
        any_given = any_given or bool(limits) or bool(requests)
        guaranteed = guaranteed and set(limits) == {"cpu", "memory"} and {**limits, **requests} == limits
    if not any_given:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amounts(given: Obj | None) -> dict[str, Decimal]:
    amounts = {name: quantity((given or {}).get(name)) for name in ("cpu", "memory")}
    return {name: amount for name, amount in amounts.items() if amount}


def quantity(text: Any) -> Decimal | None:
    """The value of a Kubernetes quantity such as `100m` or `1Gi`, or None for what is none."""
    if text is None:
        return None
    number = str(text).strip()
    factor = Decimal(1)
    for suffix in (number[-2:], number[-1:]):
        if suffix in _SUFFIXES:
            number, factor = number.removesuffix(suffix), _SUFFIXES[suffix]
            break
    try:
        value = Decimal(number) * factor
    except ArithmeticError:  # no number, or one that is too large for any
        return None
    return value if value.is_finite() else None
