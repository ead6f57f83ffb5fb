"""Images: the pull policies, and no image pulled twice at once.

Belongs here: Always, IfNotPresent, Never and their reasons (kubernetes.io/docs/concepts/containers/images).
May not be here: how an engine pulls.
"""

from __future__ import annotations

import asyncio

from minikubelet.model.pod import Container, Pod
from minikubelet.ports.runtimeport import Runtime, RuntimeFault


class Images:
    """Sees that a container's image is in the engine; at most `parallel` pulls run at once."""

    def __init__(self, runtime: Runtime, parallel: int) -> None:
        self._runtime = runtime
        self._turns = asyncio.Semaphore(max(1, parallel))
        self._pulls: dict[str, asyncio.Task[str]] = {}

    async def ensure(self, pod: Pod, name: str) -> str:
        """The id of the image of a container, pulled where its policy says so; raises RuntimeFault."""
        container = next(c for c in (*pod.spec.init_containers, *pod.spec.containers) if c.name == name)
        policy = container.image_pull_policy or default_policy(container.image)
        if policy != "Always":
            present = await self._runtime.image_status(container.image)
            if present is not None:
                return present.id
        if policy == "Never":
            raise RuntimeFault(
                "ErrImageNeverPull",
                f'Container image "{container.image}" is not present with pull policy of Never',
            )
        return await self._pull(container)

    async def _pull(self, container: Container) -> str:
        pull = self._pulls.get(container.image)
        if pull is None:
            pull = asyncio.create_task(self._pull_once(container.image))
            self._pulls[container.image] = pull
            pull.add_done_callback(lambda _: self._pulls.pop(container.image, None))
        return await asyncio.shield(pull)

    async def _pull_once(self, image: str) -> str:
        async with self._turns:
            return await self._runtime.pull_image(image)


def default_policy(image: str) -> str:
    """Always for `:latest` or no tag at all, IfNotPresent otherwise."""
    name = image.rsplit("/", 1)[-1]
    if "@" in name:
        return "IfNotPresent"
    tag = name.partition(":")[2]
    return "Always" if tag in {"", "latest"} else "IfNotPresent"
