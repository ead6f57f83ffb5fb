"""The inbox: order, the bound, and newest definitions."""

import asyncio

import pytest

from minikubelet.core.events import AnyEvent, PodSet, PodWithdrawn, TimerFired
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.pod import ObjectMeta, Pod, PodSpec
from minikubelet.shell.inbox import BATCH, Inbox
from tests.running import run

WEB = SlotKey("kube-system/web")


def pod_set(uid: str, *, slot: SlotKey = WEB, source: Source = Source.FILE) -> PodSet:
    pod = Pod(metadata=ObjectMeta(name="web", namespace="kube-system", uid=uid), spec=PodSpec())
    return PodSet(source=source, slot=slot, uid=PodUid(uid), pod=pod)


def withdrawn(uid: str) -> PodWithdrawn:
    return PodWithdrawn(source=Source.FILE, slot=WEB, uid=PodUid(uid))


def taken(*events: AnyEvent) -> list[AnyEvent]:
    async def main() -> list[AnyEvent]:
        inbox = Inbox()
        for event in events:
            await inbox.offer(event)
        return await inbox.take()

    return run(main())


def test_events_come_out_in_the_order_they_went_in() -> None:
    timers = [TimerFired(slot=SlotKey(f"default/{n}")) for n in range(10)]
    assert taken(*timers) == timers


def test_a_newer_definition_takes_the_place_of_an_unread_one() -> None:
    other = TimerFired(slot=WEB)
    assert taken(pod_set("a"), other, pod_set("b")) == [pod_set("b"), other]


def test_definitions_of_other_slots_and_sources_are_kept_apart() -> None:
    events = [pod_set("a"), pod_set("b", slot=SlotKey("default/b")), pod_set("c", source=Source.API)]
    assert taken(*events) == events


def test_a_definition_never_passes_a_withdrawal_between() -> None:
    """Set, withdrawn, set again must end in a pod that is wanted."""
    events: list[AnyEvent] = [pod_set("a"), withdrawn("a"), pod_set("a")]
    assert taken(*events) == events


def test_a_definition_already_read_is_not_replaced() -> None:
    async def main() -> list[list[AnyEvent]]:
        inbox = Inbox()
        await inbox.offer(pod_set("a"))
        first = await inbox.take()
        await inbox.offer(pod_set("b"))
        return [first, await inbox.take()]

    assert run(main()) == [[pod_set("a")], [pod_set("b")]]


def test_a_source_waits_while_the_inbox_is_full_but_results_never_do() -> None:
    async def main() -> None:
        inbox = Inbox(limit=2)
        for number in range(2):
            await inbox.offer(TimerFired(slot=SlotKey(f"default/{number}")))
        inbox.put(TimerFired(slot=WEB))
        waiting = asyncio.create_task(inbox.offer(TimerFired(slot=SlotKey("default/late"))))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert len(await inbox.take()) == 3
        await waiting
        assert len(inbox) == 1

    run(main())


def test_a_full_inbox_still_takes_a_newer_definition_in_place() -> None:
    async def main() -> list[AnyEvent]:
        inbox = Inbox(limit=1)
        await inbox.offer(pod_set("a"))
        await inbox.offer(pod_set("b"))
        return await inbox.take()

    assert run(main()) == [pod_set("b")]


@pytest.mark.parametrize("count", [1, BATCH, BATCH + 1])
def test_no_more_than_a_batch_is_taken_at_once(count: int) -> None:
    async def main() -> list[int]:
        inbox = Inbox()
        for number in range(count):
            inbox.put(TimerFired(slot=SlotKey(f"default/{number}")))
        sizes = []
        while len(inbox):
            sizes.append(len(await inbox.take()))
        return sizes

    sizes = run(main())
    assert sum(sizes) == count
    assert max(sizes) <= BATCH
