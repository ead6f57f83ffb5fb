"""A small world that follows a script: the real reducer, a runtime of a few lines, and a clock set by hand.

It records what happens as the agent does, and writes it down as segments or an export. The same script gives
the same bytes, so histories made with it can be committed and must verify for ever.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.core.behaviours import TODAY, Behaviours
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Stage
from minikubelet.journal.exportfile import write_export
from minikubelet.journal.framing import encode_record, frame_group, frame_head
from minikubelet.journal.segments import Identity, Tail, new_header, segment_name
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox
from minikubelet.model.pod import Pod, ProbeKind
from minikubelet.ports.journalport import Record, RecordKind, Snapshot
from minikubelet.wire.records import (
    encode_command,
    encode_event,
    encode_snapshot,
    schema_hash,
)
from tests.replay.scripted_pods import NODE, origin_of, pod_of, pod_set, slot_of

SECOND = 1_000_000
START = 1_780_000_000 * SECOND
Part = tuple[Snapshot | None, list[Record]]


class World:
    """Events in, decisions out, and answers to them; `parts` are the segments so far."""

    def __init__(self, behaviours: Behaviours = TODAY, *, has_api: bool = True) -> None:
        self.reducer = Reducer()
        self.at = START
        self.parts: list[Part] = [(None, [])]
        self.core = str(len(behaviours) + 1)
        self.behaviours = behaviours  # those that a life begins with from now on
        self.has_api = has_api
        self.schema = schema_hash()
        self.broken_starts: dict[str, deque[str]] = {}  # container: reasons why its next starts fail
        self.stubborn: tuple[str, ...] = ()  # containers that do not stop
        self.slow: tuple[str, ...] = ()  # containers whose starts take until `come_up`
        self.broken_sandboxes: dict[str, int] = {}  # slot: how many of its next sandboxes fail
        self.containers: dict[str, ObservedContainer] = {}
        self.sandboxes: dict[str, ObservedSandbox] = {}
        self.owner: dict[str, tuple[SlotKey, PodUid]] = {}
        self.timers: dict[SlotKey, int] = {}
        self.published: dict[str, PodUid] = {}
        self._todo: deque[c.AnyCommand] = deque()
        self._coming_up: list[c.StartContainer] = []
        self._ids = 0
        self._boots = 0
        self._seq = 0

    @property
    def records(self) -> list[Record]:
        """All records so far."""
        return [record for _, records in self.parts for record in records]

    # ── what a script calls ──

    def start(
        self, *, listed: bool = True, gone: str = "", rejected: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """A life of the agent begins, all synced and listed; the pod of uid `gone` is held no more."""
        self._boots += 1
        self._todo.clear()
        self.timers.clear()
        sources = (Source.FILE, Source.API) if self.has_api else (Source.FILE,)
        self.tell(
            e.AgentStarted(
                node=NODE, boot=f"boot-{self._boots}", sources=sources, has_api=self.has_api,
                runtime="docker", node_ips=("10.9.8.7",), static_namespace="default",
                behaviours=self.behaviours,
            )
        )  # fmt: skip
        if rejected:  # as a source does it: verdicts come before the list
            self.tell(e.ManifestsJudged(rejected=rejected))
        for source in sources:
            present = tuple(
                g.uid
                for s in self.reducer.slots.values()
                for g in s.generations
                if g.source is source and g.uid != gone
            )
            self.tell(e.SourceSynced(source=source, present=present))
        if listed:
            self.list_runtime()

    def list_runtime(self) -> None:
        """The first full list in this life."""
        for uid in dict.fromkeys(uid for _, uid in self.owner.values()):
            self.look(uid)
        self.tell(e.RuntimeListed(pods=len(self.owner)))
        self.work()

    def tell(self, event: e.AnyEvent) -> list[c.Decision]:
        """Take an event in and record it with what was decided."""
        self._seq += 1
        seq = self._seq
        self.at += 1_000 + (seq % 7) * 100
        decisions = self.reducer.decide(seq, self.at, event)
        records = self.parts[-1][1]
        records.append(Record(seq, RecordKind.EVENT, self.at, msgspec.Raw(encode_event(event))))
        for decision in decisions:
            self._seq += 1
            body = msgspec.Raw(encode_command(decision.command))
            records.append(Record(self._seq, RecordKind.COMMAND, self.at, body, decision.causes))
            self._todo.append(decision.command)
        return decisions

    def segment(self) -> None:
        """Begin a new segment with a snapshot."""
        head = Snapshot(self._seq, encode_snapshot(self.reducer.snapshot()))
        self.parts.append((head, []))

    def manifest(self, text: str, *, file: str = "web.yaml", source: Source = Source.FILE) -> Pod:
        """A source holds the pod of this manifest."""
        pod = pod_of(text)
        if source is Source.API:
            meta = msgspec.structs.replace(pod.metadata, uid=f"api-{pod.metadata.uid[:8]}", annotations={})
            pod = msgspec.structs.replace(pod, metadata=meta)
        self.tell(pod_set(pod, source=source, origin=origin_of(text, file, source)))
        self.work()
        return pod

    def edit(self, before: Pod, text: str, *, file: str = "web.yaml") -> Pod:
        """A manifest file was changed: the old pod goes, the new one comes."""
        pod = pod_of(text)
        self.tell(pod_set(pod, source=Source.FILE, origin=origin_of(text, file, Source.FILE)))
        self.withdraw(before, file=file)
        return pod

    def withdraw(self, pod: Pod, *, file: str = "web.yaml", source: Source = Source.FILE) -> None:
        """A source no longer holds the pod."""
        self.tell(e.PodWithdrawn(source=source, slot=slot_of(pod), uid=PodUid(pod.metadata.uid), origin=file))
        self.work()

    def delete(self, pod: Pod, grace: int = 30) -> None:
        """The API object of the pod is being deleted."""
        event = pod_set(pod, source=Source.API, origin="resourceVersion 77")
        self.tell(msgspec.structs.replace(event, deletion_at=self.at, deletion_grace=grace))
        self.work()

    def exit(self, pod: Pod, container: str, code: int, reason: str = "") -> None:
        """The running instance of a container ends by itself."""
        for key, seen in self.containers.items():
            mine = self.owner[key][1] == pod.metadata.uid and seen.name == container
            if mine and seen.phase is ContainerPhase.RUNNING:
                self.containers[key] = msgspec.structs.replace(
                    seen, phase=ContainerPhase.EXITED, exit_code=code, finished_at=self.at, reason=reason
                )
        self.look(PodUid(pod.metadata.uid))
        self.work()

    def probe(self, pod: Pod, container: str, kind: ProbeKind, *, passed: bool, message: str = "") -> None:
        """A probe of the running instance of a container comes to a result."""
        uid, slot = PodUid(pod.metadata.uid), slot_of(pod)
        gen = self.reducer.slots[slot].find(uid)
        key = gen.containers[container].id if gen else ""
        self.tell(
            e.ContainerProbed(
                slot=slot, uid=uid, container=container, container_id=key, probe=kind, passed=passed,
                message=message,
            )
        )  # fmt: skip
        self.work()

    def lose_sandbox(self, pod: Pod) -> None:
        """The sandbox of a pod dies, and its containers with it."""
        uid = PodUid(pod.metadata.uid)
        for key in self._of(uid, self.sandboxes):
            self.sandboxes[key] = msgspec.structs.replace(self.sandboxes[key], ready=False)
        for key in self._of(uid, self.containers):
            if self.containers[key].phase is ContainerPhase.RUNNING:
                self.containers[key] = msgspec.structs.replace(
                    self.containers[key], phase=ContainerPhase.EXITED, exit_code=137, finished_at=self.at
                )
        self.look(uid)
        self.work()

    def look(self, uid: PodUid) -> None:
        """The runtime is looked at."""
        slots = [slot for slot, owner in self.owner.values() if owner == uid]
        if not slots:
            return
        namespace, _, name = slots[0].partition("/")
        seen = ObservedPod(
            uid=uid, namespace=namespace, name=name,
            sandboxes=tuple(self.sandboxes[key] for key in self._of(uid, self.sandboxes)),
            containers=tuple(self.containers[key] for key in self._of(uid, self.containers)),
        )  # fmt: skip
        self.tell(e.PodObserved(slot=slots[0], pod=seen, after=self._seq))

    def come_up(self) -> None:
        """The containers that were slow to start run now."""
        self.slow = ()
        self._todo += self._coming_up
        self._coming_up = []
        self.work()

    def pass_time(self, seconds: float) -> None:
        """Time goes by; timers that come due fire in their order."""
        end = self.at + int(seconds * SECOND)
        while due := [(at, slot) for slot, at in self.timers.items() if at <= end]:
            at, slot = min(due)
            del self.timers[slot]
            self.at = max(self.at, at)
            self.tell(e.TimerFired(slot=slot))
            self.work()
        self.at = max(self.at, end)

    def work(self, limit: int = 10_000) -> None:
        """Carry out commands, and take their results in, until nothing is left to do."""
        while self._todo and limit:
            limit -= 1
            answer = self._carry_out(self._todo.popleft())
            if answer is not None:
                self.tell(answer)

    def stage(self, pod: Pod) -> Stage | None:
        """How far the generation of a pod has come; None once it is forgotten."""
        slot = self.reducer.slots.get(slot_of(pod))
        generation = slot.find(PodUid(pod.metadata.uid)) if slot else None
        return generation.stage if generation else None

    # ── writing down ──

    def write_segments(self, directory: Path, group: int = 50) -> None:
        """Write the parts as segments, in commit groups of at least so many records."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in self.segments(group).items():
            (directory / name).write_bytes(data)

    def segments(self, group: int = 50) -> dict[str, bytes]:
        """The parts as the bytes of segments by name."""
        identity = Identity(NODE, "boot-1", self.core, self.schema, {"maxPods": 110})
        tail, files = Tail(), {}
        for snapshot, records in self.parts:
            first = records[0].seq if records else tail.seq + 1
            data, crc = frame_head(
                new_header(identity, first, tail, records[0].at if records else self.at), snapshot
            )
            for chunk in grouped(records, group):
                lines, crc = frame_group(map(encode_record, chunk), len(chunk), chunk[-1].seq, crc)
                data += lines
                tail = Tail(chunk[-1].seq, crc)
            files[segment_name(first)] = data
        return files

    def write_export(self, path: Path) -> None:
        """Write all as one export."""
        identity = Identity(NODE, "boot-1", self.core, schema_hash(), {})
        write_export(self.records, self.parts[0][0], new_header(identity, 1, Tail(), START), path)

    # ── the runtime ──

    def _of(
        self, uid: PodUid, things: dict[str, ObservedContainer] | dict[str, ObservedSandbox]
    ) -> list[str]:
        return [key for key in things if self.owner[key][1] == uid]

    def _new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}{self._ids:04x}"

    def _carry_out(self, command: c.AnyCommand) -> e.AnyEvent | None:
        match command:
            case c.StartSandbox():
                return self._start_sandbox(command)
            case c.StartContainer():
                return self._start_container(command)
            case c.StopContainer() if command.container in self.stubborn:
                return None
            case c.StopContainer():
                return self._stop_container(command)
            case c.RemoveContainer():
                self._forget(command.container_id)
                return e.ContainerRemoved(
                    slot=command.slot, uid=command.uid, container=command.container,
                    container_id=command.container_id,
                )  # fmt: skip
            case c.StopSandbox() | c.RemoveSandbox():
                return self._end_sandbox(command)
            case c.CleanUpPod():
                for key in self._of(command.uid, self.containers) + self._of(command.uid, self.sandboxes):
                    self._forget(key)
                return e.PodCleanedUp(slot=command.slot, uid=command.uid)
            case c.WakeAt():
                self.timers[command.slot] = command.at
                return None
            case _:
                return _upstream(command)

    def _start_sandbox(self, command: c.StartSandbox) -> e.AnyEvent:
        if self.broken_sandboxes.get(command.slot, 0):
            self.broken_sandboxes[command.slot] -= 1
            return e.SandboxStartFailed(
                slot=command.slot, uid=command.uid, attempt=command.attempt, reason="SandboxError",
                message="bridge br0 on registry.corp.example:5000 has no free address",
            )  # fmt: skip
        key = self._new_id("sb")
        ips = (f"10.1.0.{self._ids % 250 + 2}",)
        self.owner[key] = (command.slot, command.uid)
        self.sandboxes[key] = ObservedSandbox(key, command.attempt, ready=True, ips=ips, created_at=self.at)
        return e.SandboxStarted(
            slot=command.slot, uid=command.uid, attempt=command.attempt, sandbox_id=key, ips=ips
        )

    def _start_container(self, command: c.StartContainer) -> e.AnyEvent | None:
        if command.container in self.slow:
            self._coming_up.append(command)
            return None
        slot, uid, name = command.slot, command.uid, command.container
        if self.broken_starts.get(name):
            reason = self.broken_starts[name].popleft()
            return e.ContainerStartFailed(
                slot=slot, uid=uid, container=name, attempt=command.attempt, reason=reason,
                message=f"cannot pull registry.corp.example:5000/team/{name}:1: no such host",
            )  # fmt: skip
        generation = self.reducer.slots[slot].find(uid)
        hashed = generation.hashes.get(name, "") if generation else ""
        key = self._new_id("ct")
        self.owner[key] = (slot, uid)
        self.containers[key] = ObservedContainer(
            id=key, name=name, attempt=command.attempt, phase=ContainerPhase.RUNNING,
            sandbox_id=command.sandbox_id, hash=hashed, created_at=self.at, started_at=self.at,
        )  # fmt: skip
        return e.ContainerStarted(
            slot=slot, uid=uid, container=name, attempt=command.attempt, container_id=key,
            image_id="sha256:" + "ab" * 8, started_at=self.at, hash=hashed,
        )  # fmt: skip

    def _stop_container(self, command: c.StopContainer) -> e.AnyEvent:
        seen = self.containers.get(command.container_id)
        if seen is not None:
            self.containers[command.container_id] = msgspec.structs.replace(
                seen, phase=ContainerPhase.EXITED, exit_code=143, finished_at=self.at
            )
        return e.ContainerStopped(
            slot=command.slot, uid=command.uid, container=command.container,
            container_id=command.container_id, exit_code=143, finished_at=self.at,
        )  # fmt: skip

    def _end_sandbox(self, command: c.StopSandbox | c.RemoveSandbox) -> e.AnyEvent:
        found = self.sandboxes.get(command.sandbox_id)
        if isinstance(command, c.StopSandbox):
            if found is not None:
                self.sandboxes[command.sandbox_id] = msgspec.structs.replace(found, ready=False)
            return e.SandboxStopped(slot=command.slot, uid=command.uid, sandbox_id=command.sandbox_id)
        for key in self._of(command.uid, self.containers):
            if self.containers[key].sandbox_id == command.sandbox_id:
                self._forget(key)
        self._forget(command.sandbox_id)
        return e.SandboxRemoved(slot=command.slot, uid=command.uid, sandbox_id=command.sandbox_id)

    def _forget(self, key: str) -> None:
        self.containers.pop(key, None)
        self.sandboxes.pop(key, None)
        self.owner.pop(key, None)


def _upstream(command: c.AnyCommand) -> e.AnyEvent | None:
    """What comes back from the API server."""
    match command:
        case c.CreateMirror():
            return e.MirrorSeen(slot=command.slot, uid=PodUid(f"mirror-{command.uid[:6]}"), hash=command.hash)
        case c.DeleteMirror():
            return e.MirrorGone(slot=command.slot, uid=command.mirror_uid)
        case c.DeleteApiPod():
            return e.PodWithdrawn(source=Source.API, slot=command.slot, uid=command.uid)
        case _:
            return None


def grouped(records: Sequence[Record], least: int) -> list[list[Record]]:
    """Records in commit groups: an event and its commands are never torn apart."""
    groups: list[list[Record]] = []
    for record in records:
        if not groups or (record.kind is RecordKind.EVENT and len(groups[-1]) >= least):
            groups.append([])
        groups[-1].append(record)
    return groups
