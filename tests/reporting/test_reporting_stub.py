"""Outbox, node, lease, Events and the API source together with the stub API server over TLS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from minikubelet.apiclient.apierrors import ApiError
from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apipaths import events_path, lease_path, node_path, pod_path, pods_path
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.apiclient.apiwatch import WatchOptions
from minikubelet.core.commands import CreateMirror, DeleteApiPod, DeleteMirror, PublishStatus, Reason
from minikubelet.model.ids import PodUid, SlotKey, slot_key
from minikubelet.model.pod import Pod
from minikubelet.ports.apiport import JsonObject
from minikubelet.ports.sourceport import MirrorOffered, MirrorRetracted, PodOffered, PodRetracted, SourceFact
from minikubelet.reporting.eventrecorder import EventRecorder, EventType, about_pod
from minikubelet.reporting.nodelease import NodeLease
from minikubelet.reporting.nodeobject import NodeSetup
from minikubelet.reporting.noderegistrar import NodeRegistrar
from minikubelet.reporting.outbox import ApiOutbox
from minikubelet.sources.apisource import ApiSource
from minikubelet.sources.manifestreading import manifest_reader
from minikubelet.stubapi.stubserver import StubServer
from minikubelet.wire.podmarks import CONFIG_MIRROR
from tests.reporting.flaky_proxy import FlakyProxy
from tests.reporting.reporting_world import FAST, a_status
from tests.running import eventually, run

NODE = "node-1"
SLOT = SlotKey("default/web-node-1")
MANIFEST = b"""apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec: {containers: [{name: main, image: "busybox:1"}]}
"""


def now() -> int:
    return 1_700_000_000_000_000


def static_pod(image: str = "busybox:1") -> Pod:
    reader = manifest_reader(node_name=NODE, namespace="default")
    (read,) = reader(MANIFEST.replace(b"busybox:1", image.encode()), "web.yaml").pods
    return read.pod


class Agent:
    """What a shell does with facts of the API source and commands of the core, without a core."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client
        self.proxy: FlakyProxy | None = None
        self.full: dict[PodUid, Pod] = {}
        self.registrar = NodeRegistrar(
            client,
            NodeSetup(name=NODE),
            state_dir=Path("/"),
            now=now,
            runtime=lambda: "docker://20.10",
            problem=str,
            journal=str,
            pressures=tuple,
            record=lambda *_: None,
            backoff=FAST,
        )
        self.outbox = ApiOutbox(
            client,
            full_pod=self.full.get,
            node_uid=lambda: self.registrar.uid,
            slot_backoff=FAST,
            outage_backoff=FAST,
        )
        self.recorder = EventRecorder(client, node=NODE, now=now, backoff=FAST)
        self.lease = NodeLease(client, NODE, now=now, node_uid=lambda: self.registrar.uid)
        self.source = ApiSource(client, NODE, status_seen=self.outbox.status_seen)
        self.wanted: PodUid | None = None
        self.facts: list[SourceFact] = []

    def put(self, *facts: SourceFact) -> None:
        for fact in facts:
            self.take(fact)

    def take(self, fact: SourceFact) -> None:
        self.facts.append(fact)
        match fact:
            case MirrorOffered():
                slot = slot_key(fact.namespace, fact.name)
                self.outbox.mirror_seen(slot, fact.uid, fact.hash, deleting=fact.deleting)
                if fact.hash != self.wanted:
                    self.outbox.put(
                        DeleteMirror(slot=slot, reason=Reason.MIRROR_OUTDATED, mirror_uid=fact.uid)
                    )
            case MirrorRetracted():
                self.outbox.mirror_gone(slot_key(fact.namespace, fact.name), fact.uid)
                self.mirror()
            case _:
                pass

    def mirror(self) -> None:
        if self.wanted is not None:
            self.outbox.put(
                CreateMirror(slot=SLOT, reason=Reason.MIRROR_MISSING, uid=self.wanted, hash=self.wanted)
            )

    def runs(self, pod: Pod) -> None:
        """A static pod that runs."""
        self.wanted = PodUid(pod.metadata.uid)
        self.full[self.wanted] = pod
        self.publish(SLOT, self.wanted, "Running")
        self.mirror()

    def publish(self, slot: SlotKey, uid: PodUid, phase: str) -> None:
        self.outbox.put(
            PublishStatus(
                slot=slot,
                reason=Reason.STATUS_CHANGED,
                uid=uid,
                status=a_status(phase),
                mirror_hash=uid if uid == self.wanted else "",
            )
        )

    async def shown(self, slot: SlotKey = SLOT) -> JsonObject | None:
        namespace, _, name = slot.partition("/")
        try:
            return await self.client.get_object(pod_path(namespace, name))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def until_mirrored(self, hash_: str | None, not_uid: str = "") -> JsonObject:
        async def mirrored() -> JsonObject | None:
            found = await self.shown()
            if found is None or found["metadata"]["uid"] == not_uid:
                return None
            right = found["metadata"]["annotations"][CONFIG_MIRROR] == hash_
            return found if right and found.get("status", {}).get("phase") == "Running" else None

        found = await eventually(mirrored, "the mirror, running")
        assert found is not None
        return found


@asynccontextmanager
async def an_agent(
    folder: Path, through: Callable[[StubServer], FlakyProxy] | None = None
) -> AsyncIterator[tuple[Agent, StubServer]]:
    """With `through`, what the agent sends once its node is registered passes a proxy."""
    server = StubServer(folder / "state")
    await server.start()
    try:
        server.write_kubeconfig(folder / "kubeconfig")
        connection = load_kubeconfig(folder / "kubeconfig")
        async with AsyncExitStack() as stack:
            proxy = through(server) if through is not None else None
            if proxy is not None:
                await stack.enter_async_context(proxy.serving())
                connection = replace(connection, server=proxy.url, ca=None)
            client = await stack.enter_async_context(
                aclosing(ApiClient(connection, watch_options=WatchOptions(backoff=FAST)))
            )
            agent = Agent(client)
            agent.proxy = proxy
            if proxy is None:
                await agent.registrar.look()
            group = await stack.enter_async_context(asyncio.TaskGroup())
            parts = [
                group.create_task(agent.outbox.run()),
                group.create_task(agent.source.run(agent)),
                group.create_task(agent.recorder.run()),
            ]
            try:
                yield agent, server
            finally:
                for part in parts:
                    part.cancel()
    finally:
        await server.stop()


def test_a_mirror_lives_as_long_as_its_static_pod(state_dir: Path) -> None:
    async def main() -> None:
        async with an_agent(state_dir) as (agent, _):
            first = static_pod()
            agent.runs(first)
            mirror = await agent.until_mirrored(first.metadata.uid)
            assert mirror["metadata"]["ownerReferences"][0]["uid"] == agent.registrar.uid
            assert mirror["spec"]["nodeName"] == NODE
            await agent.client.delete_object(pod_path("default", "web-node-1"), grace_seconds=0)
            again = await agent.until_mirrored(first.metadata.uid, mirror["metadata"]["uid"])
            second = static_pod("busybox:2")
            agent.runs(second)
            agent.outbox.put(
                DeleteMirror(
                    slot=SLOT, reason=Reason.MIRROR_OUTDATED, mirror_uid=PodUid(again["metadata"]["uid"])
                )
            )
            last = await agent.until_mirrored(second.metadata.uid)
            assert last["spec"]["containers"][0]["image"] == "busybox:2"
            agent.wanted = None
            agent.full.clear()
            agent.outbox.put(
                DeleteMirror(
                    slot=SLOT, reason=Reason.MIRROR_ORPHANED, mirror_uid=PodUid(last["metadata"]["uid"])
                )
            )
            assert await agent.outbox.drain(50)
            assert await agent.shown() is None

    run(main())


def test_a_status_that_somebody_changed_comes_back(state_dir: Path) -> None:
    async def main() -> None:
        async with an_agent(state_dir) as (agent, _):
            pod = static_pod()
            agent.runs(pod)
            await agent.until_mirrored(pod.metadata.uid)
            path = pod_path("default", "web-node-1")
            await agent.client.patch_object(f"{path}/status", {"status": {"phase": "Failed"}})
            await agent.until_mirrored(pod.metadata.uid)

    run(main())


def test_an_api_pod_is_offered_deleted_with_grace_and_released(state_dir: Path) -> None:
    async def main() -> None:
        async with an_agent(state_dir) as (agent, _):
            slot = SlotKey("default/task")
            spec = {"nodeName": NODE, "containers": [{"name": "c", "image": "i"}]}
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task"}, "spec": spec}
            created = await agent.client.create_object(pods_path("default"), body)
            uid = PodUid(created["metadata"]["uid"])
            agent.publish(slot, uid, "Running")
            assert await agent.outbox.drain(50)
            await agent.client.delete_object(pod_path("default", "task"), grace_seconds=30)
            offered = [PodOffered]

            def deleting() -> bool:
                last = agent.facts[-1]
                return isinstance(last, PodOffered) and last.deletion_grace == 30

            await eventually(deleting, "the graceful deletion")
            assert [type(fact) for fact in agent.facts if isinstance(fact, PodOffered)] == offered * 2
            agent.publish(slot, uid, "Succeeded")
            agent.outbox.put(DeleteApiPod(slot=slot, reason=Reason.POD_DELETED, uid=uid))
            assert await agent.outbox.drain(50)
            assert await agent.shown(slot) is None
            await eventually(lambda: isinstance(agent.facts[-1], PodRetracted), "the retraction")

    run(main())


def test_all_converges_after_the_server_was_away(state_dir: Path) -> None:
    async def main() -> None:
        async with an_agent(state_dir) as (agent, server):
            await server.stop()
            pod = static_pod()
            agent.runs(pod)
            assert not await agent.outbox.drain(0.2)
            await server.start()
            await agent.until_mirrored(pod.metadata.uid)

    run(main())


def test_node_lease_and_events_are_there(state_dir: Path) -> None:
    async def main() -> None:
        async with an_agent(state_dir) as (agent, _):
            node = await agent.client.get_object(node_path(NODE))
            ready = {each["type"]: each["status"] for each in node["status"]["conditions"]}["Ready"]
            assert ready == "True"
            await agent.lease.renew()
            await agent.lease.renew()
            lease = await agent.client.get_object(lease_path(NODE))
            assert lease["spec"]["holderIdentity"] == NODE
            subject = about_pod(SLOT, PodUid("u1"))
            agent.recorder.record(subject, EventType.NORMAL, "Started", "started")
            agent.recorder.record(subject, EventType.NORMAL, "Started", "started")

            async def counted() -> bool:
                listed = await agent.client.list_objects(events_path("default"))
                return [found["count"] for found in listed.items] == [2]

            await eventually(counted, "the Event with its count")

    run(main())
