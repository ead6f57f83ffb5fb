"""Chaos: a world in which anything happens in any order, and what must hold whatever happens.

Belongs here: the moves, the API server and the files behind them, and the laws. Each move is two small
numbers, so that hypothesis can draw and shrink a history. The tests themselves are in the properties.
"""

from __future__ import annotations

from collections.abc import Callable

from minikubelet.core.commands import (
    AnyCommand,
    CreateMirror,
    DeleteApiPod,
    DeleteMirror,
    StartContainer,
    StartSandbox,
)
from minikubelet.core.events import (
    AnyEvent,
    MirrorGone,
    MirrorSeen,
    PodObserved,
    ResultEvent,
    TimerFired,
)
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Life, Stage
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.pod import Pod
from minikubelet.wire.records import decode_event, decode_snapshot, encode_event, encode_snapshot
from tests.core.core_world import SECOND, SLOT, World, container, sidecar, slot_of, static_pod

FILES: tuple[Pod, ...] = (
    static_pod(uid="f0"),
    static_pod("web", "log", uid="f1", init=[container("one"), sidecar("proxy")]),
    static_pod("web", uid="f2", restart_policy="Never", init=[sidecar("proxy")]),
    static_pod("web", "job", uid="f3", restart_policy="OnFailure", init=[container("one")]),
    static_pod("web", uid="f4", active_deadline_seconds=600),
)
OBJECTS: tuple[Pod, ...] = (
    static_pod(uid="u0", name="api"),
    static_pod("web", uid="u1", name="api", init=[sidecar("proxy"), container("one")]),
    static_pod("web", uid="u2", name="api", restart_policy="Never", termination_grace_period_seconds=5),
)
PODS: dict[str, Pod] = {pod.metadata.uid: pod for pod in (*FILES, *OBJECTS)}
FAULTS = ("ErrImagePull", "RunContainerError", "CreateContainerError")
STEPS = (1, 3, 10, 61, 400, 700, -30, -4000)


class Chaos(World):
    """A node with both sources, an API server's mirrors, and a second reducer that is restored all along."""

    def __init__(self) -> None:
        super().__init__(Source.FILE, Source.API, api=True, started=False)
        self.shadow = Reducer()
        self.upstream: list[AnyCommand] = []
        self.mirrors: dict[str, str] = {}
        self.counter = 0
        self.latest = self.now
        self.looks: list[PodObserved] = []
        self.doubled = True
        self.start_agent()
        self.sync_sources()

    # ── every event ──

    def feed(self, event: AnyEvent) -> list[AnyCommand]:
        """Take an event in, here and in the shadow, and hold what was decided against the laws."""
        seq = self.seq + 1
        commands = super().feed(event)
        self._law_of_restoring(seq, event, commands)
        for command in commands:
            self._laws_of_starting(command)
            if isinstance(command, CreateMirror | DeleteMirror | DeleteApiPod):
                self.upstream.append(command)
        if self.doubled and isinstance(event, ResultEvent | PodObserved):
            self.doubled = False
            assert self.feed(event) == [], "an event that comes twice decides something"
            self.doubled = True
        return commands

    def _law_of_restoring(self, seq: int, event: AnyEvent, commands: list[AnyCommand]) -> None:
        self.shadow = Reducer(decode_snapshot(encode_snapshot(self.shadow.snapshot())))
        decided = self.shadow.decide(seq, self.now, decode_event(encode_event(event)))
        assert [decision.command for decision in decided] == commands

    def _laws_of_starting(self, command: AnyCommand) -> None:
        if isinstance(command, StartSandbox):
            rivals = [uid for uid, pod in PODS.items() if slot_of(pod) == command.slot and uid != command.uid]
            assert not [uid for uid in rivals if self.runs(uid)], "the pod before still runs"
            shown = self.runtime.pods.get(command.uid)
            assert shown is None or not any(s.ready for s in shown.sandboxes), "a second live sandbox"
        if isinstance(command, StartContainer):
            under_way = [
                c
                for c in self.queue
                if isinstance(c, StartContainer) and (c.uid, c.container) == (command.uid, command.container)
            ]
            assert len(under_way) == 1, "a container is started twice at once"
            assert command.container not in self.runs(command.uid), "it runs already"

    # ── moves ──

    def move(self, kind: int, number: int) -> None:
        """Let something happen."""
        moves: tuple[Callable[[int], None], ...] = (
            self._answer,
            self._write_file,
            self._answer_all,
            self._answer_all,
            self._exit,
            self._remove_file,
            self._create_object,
            self._end_object,
            self._fail,
            self._exit,
            self._look,
            self._look_back,
            self._pass_time,
            self._break,
            self._restart,
            self._judge,
            self._serve,
            self._touch_mirror,
        )
        moves[kind % len(moves)](number)

    def _answer(self, number: int) -> None:
        if self.queue:
            command = self.queue.pop(number % len(self.queue))
            self.feed(self.runtime.answer(command, self.now))

    def _answer_all(self, number: int) -> None:
        for _ in range(number):
            self._answer(number)

    def _write_file(self, number: int) -> None:
        before = self.offers.get(SLOT)
        pod = FILES[number % len(FILES)]
        self.offer(pod)
        if before is not None and before.uid != pod.metadata.uid:
            self.withdraw(PODS[before.uid])

    def _remove_file(self, number: int) -> None:
        held = self.offers.get(SLOT)
        if held is not None:
            self.withdraw(PODS[held.uid])

    def _create_object(self, number: int) -> None:
        slot = slot_of(OBJECTS[0])
        held = self.offers.get(slot)
        if held is None or held.deletion_at is not None:
            if held is not None:
                self.withdraw(PODS[held.uid], Source.API)
            self.counter += 1
            base = OBJECTS[number % len(OBJECTS)]
            fresh = static_pod(
                *base.spec.containers,
                uid=f"{base.metadata.uid}-{self.counter}",
                name="api",
                init=base.spec.init_containers,
                restart_policy=base.spec.restart_policy,
            )
            PODS[fresh.metadata.uid] = fresh
            self.offer(fresh, Source.API)

    def _end_object(self, number: int) -> None:
        held = self.offers.get(slot_of(OBJECTS[0]))
        if held is not None and number % 3:
            self.delete(PODS[held.uid], (30, 5, 0)[number % 3])
        elif held is not None:
            self.withdraw(PODS[held.uid], Source.API)

    def _fail(self, number: int) -> None:
        kinds = ("StartSandbox", "StopContainer", "RemoveSandbox", "RemoveContainer", "CleanUpPod", "web")
        self.runtime.fail(
            kinds[number % len(kinds)],
            FAULTS[number % len(FAULTS)],
            times=1 + number % 2,
            instance=number % 4 == 1,
        )

    def _exit(self, number: int) -> None:
        running = [(uid, name) for uid in self.runtime.pods for name in self.runs(uid)]
        if running:
            uid, name = running[number % len(running)]
            self.runtime.end(uid, name, number % 3, self.now)
            if number % 2:
                self.observe(uid)

    def _look(self, number: int) -> None:
        uids = list(self.runtime.pods)
        if uids:
            self.looks.append(self.look(uids[number % len(uids)]))
            self.feed(self.looks[-1])

    def _look_back(self, number: int) -> None:
        """An old look comes once more, unless its pod was forgotten since."""
        known = {g.uid for slot in self.reducer.slots.values() for g in slot.generations}
        self.looks = [look for look in self.looks if look.pod.uid in known]
        if self.looks:
            self.feed(self.looks[number % len(self.looks)])

    def _pass_time(self, number: int) -> None:
        self.now += STEPS[number % len(STEPS)] * SECOND
        self.latest = max(self.latest, self.now)
        for slot, at in list(self.timers.items()):
            if at <= self.now:
                del self.timers[slot]
                self.feed(TimerFired(slot=slot))

    def _break(self, number: int) -> None:
        uids = list(self.runtime.pods)
        if uids:
            uid = uids[number % len(uids)]
            if number % 3:
                self.lose_sandbox(uid, kill=number % 2 == 0)
            else:
                self.runtime.vanish(uid)
                self.observe_all()

    def _restart(self, number: int) -> None:
        """The agent is killed: what was under way has happened, or not."""
        for at, command in enumerate(self.queue):
            if (number + at) % 2:
                self.runtime.answer(command, self.now)
        self.upstream.clear()
        self.looks.clear()
        self.restart_agent()

    def restart_agent(self) -> None:
        """Its next life also looks at the mirrors."""
        self.start_agent()
        for offer in list(self.offers.values()):
            self.feed(offer)
        for uid, hashed in self.mirrors.items():
            self.feed(MirrorSeen(slot=SLOT, uid=PodUid(uid), hash=hashed))
        self.sync_sources()

    def _judge(self, number: int) -> None:
        self.judge(*["other.yaml"][: number % 2])

    def _serve(self, number: int) -> None:
        """The API server carries out what it was asked first."""
        if not self.upstream:
            return
        command = self.upstream.pop(0)
        match command:
            case CreateMirror() if not self.mirrors:
                self.counter += 1
                uid = f"m{self.counter}"
                self.mirrors = {uid: command.hash}
                self.feed(MirrorSeen(slot=SLOT, uid=PodUid(uid), hash=command.hash))
            case DeleteMirror() if command.mirror_uid in self.mirrors:
                self.mirrors = {}
                self.feed(MirrorGone(slot=SLOT, uid=command.mirror_uid))
            case DeleteApiPod():
                held = self.offers.get(command.slot)
                assert not self.runs(command.uid), "it leaves the API before its containers"
                if held is not None and held.uid == command.uid:
                    self.withdraw(PODS[command.uid], Source.API)
            case _:
                pass

    def _touch_mirror(self, number: int) -> None:
        for uid, hashed in list(self.mirrors.items()):
            if number % 2:
                self.feed(MirrorSeen(slot=SLOT, uid=PodUid(uid), hash=hashed, deleting=True))
            else:
                self.mirrors = {}
                self.feed(MirrorGone(slot=SLOT, uid=PodUid(uid)))

    # ── rest ──

    def calm(self) -> None:
        """Faults end: everything is answered, looked at and served, init containers succeed, time passes."""
        self.runtime.faults.clear()
        self.now = self.latest
        self.judge()
        for _ in range(8):
            self.observe_all()
            self.run_until_idle()
            for uid, pod in [(uid, PODS[uid]) for uid in self.runtime.pods]:
                for one in [c.name for c in pod.spec.init_containers if not c.restart_policy]:
                    if one in self.runs(uid):
                        self.runtime.end(uid, one, 0, self.now)
                        self.observe(uid)
            self.advance(400)
            while self.upstream:
                self._serve(0)

    def laws_of_rest(self) -> None:
        """Desired = running = reported, and nothing more is decided."""
        wanted = {held.uid for held in self.offers.values()}
        known = {g.uid: g for slot in self.reducer.slots.values() for g in slot.generations}
        assert set(known) == wanted
        assert set(self.runtime.pods) <= wanted
        for uid, gen in known.items():
            mains = [c.name for c in PODS[uid].spec.containers]
            kept = [c.name for c in PODS[uid].spec.init_containers if c.restart_policy]
            status = self.status(uid)
            if gen.stage is Stage.FINISHED:
                assert self.runs(uid) == []
                assert status.phase in ("Succeeded", "Failed")
                continue
            ended = [
                name for name in mains if gen.containers[name].life is Life.EXITED
                and PODS[uid].spec.restart_policy in ("Never", "OnFailure")
            ]  # fmt: skip
            assert self.runs(uid) == sorted(set(mains) - set(ended) | set(kept))
            assert status.phase == "Running"
            shown = self.runtime.pods[uid]
            assert [s.ready for s in shown.sandboxes] == [True]
            assert status.pod_ip == shown.sandboxes[0].ips[0]
        held = self.offers.get(SLOT)
        assert list(self.mirrors.values()) == ([held.uid] if held else [])
        before = len(self.decisions)
        self.observe_all()
        self.advance(3600)
        assert self.decisions[before:] == []
