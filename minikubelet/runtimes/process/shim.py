"""A container's supervisor: starts it, keeps its log, stops it, and leaves its exit code on the disk.

One small process per container that outlives the agent. It needs no Python package but this one's few
modules named shim*, so that it stays small; whatever costs memory belongs in the driver.
Commands come through a FIFO whose read end it alone has: `stop <milliseconds> <signal>`.
"""

# ruff: noqa: PTH104, PTH108, PTH112
# pathlib is larger than all the rest of a supervisor.
from __future__ import annotations

import os
import select
import sys
import time

from minikubelet.runtimes.process import proctable, shimlibc, shimlog, shimspec

TYPE_CHECKING = False  # as in `typing`, which is too large to import here
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal  # without the enumerations of `signal`, which cost a quarter of a megabyte

KILL = int(_signal.SIGKILL)
CHUNK = 32 * 1024
MOST_CHUNKS = 64
"""Reads from a stream after its container's end: more than a pipe holds, so only a stranger's are cut."""
PATIENCE = 10.0
"""Seconds that killed leftovers may take to die; what the kernel holds longer is left to it."""


class Shim:
    """The supervisor of one container, after it has claimed the container's spec."""

    def __init__(self, directory: str, spec: shimspec.Spec, control: int) -> None:
        self.directory = directory
        self.spec = spec
        self.control = control
        self.log = shimlog.CriLog(shimspec.one(spec, "log"))
        self.main = 0
        self.status: int | None = None
        self.started_at = 0
        self.kill_at = 0.0
        self.streams: dict[int, str] = {}
        self.stdin = -1
        self.reaper = self._reaper()
        self.adopts = self._adopt_orphans()
        self.poller = select.poll()

    def start(self) -> str:
        """Fork the container, wait until it has begun or failed; the report for the driver."""
        stdio = self._terminal() if "tty" in self.spec.get("flags", ()) else self._pipes()
        report = os.pipe()
        self.started_at = time.time_ns() // 1000
        self.main = os.fork()
        if self.main == 0:
            from minikubelet.runtimes.process import shimenter  # noqa: PLC0415 - memory of the child only

            shimenter.enter(self.directory, self.spec, stdio, report[1])
        for fd in {*stdio, report[1]}:
            os.close(fd)
        for fd in self.streams:
            os.set_blocking(fd, False)
        said = _read_all(report[0])
        self._save(None)
        return said

    def supervise(self) -> None:
        """Pump the log and obey commands until the container's first process has ended."""
        for fd in (*self.streams, self.control, self.reaper):
            self.poller.register(fd, select.POLLIN)
        while self.status is None:
            for fd, _ in self.poller.poll(self._patience()):
                if fd in self.streams:
                    self._pump(fd)
                elif fd == self.control:
                    self._obey()
                else:
                    self._reap()
            if self.kill_at and time.monotonic() >= self.kill_at:
                self.kill_at = 0.0
                self._kill_all()

    def finish(self, reason: str = "", message: str = "") -> None:
        """End whatever the container left behind, write the rest of its log, then its exit code."""
        give_up = time.monotonic() + PATIENCE
        while self._kill_all() and time.monotonic() < give_up:
            select.select([self.reaper], [], [], 0.1)
            self._reap()
        for fd in list(self.streams):
            for _ in range(MOST_CHUNKS):
                if not self._pump(fd):
                    break
        self.log.close()
        code = os.waitstatus_to_exitcode(self.status or 0)
        self._save(code if code >= 0 else 128 - code, reason, message)

    def _pipes(self) -> tuple[int, int, int]:
        """The container's ends of its standard streams."""
        out, err = os.pipe(), os.pipe()
        self.streams = {out[0]: "stdout", err[0]: "stderr"}
        if "stdin" in self.spec.get("flags", ()):
            read, self.stdin = os.pipe()
        else:
            read = os.open("/dev/null", os.O_RDONLY)
        return read, out[1], err[1]

    def _terminal(self) -> tuple[int, int, int]:
        """A terminal as the container's standard streams: all its output is stdout."""
        master, slave = os.openpty()
        self.streams = {master: "stdout"}
        return slave, slave, slave

    def _pump(self, fd: int) -> bool:
        """Take what a stream has; False when it has nothing now, or never again."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # a terminal that no one has open any more
        if data:
            self.log.write(self.streams[fd], data)
            return True
        if self.status is None:
            self.poller.unregister(fd)
        del self.streams[fd]
        os.close(fd)
        return False

    def _obey(self) -> None:
        for line in os.read(self.control, 4096).decode().splitlines():
            _, grace, number = line.split()
            kill_at = time.monotonic() + int(grace) / 1000
            self.kill_at = min(self.kill_at, kill_at) if self.kill_at else kill_at
            if int(grace) > 0:
                proctable.kill_group(self.main, int(number))

    def _patience(self) -> int | None:
        """Milliseconds until the grace period ends; None: there is none."""
        if not self.kill_at:
            return None
        return max(0, int((self.kill_at - time.monotonic()) * 1000) + 1)

    def _reap(self) -> None:
        if select.select([self.reaper], [], [], 0)[0]:
            os.read(self.reaper, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.main:
                self.status = status

    def _kill_all(self) -> bool:
        """Kill every process of the container; whether there were any.

        As subreaper this process inherits each orphan, so killing children until there are none gets all.
        """
        if self.status is None:
            proctable.kill_group(self.main, KILL)
        left = proctable.children(os.getpid())
        if not self.adopts:
            left += proctable.marked(os.fsencode(f"{shimspec.MARKER}={self.directory}"))
        for pid in left:
            proctable.kill(pid, KILL)
        return bool(left)

    def _save(self, exit_code: int | None, reason: str = "", message: str = "") -> None:
        finished = 0 if exit_code is None else time.time_ns() // 1000
        if exit_code is not None and not reason:
            reason = "Error" if exit_code else "Completed"
        state = (
            f'{{"v":1,"boot":"{proctable.boot_id()}","pid":{self.main},"start":{proctable.start_time(self.main)},'
            f'"shim":{os.getpid()},"shim_start":{proctable.start_time(os.getpid())},"started_at":{self.started_at},"finished_at":{finished},'
            f'"exit_code":{"null" if exit_code is None else exit_code},'
            f'"reason":"{reason}","message":"{_plain(message)}"}}'
        )
        while True:
            try:
                return shimspec.write_atomically(f"{self.directory}/{shimspec.STATE}", state.encode())
            except OSError:
                if exit_code is None or not os.path.isdir(self.directory):
                    raise
                time.sleep(1)  # a full disk: this is all there is of the exit code

    def _reaper(self) -> int:
        """A pipe that becomes readable when a child has ended."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        _signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        return read

    def _adopt_orphans(self) -> bool:
        try:
            shimlibc.prctl(shimlibc.PR_SET_CHILD_SUBREAPER, 1)
        except (OSError, AttributeError):
            return False  # no such call here: leftovers are found by the marker in their environment
        return True


def claim(directory: str) -> shimspec.Spec | None:
    """Take the container's spec off the disk; None if another supervisor has."""
    path = f"{directory}/{shimspec.SPEC}"
    try:
        os.rename(path, path + ".taken")
    except FileNotFoundError:
        return None
    fd = os.open(path + ".taken", os.O_RDONLY)
    data = _read_all(fd)
    os.unlink(path + ".taken")
    return shimspec.decode_spec(data.encode(errors="surrogateescape"))


def main() -> None:
    """`shim <container directory>`: answers on stdout, a line each.

    `warn <text>` any number of times; `taken` if it has a supervisor; `failed <code> <why>` if it cannot
    begin. Nothing else to say means that it runs.
    """
    directory = sys.argv[-1]
    # Before the claim: whoever sees the spec gone finds a supervisor, or knows that one has died.
    control = os.open(f"{directory}/{shimspec.CONTROL}", os.O_RDWR | os.O_NONBLOCK)
    spec = claim(directory)
    if spec is None:
        os.write(1, b"taken")
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    os.chdir("/")
    for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, _signal.SIG_IGN)  # whoever ends a whole session still gets the exit code
    shim = Shim(directory, spec, control)
    said = shim.start()
    spec.clear()
    if "failed " in said:
        shim.supervise()
        shim.finish("ContainerCannotRun", said.rpartition("failed ")[2].partition(" ")[2])
        os.write(1, os.fsencode(said))
        os._exit(0)
    os.write(1, os.fsencode(said))
    _let_go()
    shim.supervise()
    shim.finish()
    os._exit(0)


def _let_go() -> None:
    """Give back the driver's pipes, so that it need not wait any longer."""
    nowhere = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    os.close(nowhere)


def _read_all(fd: int) -> str:
    parts = []
    while part := os.read(fd, 4096):
        parts.append(part)
    os.close(fd)
    return os.fsdecode(b"".join(parts))


def _plain(text: str) -> str:
    """Text that can stand in a JSON string."""
    return "".join(
        char if char.isprintable() and char.isascii() else "?"
        for char in text.replace("\\", "/").replace('"', "'")
    )
