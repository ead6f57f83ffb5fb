"""Whether a directory is the same one for this process and for the engine.

Belongs here: the question to the engine. May not be here: what follows from the answer, or which directories
matter. Nothing is started: an engine looks at the source of a bind mount when a container is created.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from aiodocker.exceptions import DockerError

from minikubelet.runtimes.docker.dockerengine import Engine
from minikubelet.runtimes.docker.dockerimages import Images

_NO_SOURCE: Final = "bind source path does not exist"


async def sees(engine: Engine, images: Images, directory: Path, node: str) -> bool:
    """Whether the engine finds in the directory what is put there now; raises OSError, DockerError.

    A file of a name that nobody else can have is put there, and a container that would bind it is created and
    removed. Where the engine's own directory of that path is another one, or none, it refuses.
    """
    mark = directory / f".path-check-{secrets.token_hex(8)}"
    mark.touch(mode=0o600)
    try:
        await _create(engine, f"minikubelet-path-check-{node}", _body(await images.pause(), mark))
    except DockerError as error:
        if _NO_SOURCE in str(error.message):
            return False
        raise
    finally:
        mark.unlink(missing_ok=True)
    return True


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


def _body(image: str, mark: Path) -> dict[str, Any]:
    mount = {"Type": "bind", "Source": str(mark), "Target": "/mark", "ReadOnly": True}
    return {
        "Image": image,
        "NetworkDisabled": True,
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }
