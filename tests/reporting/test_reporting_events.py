"""Events: told once with a count, held back when they flood, lost rather than waited for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from minikubelet.model.ids import PodUid
from minikubelet.ports.apiport import JsonObject
from minikubelet.reporting import eventrecorder
from minikubelet.reporting.eventrecorder import EventRecorder, EventType, about_node, about_pod
from tests.reporting.reporting_world import FAST, SLOT, MemoryApi, at_work, refusal
from tests.running import eventually, run

WEB = about_pod(SLOT, PodUid("u1"), "main")


class EventWorld:
    def __init__(self) -> None:
        self.api = MemoryApi()
        self.now = 1_700_000_000_000_000
        self.recorder = EventRecorder(self.api, node="node-1", now=lambda: self.now, backoff=FAST)

    @property
    def events(self) -> list[JsonObject]:
        return [found for path, found in self.api.objects.items() if "/events/" in path]

    def counts(self) -> dict[str, int]:
        return {found["reason"]: found["count"] for found in self.events}

    def record(self, reason: str, message: str = "m") -> None:
        self.recorder.record(WEB, EventType.NORMAL, reason, message)


@asynccontextmanager
async def recording() -> AsyncIterator[EventWorld]:
    world = EventWorld()
    async with at_work(world.recorder.run):
        yield world


def test_an_event_says_what_kubectl_describe_looks_for() -> None:
    async def main() -> None:
        async with recording() as world:
            world.recorder.record(WEB, EventType.WARNING, "BackOff", "restarting failed container")
            world.recorder.record(about_node("node-1"), EventType.NORMAL, "Starting", "")
            await eventually(lambda: len(world.events) == 2, "two events")
            pod, node = world.events
            assert pod["involvedObject"] == {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": "default",
                "name": "web",
                "uid": "u1",
                "fieldPath": "spec.containers{main}",
            }
            assert (pod["type"], pod["count"]) == ("Warning", 1)
            assert pod["firstTimestamp"] == "2023-11-14T22:13:20Z"
            assert pod["source"] == {"component": "kubelet", "host": "node-1"}
            assert node["metadata"]["namespace"] == "default"

    run(main())


def test_what_repeats_raises_a_count() -> None:
    async def main() -> None:
        async with recording() as world:
            world.record("Pulled")
            await eventually(lambda: world.counts() == {"Pulled": 1}, "the first")
            world.now += 5_000_000
            world.record("Pulled")
            world.record("Pulled")
            world.record("Pulled", "another message")
            await eventually(lambda: len(world.events) == 2, "both")
            await eventually(lambda: world.events[0]["count"] == 3, "the count")
            assert world.events[0]["lastTimestamp"] == "2023-11-14T22:13:25Z"

    run(main())


def test_an_event_that_expired_is_made_anew_with_its_count() -> None:
    async def main() -> None:
        async with recording() as world:
            world.record("Pulled")
            await eventually(lambda: world.events, "the first")
            world.api.objects.clear()
            world.record("Pulled")
            await eventually(lambda: world.counts() == {"Pulled": 2}, "the second")

    run(main())


def test_one_object_cannot_flood_and_may_speak_again_later() -> None:
    world = EventWorld()
    for number in range(eventrecorder.BURST + 10):
        world.record("Failed", f"attempt {number}")
    assert world.recorder.dropped == 10
    world.recorder.record(about_node("node-1"), EventType.NORMAL, "Starting", "")
    assert world.recorder.dropped == 10
    world.now += 300_000_000
    world.record("Failed", "later")
    world.record("Failed", "too soon again")
    assert world.recorder.dropped == 11


def test_outages_are_waited_out_and_the_queue_is_bounded() -> None:
    async def main() -> None:
        async with recording() as world:
            world.api.down = True
            for number in range(eventrecorder.MOST_WAITING + 5):
                subject = about_pod(SLOT, PodUid(f"u{number}"))
                world.recorder.record(subject, EventType.NORMAL, "Started", "m")
            assert world.recorder.dropped == 5
            await eventually(lambda: len(world.api.calls) > 2, "some tries")
            world.api.down = False
            await eventually(lambda: len(world.events) == eventrecorder.MOST_WAITING, "all that were kept")

    run(main())


def test_a_refused_event_is_lost_and_the_next_one_goes_on() -> None:
    async def main() -> None:
        async with recording() as world:
            world.api.faults = [refusal(403, "Forbidden")]
            world.record("Lost")
            await eventually(lambda: world.recorder.dropped, "the refusal")
            world.api.faults = [refusal(500, "InternalError"), refusal(429, "TooManyRequests")]
            world.api.lost_answers = 1
            world.record("Kept")
            await eventually(lambda: world.counts() == {"Kept": 1}, "the next one")

    run(main())
