"""Sysctls and huge pages: what the node lets a pod ask for, in upstream's words."""

import pytest

from minikubelet.core.sysctls import dotted, namespace_of
from minikubelet.model.ids import Source
from minikubelet.model.pod import Pod, PodSecurityContext, ResourceRequirements, Sysctl
from tests.core.core_world import World, container, static_pod

ALLOWED = ("kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies", "kernel.msg*", "net.core.somaxconn")
MIB = 1 << 20


def verdict(pod: Pod, **node: object) -> tuple[str, str]:
    """Reason and message of a pod's status on a node that says this of itself."""
    world = World(Source.API, api=True, node={"max_pods": 9, **node})
    world.offer(pod, Source.API)
    world.run_until_idle()
    status = world.status()
    return status.reason, status.message.removeprefix("Pod was rejected: ")


def setting(*names: str, host_ipc: bool = False, host_network: bool = False) -> Pod:
    sysctls = tuple(Sysctl(name=name, value="1") for name in names)
    return static_pod(
        security_context=PodSecurityContext(sysctls=sysctls), host_ipc=host_ipc, host_network=host_network
    )


@pytest.mark.parametrize(
    "pod",
    [
        static_pod(),
        static_pod(security_context=PodSecurityContext()),
        setting("kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies"),
        setting("net/ipv4/tcp_syncookies"),
        setting("kernel.msgmax", host_network=True),
        setting("net.core.somaxconn", host_ipc=True),
    ],
)
def test_sysctls_that_are_safe_or_allowed_are_taken(pod: Pod) -> None:
    assert verdict(pod, sysctls=ALLOWED) == ("", "")


@pytest.mark.parametrize(
    ("pod", "wrong"),
    [
        (setting("kernel.shm_rmid_forced", "vm.swappiness"), '"vm.swappiness" not allowlisted'),
        (setting("net/core/wmem_max"), '"net.core.wmem_max" not allowlisted'),
        (setting("kernel.msgmax", host_ipc=True), '"kernel.msgmax" not allowed with host ipc enabled'),
        (
            setting("net.core.somaxconn", host_network=True),
            '"net.core.somaxconn" not allowed with host net enabled',
        ),
    ],
)
def test_other_sysctls_are_forbidden_by_name(pod: Pod, wrong: str) -> None:
    assert verdict(pod, sysctls=ALLOWED) == ("SysctlForbidden", f"forbidden sysctl: {wrong}")


def test_a_journal_of_before_forbids_nothing() -> None:
    assert verdict(setting("vm.swappiness")) == ("", "")


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("net.ipv4.conf.all.x", "net.ipv4.conf.all.x"),
        ("net/ipv4/conf/eth0.1/x", "net.ipv4.conf.eth0/1.x"),
        ("net.ipv4.conf.eth0/1.x", "net.ipv4.conf.eth0/1.x"),
        ("single", "single"),
    ],
)
def test_slashes_and_dots_are_two_spellings(name: str, spelt: str) -> None:
    assert dotted(name) == spelt


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("kernel.sem", "ipc"),
        ("kernel.semaphores", ""),
        ("kernel.shmmax", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
        ("net.x", "net"),
        ("vm.swappiness", ""),
    ],
)
def test_each_namespaced_sysctl_has_its_namespace(name: str, namespace: str) -> None:
    assert namespace_of(name) == namespace


def pages(**amounts: str) -> ResourceRequirements:
    limits = {name.replace("_", "-"): amount for name, amount in amounts.items()}
    return ResourceRequirements(limits=limits, requests=limits)


def test_huge_pages_are_refused_by_name() -> None:
    small, large = container("a", resources=pages(hugepages_2Mi="4Mi")), container("b")
    pod = static_pod(
        small,
        large,
        container("c", resources=pages(hugepages_2Mi="2Mi", cpu="1")),
        init=[container("i", resources=pages(hugepages_2Mi="10Mi"))],
    )
    counts = f"requested: {10 * MIB}, used: 0, capacity: 0"
    assert verdict(pod, huge_pages=("hugepages-2Mi",)) == (
        "OutOfhugepages-2Mi",
        f"Node didn't have enough resource: hugepages-2Mi, {counts}",
    )


def test_no_huge_pages_are_no_reason_to_refuse_a_pod() -> None:
    assert verdict(static_pod(container(resources=pages(hugepages_2Mi="0"))), huge_pages=("x",)) == ("", "")
