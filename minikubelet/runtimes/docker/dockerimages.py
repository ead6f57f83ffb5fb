"""The engine's images: look, list, pull, remove, and the pause image made here where there is none.

Belongs here: everything about images and nothing about containers. The pause image is the driver's own: it
is neither listed nor removed, so that collecting unused images never takes it.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from aiodocker.exceptions import DockerError

from minikubelet.ports.runtimeport import ImageInfo, RegistryAuth, RuntimeFault
from minikubelet.runtimes.docker.dockerengine import Engine, is_gone, one_line, refused
from minikubelet.runtimes.docker.dockerpause import PAUSE_IMAGE, PROGRAM, pause_elf, pause_tar

_log = structlog.get_logger(__name__)
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_BAD_REQUEST: Final = 400
_SILENCE_SECONDS: Final = 300.0
"""A pull is given up that says nothing for so long: its pod can neither be removed nor replaced before."""


class Images:
    """The image half of the driver."""

    def __init__(self, engine: Engine, pause_image: str | None) -> None:
        self._engine = engine
        self._wanted_pause = pause_image
        self._pause = ""
        self._making = asyncio.Lock()
        self.silence_seconds = _SILENCE_SECONDS

    async def status(self, name: str) -> ImageInfo | None:
        """The image of that name or id; None if there is none."""
        if not _REFERENCE.fullmatch(name):
            return None
        try:
            found = await self._engine.ask("GET", f"images/{name}/json")
        except DockerError as error:
            if is_gone(error) or error.status == _BAD_REQUEST:  # no name of an image: there is none
                return None
            raise refused("ImageStatus", error) from None
        return _info(found, (found.get("Config") or {}).get("User") or "")

    async def all(self) -> list[ImageInfo]:
        """Every image but the pause image; their users are not told by a list."""
        try:
            found = await self._engine.ask("GET", "images/json")
        except DockerError as error:
            raise refused("ListImages", error) from None
        images = [_info(image, "") for image in found]
        return [image for image in images if not {self._pause, PAUSE_IMAGE} & set(image.tags)]

    async def pull(self, name: str, auth: RegistryAuth | None) -> str:
        """Pull an image; its id."""
        if not _REFERENCE.fullmatch(name):
            raise RuntimeFault("InvalidImageName", f"{name!r} is no name of an image")
        headers = {"X-Registry-Auth": _auth_header(auth)} if auth is not None else {}
        params = {"fromImage": name}
        last = name.rpartition("/")[2]
        if "@" not in name and ":" not in last:
            params["tag"] = "latest"  # without it the engine pulls every tag
        try:
            async with (
                asyncio.timeout(self.silence_seconds) as patience,
                self._engine.stream("POST", "images/create", params=params, headers=headers) as answer,
            ):
                await _progress(answer.content, lambda: _begin_anew(patience, self.silence_seconds))
        except TimeoutError:
            raise RuntimeFault(
                "ErrImagePull", f"the engine's pull of {name} made no progress for {self.silence_seconds:g} s"
            ) from None
        except DockerError as error:
            invalid = error.status == _BAD_REQUEST and "reference" in error.message
            raise refused("InvalidImageName" if invalid else "ErrImagePull", error) from None
        image = await self.status(name)
        if image is None:
            raise RuntimeFault("ErrImagePull", f"the engine pulled {name} but does not have it")
        return image.id

    async def remove(self, name: str) -> None:
        """Remove an image; one that is not there is fine, one in use is refused.

        By its id it goes under all its names. The engine itself would take a name from what a container of
        others uses, as long as another is left.
        """
        if name in {self._pause, PAUSE_IMAGE}:
            raise RuntimeFault("RemoveImage", f"{name} holds the sandboxes of this node's pods; it is kept")
        try:
            for one in await self._all_names(name):
                await self._remove(one)
        except DockerError as error:
            raise refused("RemoveImage", error) from None

    async def _all_names(self, name: str) -> tuple[str, ...]:
        """What has to be removed for this name: for an id all names, unless the image is in use."""
        image = await self.status(name) if name.startswith("sha256:") else None
        if image is None:
            return (name,)
        users = await self._users(image.id)
        if users:
            raise RuntimeFault("RemoveImage", f"{name} is in use by {', '.join(users)}")
        return image.tags or (name,)

    async def _users(self, image_id: str) -> tuple[str, ...]:
        """The containers made from an image or from one on top of it, whoever made them."""
        filters = msgspec.json.encode({"ancestor": [image_id]}).decode()
        found = await self._engine.ask("GET", "containers/json", params={"all": "true", "filters": filters})
        return tuple(str((one.get("Names") or [one["Id"]])[0]).lstrip("/") for one in found)

    async def _remove(self, name: str) -> None:
        try:
            await self._engine.ask("DELETE", f"images/{name}")
        except DockerError as error:
            if not is_gone(error):
                raise

    async def pause(self) -> str:
        """The pause image, made first where it is missing."""
        async with self._making:
            if not self._pause:
                self._pause = await self._find_pause()
            return self._pause

    def forget_pause(self) -> None:
        """Someone has removed it: look again."""
        self._pause = ""

    async def _find_pause(self) -> str:
        if self._wanted_pause:
            if await self.status(self._wanted_pause) is not None:
                return self._wanted_pause
            _log.warning(
                "the engine does not have the pause image; using the built-in one",
                image=self._wanted_pause,
                instead=PAUSE_IMAGE,
            )
        if await self.status(PAUSE_IMAGE) is None:
            await self._make_pause()
        return PAUSE_IMAGE

    async def _make_pause(self) -> None:
        architecture = str((await self._engine.ask("GET", "version"))["Arch"])
        elf = pause_elf(architecture)
        if elf is None:
            raise RuntimeFault(
                "CreatePodSandboxError",
                f"no built-in pause program for {architecture}: name a pause image that the engine has",
            )
        repository, _, tag = PAUSE_IMAGE.rpartition(":")
        changes = f'ENTRYPOINT ["{PROGRAM}"]'
        params = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes}
        try:
            body = pause_tar(elf)
            async with self._engine.stream("POST", "images/create", params=params, body=body) as answer:
                await _progress(answer.content)
        except DockerError as error:
            raise refused("CreatePodSandboxError", error) from None


def _begin_anew(patience: asyncio.Timeout, seconds: float) -> None:
    patience.reschedule(asyncio.get_running_loop().time() + seconds)


def _no_matter() -> None:
    """Nobody counts the time."""


async def _progress(content: Any, some: Callable[[], None] = _no_matter) -> None:
    """Reads the engine's progress messages to their end; one that is an error raises DockerError.

    `some` is called whenever there is some.
    """
    rest = b""
    async for data in content.iter_any():
        some()
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            message = msgspec.json.decode(line) if line.strip() else {}
            if "error" in message:
                raise DockerError(0, one_line(str(message["error"])))


def _info(image: dict[str, Any], user: str) -> ImageInfo:
    tags = (*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ()))
    named = tuple(tag for tag in tags if not tag.startswith("<none>"))
    return ImageInfo(str(image["Id"]), named, int(image.get("Size") or 0), user)


def _auth_header(auth: RegistryAuth) -> str:
    """The engine's X-Registry-Auth: base64url of its AuthConfig."""
    if auth.identity_token:
        config = {"serveraddress": auth.server, "identitytoken": auth.identity_token}
    else:
        config = {"username": auth.username, "password": auth.password, "serveraddress": auth.server}
    return base64.urlsafe_b64encode(msgspec.json.encode(config)).decode()
