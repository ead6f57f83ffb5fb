"""Pull waits: a pod that is to end waits for no image."""

import asyncio

import pytest

from minikubelet.core.events import PodSet, PodWithdrawn
from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import Source
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.pullwaits import PullWaits
from tests.running import run
from tests.shell.shell_world import SLOT, UID, pod


def known() -> Reducer:
    reducer = Reducer()
    reducer.decide(1, 1, PodSet(source=Source.FILE, slot=SLOT, uid=UID, pod=pod()))
    return reducer


async def image(ready: asyncio.Event) -> str:
    await ready.wait()
    return "sha256:1"


def test_a_pull_that_ends_gives_its_image() -> None:
    async def main() -> str:
        waits = PullWaits(known())
        ready = asyncio.Event()
        waiting = asyncio.create_task(waits.wait(SLOT, UID, image(ready)))
        await asyncio.sleep(0)
        waits.seen()
        ready.set()
        return await waiting

    assert run(main()) == "sha256:1"


def test_the_end_of_the_pod_ends_the_wait() -> None:
    async def main() -> None:
        reducer = known()
        waits = PullWaits(reducer)
        waiting = asyncio.create_task(waits.wait(SLOT, UID, image(asyncio.Event())))
        await asyncio.sleep(0)
        reducer.decide(2, 2, PodWithdrawn(source=Source.FILE, slot=SLOT, uid=UID))
        waits.seen()
        with pytest.raises(RuntimeFault, match="the pod ends"):
            await waiting

    run(main())


def test_a_pull_that_fails_says_why() -> None:
    async def fail() -> str:
        raise RuntimeFault("ErrImagePull", "no such image")

    async def main() -> None:
        with pytest.raises(RuntimeFault, match="no such image"):
            await PullWaits(known()).wait(SLOT, UID, fail())

    run(main())


def test_the_end_of_the_agent_is_not_taken_for_that_of_the_pod() -> None:
    async def main() -> bool:
        waiting = asyncio.create_task(PullWaits(known()).wait(SLOT, UID, image(asyncio.Event())))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled()

    assert run(main())
