"""Demand: what a pod asks of its node, from its requests and host ports.

After upstream's component-helpers/resource PodRequests: init containers run one by one beside the sidecars
started before them, then sidecars and main containers together. May not be here: what the node has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minikubelet.core.nodefacts import Demand, HostPort
from minikubelet.model.pod import Container, Pod
from minikubelet.model.podquantity import milli, whole

CPU, MEMORY, STORAGE = "cpu", "memory", "ephemeral-storage"
HUGE_PAGES = "hugepages-"
_Amounts = tuple[int, int, int]
_NOTHING: _Amounts = (0, 0, 0)


def demand_of(pod: Pod) -> Demand:
    """What the pod takes while it runs."""
    sidecars, peak = _NOTHING, _NOTHING
    for container in pod.spec.init_containers:
        asked = _asked(container)
        if container.restart_policy == "Always":
            sidecars = _sum((sidecars, asked))
            asked = _NOTHING
        peak = _most(peak, _sum((sidecars, asked)))
    running = _sum((sidecars, *(_asked(c) for c in pod.spec.containers)))
    total = _most(peak, running)
    if pod.spec.resources is not None:
        total = _instead(total, {**pod.spec.resources.limits, **pod.spec.resources.requests})
    cpu, memory, storage = _sum((total, _amounts(pod.spec.overhead)))
    return Demand(cpu, memory, storage, _host_ports(pod))


def huge_pages_of(pod: Pod) -> tuple[tuple[str, int], ...]:
    """The huge pages that the pod asks for: bytes by resource (`hugepages-2Mi`), in the order of names."""
    every = (*pod.spec.init_containers, *pod.spec.containers)
    names = sorted({name for c in every for name in c.resources.limits if name.startswith(HUGE_PAGES)})
    return tuple([(name, _pages(pod, name)) for name in names if _pages(pod, name)])


def _pages(pod: Pod, name: str) -> int:
    """Limits and requests are the same for huge pages."""
    inits = [_amount(c.resources.limits.get(name, "0"), name) for c in pod.spec.init_containers]
    return max([sum(_amount(c.resources.limits.get(name, "0"), name) for c in pod.spec.containers), *inits])


def _asked(container: Container) -> _Amounts:
    return _amounts({**container.resources.limits, **container.resources.requests})


def _amounts(resources: Mapping[str, str]) -> _Amounts:
    """A quantity that cannot be read asks for nothing; its refusal is not this function's."""
    cpu, memory, storage = (_amount(resources.get(name, "0"), name) for name in (CPU, MEMORY, STORAGE))
    return cpu, memory, storage


def _amount(quantity: str, name: str) -> int:
    try:
        return milli(quantity) if name == CPU else whole(quantity)
    except ValueError:
        return 0


def _instead(total: _Amounts, resources: Mapping[str, str]) -> _Amounts:
    """Resources of the pod as a whole take the place of those of its containers."""
    given = _amounts(resources)
    cpu, memory, _ = (
        new if name in resources else old
        for name, new, old in zip((CPU, MEMORY, STORAGE), given, total, strict=True)
    )
    return cpu, memory, total[2]


def _sum(amounts: Iterable[_Amounts]) -> _Amounts:
    every = tuple(amounts)
    return sum(a[0] for a in every), sum(a[1] for a in every), sum(a[2] for a in every)


def _most(one: _Amounts, other: _Amounts) -> _Amounts:
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2])


def _host_ports(pod: Pod) -> tuple[HostPort, ...]:
    every = (p for c in (*pod.spec.init_containers, *pod.spec.containers) for p in c.ports if p.host_port)
    found = (HostPort(p.host_port, p.protocol or "TCP", _any_address(p.host_ip)) for p in every)
    return tuple(dict.fromkeys(found))


def _any_address(ip: str) -> str:
    return "" if ip in ("0.0.0.0", "::") else ip  # noqa: S104 - recognised, not bound to
