"""The program that holds a sandbox's namespaces, as bytes, and the image made of it.

It ignores SIGCHLD with SA_NOCLDWAIT, so that the kernel reaps orphans of a shared PID namespace, and waits
for SIGTERM or SIGINT to exit 0. A dozen instructions per processor, written out here: no compiler and no
registry is needed to run a pod. Nothing here talks to an engine.
"""

from __future__ import annotations

import io
import struct
import tarfile
from typing import Final

PAUSE_IMAGE: Final = "minikubelet/pause:1"
"""The number counts changes of the program, not releases of minikubelet."""

PROGRAM: Final = "/pause"

_BASE: Final = 0x400000
_ELF_HEADER: Final = 64
_PROGRAM_HEADER: Final = 56
_CODE: Final = _ELF_HEADER + _PROGRAM_HEADER
_PAGE: Final = 0x10000  # the largest page of either processor
_SIGCHLD: Final = 17
_DATA: Final = struct.pack("<QQQQ", 1, 2, 0, 0) + struct.pack("<Q", 1 << 1 | 1 << 14)
"""struct sigaction {SIG_IGN, SA_NOCLDWAIT}, then the set of SIGINT and SIGTERM; both processors agree."""


def _x86_64(data: int) -> bytes:
    """Machine code with the data at an address below 4 GiB."""

    def call(number: int, edi: int, esi: int) -> bytes:
        # mov eax, number; mov edi; mov esi; xor edx, edx; mov r10d, 8; syscall
        loads = struct.pack("<BIBIBI", 0xB8, number, 0xBF, edi, 0xBE, esi)
        return loads + b"\x31\xd2\x41\xba" + struct.pack("<I", 8) + b"\x0f\x05"

    signals = data + 32
    wait = call(128, signals, 0)  # rt_sigtimedwait
    again = b"\x85\xc0" + b"\x78" + struct.pack("<b", -(len(wait) + 4))  # test eax, eax; js wait
    return call(13, _SIGCHLD, data) + call(14, 0, signals) + wait + again + call(231, 0, 0)


def _aarch64(data: int) -> bytes:
    """Machine code with the data at an address below 4 GiB."""

    def load(register: int, value: int) -> list[int]:
        low, high = value & 0xFFFF, value >> 16
        return [0xD2800000 | low << 5 | register, 0xF2A00000 | high << 5 | register]  # movz; movk lsl 16

    def call(number: int, x0: int, x1: int) -> list[int]:
        loads = load(8, number) + load(0, x0) + load(1, x1) + load(2, 0) + load(3, 8)
        return [*loads, 0xD4000001]  # svc 0

    signals = data + 32
    wait = call(137, signals, 0)  # rt_sigtimedwait
    again = [0xB7F80000 | (-len(wait) & 0x3FFF) << 5]  # tbnz x0, 63, wait
    words = call(134, _SIGCHLD, data) + call(135, 0, signals) + wait + again + call(94, 0, 0)
    return struct.pack(f"<{len(words)}I", *words)


_MACHINES: Final = {"amd64": (62, _x86_64), "arm64": (183, _aarch64)}
"""Go's names of processors, as the engine tells them: ELF's number, and the code's maker."""


def pause_elf(architecture: str) -> bytes | None:
    """A static ELF executable for that processor (`amd64`, `arm64`); None where there is none."""
    machine, code_at = _MACHINES.get(architecture, (0, None))
    if code_at is None:
        return None
    code = code_at(_BASE + _CODE)
    size = _CODE + len(_DATA) + len(code)
    ident = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)
    entry = _BASE + _CODE + len(_DATA)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, entry, _ELF_HEADER, 0, 0, _ELF_HEADER, _PROGRAM_HEADER, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, _PAGE)  # PT_LOAD, read and execute
    return header + segment + _DATA + code


def pause_tar(elf: bytes) -> bytes:
    """A root file system with the program alone, as a tar."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo(PROGRAM.removeprefix("/"))
        member.size, member.mode = len(elf), 0o755
        tar.addfile(member, io.BytesIO(elf))
    return archive.getvalue()
