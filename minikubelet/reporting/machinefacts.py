"""What this machine is and has: read from /proc, /sys, /etc and the file systems.

Belongs here: reading, in calls that block and are made in threads. May not be here: how a Node says it
(`nodeobject`). What cannot be read is left empty or zero.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
from pathlib import Path

import msgspec

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "ppc64le": "ppc64le"}
_PROBE_ADDRESSES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine: names and versions, sizes in bytes, and how much is left."""

    addresses: tuple[str, ...] = ()
    architecture: str = ""
    kernel: str = ""
    os_image: str = ""
    boot_id: str = ""
    machine_id: str = ""
    system_uuid: str = ""
    cpus: int = 1
    memory: int = 0
    memory_available: int = 0
    disk: int = 0
    disk_available: int = 0
    inodes: int = 0
    inodes_free: int = 0
    tasks: int = 0
    tasks_max: int = 0
    huge_pages: tuple[str, ...] = ()
    """the sizes that the kernel has, as resources: `hugepages-2Mi`"""


def read_machine(state_dir: Path, *, root: Path = Path("/")) -> Machine:
    """Read everything; the disk is the one of `state_dir`, other files are looked up below `root`."""
    memory = _memory(root / "proc/meminfo")
    machine = Machine(
        addresses=own_addresses(),
        architecture=MACHINES.get(platform.machine(), platform.machine()),
        kernel=platform.release(),
        os_image=_os_image(root / "etc/os-release"),
        boot_id=_text(root / "proc/sys/kernel/random/boot_id"),
        machine_id=_text(root / "etc/machine-id"),
        system_uuid=_text(root / "sys/class/dmi/id/product_uuid"),
        cpus=len(os.sched_getaffinity(0)),
        memory=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        tasks=_tasks(_text(root / "proc/loadavg")),
        tasks_max=_number(_text(root / "proc/sys/kernel/pid_max")),
        huge_pages=_huge_pages(root / "sys/kernel/mm/hugepages"),
    )
    with contextlib.suppress(OSError):
        disk = os.statvfs(state_dir)
        machine = msgspec.structs.replace(
            machine,
            disk=disk.f_blocks * disk.f_frsize,
            disk_available=disk.f_bavail * disk.f_frsize,
            inodes=disk.f_files,
            inodes_free=disk.f_favail,
        )
    return machine


def own_addresses() -> tuple[str, ...]:
    """The addresses this machine would use to reach others, IPv4 first; a loopback one if it has none."""
    found: list[str] = []
    for family, target in _PROBE_ADDRESSES:
        # Connecting a datagram socket sends nothing: the kernel only chooses the route.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            found.append(str(probe.getsockname()[0]))
    return tuple(found) or ("127.0.0.1",)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _memory(path: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for line in _text(path).splitlines():
        name, _, rest = line.partition(":")
        sizes[name] = _number(rest.split(" kB")[0].strip()) * 1024
    return sizes


def _os_image(path: Path) -> str:
    for line in _text(path).splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip("\"'")
    return "Linux"


def _tasks(loadavg: str) -> int:
    """`0.1 0.2 0.3 2/345 6789` has 345 tasks."""
    fields = loadavg.split()
    return _number(fields[3].partition("/")[2]) if len(fields) > 3 else 0  # noqa: PLR2004 - the fourth field


def _huge_pages(directory: Path) -> tuple[str, ...]:
    """Of entries such as `hugepages-2048kB`."""
    try:
        sizes = sorted(_number(entry.name[10:-2]) for entry in directory.glob("hugepages-*kB"))
    except OSError:
        return ()
    return tuple(f"hugepages-{_spell(kib)}" for kib in sizes if kib)


def _spell(kib: int) -> str:
    """The size as upstream spells it, in the largest unit that divides it."""
    for shift, unit in ((20, "Gi"), (10, "Mi")):
        if kib % (1 << shift) == 0:
            return f"{kib >> shift}{unit}"
    return f"{kib}Ki"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
