"""Being process 1: orphans are reaped, signals passed on, exit codes kept."""

import signal
import subprocess
import sys
import textwrap

import pytest

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def as_pid_one(work: str) -> list[str]:
    script = "import os, signal, subprocess, sys, time\nfrom minikubelet.agent.pidone import as_pid_one\n"
    body = f"def work():\n{textwrap.indent(textwrap.dedent(work), '    ')}\nsys.exit(as_pid_one(work))\n"
    return [sys.executable, "-c", script + body]


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ("return 0", 0),
        ("return 7", 7),
        ("sys.exit(2)", 2),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_the_exit_code_is_that_of_the_work(work: str, code: int) -> None:
    assert subprocess.run(as_pid_one(work), timeout=60, check=False, capture_output=True).returncode == code


def test_signals_are_passed_on() -> None:
    work = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        print('ready', flush=True)
        while True:
            time.sleep(3600)
    """
    with subprocess.Popen(as_pid_one(work), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 5


def test_orphans_are_reaped_and_children_of_the_work_are_left_to_it() -> None:
    """The orphan's parent ends at once; the work waits until no process is a zombie of process 1."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False, timeout=60).returncode:
        pytest.skip("a PID namespace takes root")
    work = """
        orphan = "import os, sys\\nif os.fork() == 0:\\n    sys.stdin.read()\\n"
        parent = subprocess.Popen([sys.executable, '-c', orphan], stdin=subprocess.PIPE)
        own = subprocess.Popen(['sh', '-c', 'exit 3'])
        parent.stdin.close()
        codes = parent.wait(), own.wait()
        us = {'1', str(os.getpid())}
        def left():
            return [each for each in os.listdir('/proc') if each.isdecimal() and each not in us]
        while left():
            time.sleep(0.01)
        return 0 if codes == (0, 3) else 1
    """
    done = subprocess.run([*UNSHARE, *as_pid_one(work)], timeout=60, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
