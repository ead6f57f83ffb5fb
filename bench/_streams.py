"""Histories for the benchmarks: the real reducer in a scripted node, the same bytes for the same size.

`crashes`: 100 pods whose container ends 1 to 3 s after every start; nearly each event changes a status.

`day`: 110 pods with probes. Every 10 s each pod is looked at and each readiness probe answered, and each
look and each answer is an event (an agent keeps only those that tell something new, so its own day is
smaller). In between pods crash, flap, fail their liveness probe, are edited, and the agent restarts. The
incidents are as many for each hour of the history, whatever its size; 1.9 million events are about a day.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from bench._engine import Engine
from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.core.behaviours import TODAY
from minikubelet.core.commands import Decision
from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.pod import ProbeKind
from minikubelet.wire.containerhash import container_hash
from minikubelet.wire.manifest import read_manifest
from minikubelet.wire.redaction import redact_pod

SECOND = 1_000_000
START = 1_780_000_000 * SECOND
ROUND = 10 * SECOND
_CRASHING = 100
_PODS = 110
_AGENT_RESTARTS_EVERY = 2880  # rounds: eight hours
_LOOPING = 5  # pods that crash whenever they run
# of each pod in each round, how likely:
_LOOPS, _ENDS, _DIES, _FLAPS, _EDITED = 0.9, 0.004, 0.001, 0.02, 0.0002

_PLAIN = """\
apiVersion: v1
kind: Pod
metadata: {{name: crash-{number:03}, namespace: bench}}
spec: {{containers: [{{name: main, image: "registry.example/main:1"}}]}}
"""
_PROBED = """\
apiVersion: v1
kind: Pod
metadata:
  name: web-{number:03}
  namespace: bench
  labels: {{app: web, tier: "{tier}", revision: "{revision}"}}
spec:
  {init}
  containers:
  - name: web
    image: registry.example/web:1
    ports: [{{containerPort: 8080, name: http}}]
    env: [{{name: REVISION, value: "{revision}"}}, {{name: ROLE, value: web}}]
    resources: {{requests: {{cpu: 100m, memory: 64Mi}}, limits: {{memory: 128Mi}}}}
    readinessProbe: {{httpGet: {{path: /ready, port: http}}, periodSeconds: 10}}
    livenessProbe: {{httpGet: {{path: /alive, port: http}}, periodSeconds: 10}}
  {side}
"""
_INIT = 'initContainers: [{name: migrate, image: "registry.example/migrate:1", command: [sh, -c, "true"]}]'
_SIDE = '- {name: side, image: "registry.example/side:1", readinessProbe: {tcpSocket: {port: 9000}}}'

Taken = Callable[[int, int, e.AnyEvent, list[Decision]], None]


class Node:
    """A node on a clock of its own; `taken` is told of every event, with its seq, time and decisions."""

    def __init__(self, taken: Taken) -> None:
        self.reducer = Reducer()
        self.engine = Engine()
        self.at = START
        self.events = 0
        self.kinds: Counter[str] = Counter()
        self.offers: dict[SlotKey, e.PodSet] = {}
        self._taken = taken
        self._seq = 0
        self._boots = 0
        self._todo: deque[c.AnyCommand] = deque()
        self._timers: dict[SlotKey, int] = {}
        self._due: list[tuple[int, SlotKey]] = []

    def tell(self, event: e.AnyEvent) -> None:
        """Take an event in, and answer what is decided until nothing is under way."""
        self._tell(event)
        while self._todo:
            answer = self._answer(self._todo.popleft())
            if answer is not None:
                self._tell(answer)

    def _tell(self, event: e.AnyEvent) -> None:
        seq = self._seq + 1
        self.at += 150
        decisions = self.reducer.decide(seq, self.at, event)
        self._seq = seq + len(decisions)
        self.events += 1
        self.kinds[type(event).__name__] += 1
        self._taken(seq, self.at, event, decisions)
        self._todo.extend(decision.command for decision in decisions)

    def _answer(self, command: c.AnyCommand) -> e.AnyEvent | None:
        match command:
            case c.WakeAt():
                self._timers[command.slot] = command.at
                heappush(self._due, (command.at, command.slot))
                return None
            case c.PublishStatus() | c.DeleteApiPod():
                return None
            case c.CreateMirror():
                uid = PodUid(f"mirror-{command.uid}")
                return e.MirrorSeen(slot=command.slot, uid=uid, hash=command.hash)
            case c.DeleteMirror():
                return e.MirrorGone(slot=command.slot, uid=command.mirror_uid)
            case _:
                return self.engine.answer(command, self.at)

    def until(self, at: int) -> None:
        """Let time pass; timers fire."""
        while self._due and self._due[0][0] <= at:
            due, slot = heappop(self._due)
            if self._timers.get(slot) == due:
                del self._timers[slot]
                self.at = max(self.at, due)
                self.tell(e.TimerFired(slot=slot))
        self.at = max(self.at, at)

    def start(self) -> None:
        """A life of the agent begins: the API server holds nothing, the folder what was offered."""
        self._boots += 1
        self._timers.clear()
        self.tell(
            e.AgentStarted(
                node="bench", boot=f"boot-{self._boots}", sources=(Source.FILE, Source.API), has_api=True,
                runtime="docker", node_ips=("192.0.2.1",), behaviours=TODAY,
            )
        )  # fmt: skip
        for uid in list(self.engine.pods):
            self.look(uid)
        self.tell(e.RuntimeListed(pods=len(self.engine.pods)))
        self.tell(e.SourceSynced(source=Source.API))
        for offer in self.offers.values():
            self.tell(offer)
        present = tuple(offer.uid for offer in self.offers.values())
        self.tell(e.SourceSynced(source=Source.FILE, present=present))

    def offer(self, manifest: str, file: str) -> PodUid:
        """The folder holds this manifest."""
        reading = read_manifest(manifest.encode(), name=file, node_name="bench", namespace="bench")
        assert reading.ok, reading.verdicts
        pod = reading.pods[0].pod
        uid = PodUid(pod.metadata.uid)
        containers = (*pod.spec.init_containers, *pod.spec.containers)
        hashes = tuple((one.name, container_hash(one)) for one in containers)
        self.engine.hashes |= {(uid, name): hashed for name, hashed in hashes}
        slot = SlotKey(f"{pod.metadata.namespace}/{pod.metadata.name}")
        offer = e.PodSet(
            source=Source.FILE, slot=slot, uid=uid, pod=redact_pod(pod), hashes=hashes,
            origin=f"{file}#0 sha256:{uid}",
        )  # fmt: skip
        self.offers[slot] = offer
        self.engine.slots[uid] = slot
        self.tell(offer)
        return uid

    def look(self, uid: PodUid) -> None:
        """The runtime is looked at."""
        self.tell(
            e.PodObserved(slot=self.engine.slots[uid], pod=self.engine.show(uid), after=self.reducer.seq)
        )

    def end(self, uid: PodUid, name: str, code: int) -> None:
        """A container ends by itself, and that is seen."""
        self.engine.end(uid, name, code, self.at)
        self.look(uid)

    def probe(self, uid: PodUid, kind: ProbeKind, *, passed: bool) -> None:
        """The probes of all that runs answer."""
        for one in self.engine.running(uid):
            if one.name == "side" and kind is not ProbeKind.READINESS:
                continue
            message = "" if passed else "HTTP probe failed with statuscode: 503"
            self.tell(
                e.ContainerProbed(
                    slot=self.engine.slots[uid], uid=uid, container=one.name, container_id=one.id,
                    probe=kind, passed=passed, message=message,
                )
            )  # fmt: skip


def crashes(node: Node) -> Iterator[None]:
    """Pods that crash whenever they were started; a turn is a second."""
    chance = random.Random(1)  # noqa: S311 - a script, no secret
    node.start()
    uids = [node.offer(_PLAIN.format(number=n), f"crash-{n}.yaml") for n in range(_CRASHING)]
    while True:
        for uid in uids:
            if node.engine.running(uid) and chance.getrandbits(1):
                node.end(uid, "main", 1)
        node.until(node.at + SECOND)
        yield


def day(node: Node) -> Iterator[None]:
    """Pods with probes; a turn is one pod in a round of ten seconds."""
    chance = random.Random(1)  # noqa: S311 - a script, no secret
    node.start()
    revisions = [0] * _PODS
    uids = [node.offer(_manifest(n, 0), f"web-{n}.yaml") for n in range(_PODS)]
    rounds = 0
    while True:
        rounds += 1
        if rounds % _AGENT_RESTARTS_EVERY == 0:
            node.start()
        for number in range(_PODS):
            node.until(node.at + ROUND // _PODS)
            for one in node.engine.running(uids[number]):
                if one.name == "migrate":
                    node.end(uids[number], "migrate", 0)
            if chance.random() < _EDITED:
                revisions[number] += 1
                manifest = _manifest(number, revisions[number])
                uids[number] = node.offer(manifest, f"web-{number}.yaml")
            _live(node, uids[number], chance, looping=number < _LOOPING)
            yield


def _live(node: Node, uid: PodUid, chance: random.Random, *, looping: bool) -> None:
    """What occurs in a pod within ten seconds."""
    running = node.engine.running(uid)
    if running and chance.random() < (_LOOPS if looping else _ENDS):
        node.end(uid, running[-1].name, chance.choice((0, 1, 137)))
    elif chance.random() < _DIES:
        node.probe(uid, ProbeKind.LIVENESS, passed=False)
    node.probe(uid, ProbeKind.READINESS, passed=chance.random() > _FLAPS)
    if uid in node.engine.slots:
        node.look(uid)


def _manifest(number: int, revision: int) -> str:
    init = _INIT if number % 10 == 0 else "terminationGracePeriodSeconds: 10"
    side = _SIDE if number % 5 == 0 else ""
    return _PROBED.format(number=number, revision=revision, tier="front", init=init, side=side)


STREAMS: dict[str, Callable[[Node], Iterator[None]]] = {"crashes": crashes, "day": day}


def play(name: str, events: int, taken: Taken, turned: Callable[[Node], None] | None = None) -> Node:
    """Play a stream until it has so many events; `turned` is called between its turns."""
    node = Node(taken)
    for _ in STREAMS[name](node):
        if turned is not None:
            turned(node)
        if node.events >= events:
            break
    return node


def told(node: Node) -> dict[str, object]:
    """What was in a stream, for the results."""
    return {
        "events": node.events,
        "hours": round((node.at - START) / SECOND / 3600, 2),
        "pods": len(node.reducer.slots),
        "kinds": dict(node.kinds.most_common()),
    }
