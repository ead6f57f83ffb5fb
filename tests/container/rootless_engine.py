"""A rootless Docker engine of the tests' own, under rootlesskit, as a user without rights has one.

Belongs here: starting and ending it, and the images it needs. May not be here: agents. Its network is a
namespace of its own with nothing but the engine's bridge, so that no slirp4netns is needed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.container.container_world import IMAGE, until
from tests.engine import docker_probe
from tests.engine.required import ROOTLESS_USER

_START = """\
rm -f /run/docker /run/containerd /run/xtables.lock
/bin/busybox ip link set lo up
exec dockerd --rootless --data-root {base}/data --exec-root {base}/run/exec --pidfile {base}/run/docker.pid \
  --host unix://{socket}
"""


@contextmanager
def rootless_engine(base: Path) -> Iterator[str]:
    """The address of the engine, which has busybox and the agent's image; it ends with all its containers.

    The directory becomes the user's, so that agents may have theirs beneath it.
    """
    (base / "run").mkdir()
    for path in (base, base / "run"):
        shutil.chown(path, ROOTLESS_USER, ROOTLESS_USER)
    socket = base / "run" / "docker.sock"
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "setpriv", "--reuid", ROOTLESS_USER, "--regid", ROOTLESS_USER, "--init-groups",
                "rootlesskit", "--net=host", "--copy-up=/etc", "--copy-up=/run", "--propagation=rslave",
                f"--state-dir={base}/run/kit",
                "unshare", "--net", "sh", "-c", _START.format(base=base, socket=socket),
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=base,
            env={"PATH": os.environ["PATH"], "HOME": str(base), "XDG_RUNTIME_DIR": str(base / "run")},
        )  # fmt: skip
    try:
        until(lambda: _answers(process, socket, base / "log"), lambda: (base / "log").read_text()[-3000:])
        _give(f"unix://{socket}", docker_probe.BUSYBOX, IMAGE)
        yield f"unix://{socket}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(process: subprocess.Popen[bytes], socket: Path, log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-3000:]
    asked = subprocess.run(["docker", "-H", f"unix://{socket}", "version"], capture_output=True, check=False)
    return asked.returncode == 0


def _give(host: str, *images: str) -> None:
    """Images of the tests' engine for this one."""
    saved = ["docker", "-H", docker_probe.docker_host(), "save", *images]
    with subprocess.Popen(saved, stdout=subprocess.PIPE) as save:
        subprocess.run(["docker", "-H", host, "load", "--quiet"], stdin=save.stdout, check=True, timeout=200)
