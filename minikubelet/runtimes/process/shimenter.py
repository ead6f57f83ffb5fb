"""From a forked supervisor to the container's program: streams, signals, identity, volumes, exec.

Belongs here: what happens in the child between fork and exec. Nothing here runs in the supervisor itself.
"""

# ruff: noqa: PTH103, PTH110, PTH112, PTH123, PTH208
# pathlib is larger than all the rest of a supervisor.
from __future__ import annotations

import os

from minikubelet.runtimes.process import shimlibc, shimmounts, shimspec

TYPE_CHECKING = False  # as in `typing`, which is too large to import here
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn
else:
    import _signal  # without the enumerations of `signal`, which cost a quarter of a megabyte

NOT_FOUND = 127
NOT_EXECUTABLE = 126
UNSTARTABLE = 128
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SIGNALS = range(1, 65)


class Unstartable(Exception):
    """The container cannot begin; the exit code it then shows, and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def enter(directory: str, spec: shimspec.Spec, stdio: tuple[int, int, int], report: int) -> NoReturn:
    """Become the container's program; on failure tell the supervisor through `report` and exit."""
    supervisor = os.getppid()
    try:
        os.setsid()
        default_signals()
        _take_streams(stdio, spec)
        _close_on_exec()
        _adjust_oom(shimspec.one(spec, "oom"))
        os.umask(0o022)
        for warning in shimmounts.arrange(directory, spec):
            os.write(report, f"warn {warning}\n".encode(errors="replace"))
        _change_directory(spec)
        drop_privileges(spec)
        _die_with(supervisor)
        execute(spec["argv"], spec.get("env", []))
    except Unstartable as failure:
        os.write(report, f"failed {failure.code} {failure}".encode(errors="replace"))
        os._exit(failure.code)
    except OSError as failure:
        os.write(report, f"failed {UNSTARTABLE} {failure}".encode(errors="replace"))
        os._exit(UNSTARTABLE)
    except BaseException as failure:  # noqa: BLE001 - a copy of the supervisor must never go on as one
        os.write(report, f"failed {UNSTARTABLE} {type(failure).__name__}: {failure}".encode(errors="replace"))
        os._exit(UNSTARTABLE)


def default_signals() -> None:
    """Every signal back to its default and none blocked: what is ignored stays ignored over exec."""
    for number in _SIGNALS:
        try:
            _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # KILL and STOP have nothing else, and those the C library hides follow below
    _signal.set_wakeup_fd(-1)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    try:
        shimlibc.reset_hidden_signals()
    except (OSError, AttributeError):
        return


def execute(argv: list[str], env: list[str]) -> NoReturn:
    """Exec a program, looked for along the PATH of its own environment; Unstartable with 127 or 126."""
    variables = dict(variable.partition("=")[::2] for variable in env)
    name = argv[0]
    path = variables.get("PATH") or DEFAULT_PATH
    candidates = [name] if "/" in name else [f"{each or '.'}/{name}" for each in path.split(":")]
    denied = ""
    for candidate in candidates:
        try:
            os.execve(candidate, argv, variables)  # noqa: S606 - what the container is for
        except (FileNotFoundError, NotADirectoryError):
            if os.path.exists(candidate):
                denied = f"{candidate}: its interpreter is not there"
        except OSError as error:
            denied = f"{candidate}: {error.strerror}"
    if denied:
        raise Unstartable(NOT_EXECUTABLE, f"cannot execute {denied}")
    where = "" if "/" in name else f" on PATH {path}"
    raise Unstartable(NOT_FOUND, f"command not found: {name}{where}")


def drop_privileges(spec: shimspec.Spec) -> None:
    """Capabilities, groups, group, user, and no way back; in the order in which each is still allowed."""
    if os.geteuid() == 0:
        for number in spec.get("drop", []):
            try:
                shimlibc.prctl(shimlibc.PR_CAPBSET_DROP, int(number))
            except OSError:
                continue  # a capability that this kernel does not know is one nobody has
    uid, gid, groups = shimspec.one(spec, "uid"), shimspec.one(spec, "gid"), spec.get("groups", [])
    if uid or gid or groups:
        _become(uid, gid, [int(group) for group in groups])
    if "no_new_privileges" in spec.get("flags", ()):
        shimlibc.prctl(shimlibc.PR_SET_NO_NEW_PRIVS, 1)


def _become(uid: str, gid: str, groups: list[int]) -> None:
    # A pod that names a user but no group gets group 0, as with other runtimes.
    group = int(gid or 0)
    if os.geteuid() == 0:
        os.setgroups([group, *groups])
        os.setresgid(group, group, group)
        if uid:
            os.setresuid(int(uid), int(uid), int(uid))


def _take_streams(stdio: tuple[int, int, int], spec: shimspec.Spec) -> None:
    for number, fd in enumerate(stdio):
        os.dup2(fd, number)
    if "tty" in spec.get("flags", ()):
        from fcntl import ioctl  # noqa: PLC0415 - for the rare container with a terminal
        from termios import TIOCSCTTY  # noqa: PLC0415 - as above

        ioctl(0, TIOCSCTTY, 0)


def _close_on_exec() -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:  # noqa: PLR2004 - beyond the standard streams
            try:
                os.set_inheritable(int(name), False)
            except OSError:
                continue  # the listing's own


def _adjust_oom(value: str) -> None:
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(value or "0")
    except OSError:
        return  # lowering it needs a privilege; not having it is no reason not to run


def _change_directory(spec: shimspec.Spec) -> None:
    """The asked-for directory where the host (or image) has it, else one below the container's own."""
    root, wanted = shimspec.one(spec, "root"), shimspec.one(spec, "cwd")
    if shimspec.one(spec, "image"):
        path = wanted or "/"
    elif wanted in ("", "/"):
        path = root
    elif os.path.isdir(wanted):
        path = wanted
    else:
        path = root + wanted
        os.makedirs(path, exist_ok=True)
    try:
        os.chdir(path)
    except OSError as error:
        raise Unstartable(UNSTARTABLE, f"working directory {path}: {error.strerror}") from error


def _die_with(supervisor: int) -> None:
    """SIGKILL when the supervisor is killed: an unsupervised container would lose its log and exit code."""
    try:
        shimlibc.prctl(shimlibc.PR_SET_PDEATHSIG, int(_signal.SIGKILL))
    except (OSError, AttributeError):
        return
    if os.getppid() != supervisor:
        os._exit(137)
