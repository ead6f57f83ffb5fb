"""What a test needs from its machine, and whether its absence is a reason to skip or to fail.

A need is a pytest mark of the same name. MINIKUBELET_REQUIRE, a list with commas, names those that must
be there: CI sets it, so that a broken engine cannot pass as a heap of skipped tests.
"""

import functools
import os
import platform
import pwd
import shutil
from collections.abc import Callable, Mapping

from tests.engine.docker_probe import docker_absent


@functools.cache
def kubectl_absent() -> str | None:
    """Why tests marked `kubectl` cannot run here, or None if they can."""
    if shutil.which("kubectl") is None:
        return "no kubectl on PATH; tools/test-engine.sh packages installs one"
    return None


@functools.cache
def registry_absent() -> str | None:
    """Why tests marked `registry` cannot run here, or None if they can."""
    if shutil.which("docker-registry") is None:
        return "no docker-registry on PATH; tools/test-engine.sh packages installs Debian's"
    return None


@functools.cache
def dbus_absent() -> str | None:
    """Why tests marked `dbus` cannot run here, or None if they can."""
    if shutil.which("dbus-daemon") is None:
        return "no dbus-daemon on PATH; tools/test-engine.sh packages installs one"
    return None


ROOTLESS_USER = "minikubelet-rootless"


@functools.cache
def rootless_absent() -> str | None:
    """Why tests marked `rootless` cannot run here, or None if they can."""
    missing = [name for name in ("rootlesskit", "newuidmap", "dockerd") if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} on PATH; tools/test-engine.sh packages installs them"
    if os.geteuid() != 0:
        return f"only root can start an engine as the user {ROOTLESS_USER}"
    if ROOTLESS_USER not in {user.pw_name for user in pwd.getpwall()}:
        return f"there is no user {ROOTLESS_USER}; tools/test-engine.sh packages makes it"
    return None


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def browser_absent() -> str | None:
    """Why tests marked `browser` cannot run here, or None if they can."""
    if CHROMIUM is None:
        return "no chromium on PATH; tools/test-engine.sh packages installs one"
    return None


EMULATOR = "qemu-x86_64-static" if platform.machine() == "aarch64" else "qemu-aarch64-static"
"""what runs programs of the other processor here"""


def emulator_absent() -> str | None:
    """Why tests marked `emulator` cannot run here, or None if they can."""
    if shutil.which(EMULATOR) is None:
        return f"no {EMULATOR} on PATH; tools/test-engine.sh packages installs it"
    return None


NEEDS: Mapping[str, Callable[[], str | None]] = {
    "docker": docker_absent,
    "kubectl": kubectl_absent,
    "registry": registry_absent,
    "dbus": dbus_absent,
    "rootless": rootless_absent,
    "browser": browser_absent,
    "emulator": emulator_absent,
}


def required(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The needs that MINIKUBELET_REQUIRE names; a name that is no need raises ValueError."""
    names = [name.strip() for name in environment.get("MINIKUBELET_REQUIRE", "").split(",")]
    wanted = frozenset(name for name in names if name)
    unknown = sorted(wanted - set(NEEDS))
    if unknown:
        raise ValueError(f"MINIKUBELET_REQUIRE names {', '.join(unknown)}; known are {', '.join(NEEDS)}")
    return wanted
