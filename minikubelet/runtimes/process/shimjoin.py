"""Running a command inside a running container: `shimjoin <pid>`, the command on stdin; or
`shimjoin "<pid> <fd>"`, the command on that descriptor, and the standard streams left to it.

Belongs here: taking over namespaces, root, directory, environment and identity of a container's process.
"""

# ruff: noqa: PTH115, PTH116
# pathlib is larger than all the rest of a supervisor.
from __future__ import annotations

import os
import sys

from minikubelet.runtimes.process import shimenter, shimlibc, shimspec


def main() -> None:
    """Become the command; exits 126 or 127 with one line on stderr when it cannot."""
    pid, _, told = sys.argv[-1].partition(" ")
    spec = shimspec.decode_spec(_all_of(int(told or 0)))
    if told:
        os.close(int(told))
    else:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    try:
        env = os.fsdecode(_contents(f"/proc/{pid}/environ")).split("\0")[:-1]
        identity = _identity(_contents(f"/proc/{pid}/status").decode())
        if "tty" in spec.get("flags", ()):
            env = _with_terminal(env)
        _enter(int(pid))
        shimenter.default_signals()
        shimenter.drop_privileges(identity)
        os.umask(0o022)
        shimenter.execute(spec["argv"], env)
    except shimenter.Unstartable as failure:
        _end(failure.code, str(failure))
    except OSError as failure:
        _end(shimenter.NOT_EXECUTABLE, f"cannot enter the container: {failure}")


def _with_terminal(env: list[str]) -> list[str]:
    """Make stdout the terminal of this session, and name its kind where the container does not."""
    from fcntl import ioctl  # noqa: PLC0415 - for the commands with a terminal
    from termios import TIOCSCTTY  # noqa: PLC0415 - as above

    ioctl(1, TIOCSCTTY, 0)
    return env if any(each.startswith("TERM=") for each in env) else [*env, "TERM=xterm"]


def _enter(pid: int) -> None:
    root, cwd = (os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_DIRECTORY) for name in ("root", "cwd"))
    for kind, flag in (("user", shimlibc.CLONE_NEWUSER), ("mnt", shimlibc.CLONE_NEWNS)):
        theirs = f"/proc/{pid}/ns/{kind}"
        if os.readlink(theirs) != os.readlink(f"/proc/self/ns/{kind}"):
            fd = os.open(theirs, os.O_RDONLY)
            shimlibc.call("setns", fd, flag)
    os.fchdir(root)
    if os.stat(".").st_ino != os.stat("/").st_ino or os.stat(".").st_dev != os.stat("/").st_dev:
        os.chroot(".")
    os.fchdir(cwd)


def _identity(status: str) -> shimspec.Spec:
    """A process's identity in the terms of a spec."""
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())}
    bounding = int(fields["CapBnd"][0], 16)
    return {
        "uid": [fields["Uid"][1]],
        "gid": [fields["Gid"][1]],
        "groups": fields["Groups"],
        "drop": [str(number) for number in range(64) if not bounding >> number & 1],
        "flags": ["no_new_privileges"] if fields.get("NoNewPrivs") == ["1"] else [],
    }


def _end(code: int, why: str) -> None:
    os.write(2, f"{why}\n".encode(errors="replace"))
    os._exit(code)


def _contents(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return _all_of(fd)
    finally:
        os.close(fd)


def _all_of(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 65536):
        parts.append(part)
    return b"".join(parts)
