"""The lines of an agent: one that cannot be written is lost, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from minikubelet.agent.agentlogging import unfailing

NOTHING_TO_RUN = (sys.executable, "-m", "minikubelet", "run", "--standalone", "--root-dir")


def test_a_disk_that_is_full_or_a_reader_that_has_gone_loses_lines_only() -> None:
    """Any task may say something: an exception out of that would end them all."""
    reader, writer = os.pipe()
    os.close(reader)
    for descriptor in (writer, os.open("/dev/full", os.O_WRONLY)):
        with os.fdopen(descriptor, "w", encoding="utf-8", closefd=False) as stream:
            print("a line that nobody will read", file=unfailing(stream), flush=True)
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), descriptor
            )  # what is buffered still has to go somewhere
        os.close(descriptor)


def test_what_a_container_says_commands_no_terminal() -> None:
    says = (
        "import structlog; from minikubelet.agent.agentlogging import configure_logging;"
        "from minikubelet.model.settings import LoggingSettings; configure_logging(LoggingSettings());"
        "structlog.get_logger().info('probe failed', message='\\x1b[31mX\\x1b[2J\\u009b1m', kept='a\\tb')"
    )
    ended = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True)
    assert not {"\x1b", "\x9b"} & set(ended.stderr)
    assert "x1b[31mX" in ended.stderr


def test_closed_standard_streams_are_no_crash(tmp_path: Path) -> None:
    """A service manager may close them; the exit code still tells what was wrong."""
    script = 'exec >&- 2>&-; exec "$@"'
    ended = subprocess.run(["/bin/sh", "-c", script, "sh", *NOTHING_TO_RUN, str(tmp_path)], check=False)
    assert ended.returncode == 2
