"""Whether a directory is the same one for this process and for the engine, and readable by both.

Belongs here: the questions, and the sentences where the answer is no. May not be here: which directories
matter. Nothing is started: an engine looks at the source of a bind mount when a container is created.
"""

from __future__ import annotations

import os
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from aiodocker.exceptions import DockerError

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.runtimes.docker.dockerengine import Engine
from minikubelet.runtimes.docker.dockerhost import of_another_user
from minikubelet.runtimes.docker.dockerimages import Images

_LABEL: Final = "minikubelet.dev/path-check"
"""tells whose a container is that an agent left which was killed as it looked; its next start removes it"""
_NO_SOURCE: Final = "bind source path does not exist"


async def sees(engine: Engine, images: Images, directory: Path, node: str) -> bool:
    """Whether the engine finds in the directory what is put there now; raises OSError, DockerError.

    A file of a name that nobody else can have is put there, and a container that would bind it is created and
    removed. Where the engine's own directory of that path is another one, or none, it refuses.
    """
    mark = directory / f".path-check-{secrets.token_hex(8)}"
    mark.touch(mode=0o600)
    try:
        await _create(engine, f"minikubelet-path-check-{node}", _body(await images.pause(), mark, node))
    except DockerError as error:
        if _NO_SOURCE in str(error.message):
            return False
        raise
    finally:
        mark.unlink(missing_ok=True)
    return True


def not_shared(path: Path) -> RuntimeFault:
    """What to say where the engine's directory of that path is another one."""
    return RuntimeFault(
        "StateNotShared",
        f"the directory {path} of this agent is not the engine's {path}, so that volumes and files"
        " made there would be missing in containers; start the agent on the engine's host, or, in a"
        f" container, mount the host's directory at the same path (-v {path}:{path}:rshared)",
    )


def check_user(engine: Engine) -> None:
    """Raise RuntimeFault where a rootless engine is another user's: it may not read what the agent writes."""
    user = of_another_user(engine.socket)
    if user is not None:
        raise RuntimeFault(
            "EngineOfAnotherUser",
            f"the engine at {engine.host} is rootless and belongs to user {user}, while this agent is user"
            f" {os.geteuid()}: neither may read the files of the other; start the agent in a container on"
            f" that engine, or as user {user}",
        )


async def _create(engine: Engine, name: str, body: dict[str, Any]) -> None:
    """Create the container and remove it; one that an agent left that was killed meanwhile goes first."""
    try:
        await engine.ask("POST", "containers/create", params={"name": name}, body=body)
    except DockerError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        await engine.ask("DELETE", f"containers/{name}", params={"force": "true"})
        await engine.ask("POST", "containers/create", params={"name": name}, body=body)
    await engine.ask("DELETE", f"containers/{name}", params={"force": "true"})


def _body(image: str, mark: Path, node: str) -> dict[str, Any]:
    mount = {"Type": "bind", "Source": str(mark), "Target": "/mark", "ReadOnly": True}
    return {
        "Image": image,
        "Labels": {_LABEL: node},
        "NetworkDisabled": True,
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }


def touch(path: Path) -> None:
    """Make the file for a termination message: writable for whatever user the container has."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.fchmod(descriptor, 0o666)
        os.close(descriptor)
    except OSError as error:
        why = f"cannot make the file for termination messages: {error}"
        raise RuntimeFault("CreateContainerError", why) from None
