"""What an engine tells of itself, as engines in use word it, and what follows for pods."""

import msgspec
import pytest

from minikubelet.runtimes.docker.dockerfacts import EngineFacts, shortcomings

ROOTLESS_V1 = b"""{"DockerRootDir": "/home/u/.local/share/docker", "CgroupDriver": "none",
 "CgroupVersion": "1", "MemoryLimit": false, "CpuCfsQuota": false, "PidsLimit": false,
 "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}"""
ROOTLESS_V2 = b"""{"DockerRootDir": "/home/u/.local/share/docker", "CgroupDriver": "systemd",
 "CgroupVersion": "2", "MemoryLimit": true, "CpuCfsQuota": false, "PidsLimit": true,
 "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]}"""
ROOT = b"""{"DockerRootDir": "/var/lib/docker", "MemoryLimit": true, "CpuCfsQuota": true, "PidsLimit": true,
 "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin"]}"""


@pytest.mark.parametrize(
    ("answer", "rootless", "unlimited"),
    [
        (ROOTLESS_V1, True, ("cpu", "memory", "pids")),
        (ROOTLESS_V2, True, ("cpu",)),
        (ROOT, False, ()),
        (b"{}", False, ()),
    ],
)
def test_what_an_engine_tells(answer: bytes, *, rootless: bool, unlimited: tuple[str, ...]) -> None:
    """Delegation of the cpu controller is what most hosts with control groups v2 leave out."""
    facts = msgspec.json.decode(answer, type=EngineFacts)
    assert (facts.rootless, facts.unlimited) == (rootless, unlimited)
    said = shortcomings(facts, outside=True)
    assert len(said) == bool(unlimited) + rootless
    assert all(name in said[0] for name in unlimited)
    inside = shortcomings(facts, outside=False)
    assert not any("network" in sentence for sentence in inside)
