"""Calls of the C library that Python 3.11 has no function for: prctl, mounts, namespaces.

Belongs here: the calls and their numbers. May not be here: the `ctypes` package, whose import costs a
supervisor 7 ms and a quarter of a megabyte; its C part alone does.
"""

from __future__ import annotations

import _ctypes
import os

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
MS_RDONLY = 1
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19

_RT_SIGACTION = {
    "x86_64": 13,
    "aarch64": 134,
    "riscv64": 134,
    "loongarch64": 134,
    "ppc64le": 173,
    "s390x": 174,
}


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg] # noqa: SLF001 - ctypes itself begins so
    """A C long, wide enough for every argument and result here."""

    _type_ = "l"


class _Function(_ctypes.CFuncPtr):
    """A C function returning a long, errno kept."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Long


_functions: dict[str, _Function] = {}


def call(name: str, *arguments: int | bytes | None) -> int:
    """Call a function of the C library; OSError with its errno when it answers -1."""
    function = _functions.get(name)
    if function is None:
        handle = _ctypes.dlopen(None, 2)  # type: ignore[arg-type] # None is this program itself
        function = _functions[name] = _Function(_ctypes.dlsym(handle, name))
    wide = [_Long(value) if isinstance(value, int) else value for value in arguments]
    result = int(function(*wide))
    # A function of type int leaves the upper half of a long undefined.
    if result & 0xFFFFFFFF == 0xFFFFFFFF:  # noqa: PLR2004 - minus one as an int
        code = _ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process."""
    call("prctl", option, value, 0, 0, 0)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount, or change a mount; OSError names the target."""
    try:
        call("mount", os.fsencode(source), os.fsencode(target), kind.encode(), flags, os.fsencode(options))
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), target) from error


def reset_hidden_signals() -> None:
    """Default action for signals 32 and 33, which the C library keeps for itself and will not set.

    A parent that used posix_spawn may leave them ignored, and an ignored signal outlives exec.
    """
    number = _RT_SIGACTION.get(os.uname().machine)
    if number is not None:
        for hidden in (32, 33):
            call("syscall", number, hidden, b"\0" * 64, None, 8)
