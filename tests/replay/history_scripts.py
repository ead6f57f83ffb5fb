"""The scripts of the frozen histories: what a node's life has in it, in a few minutes each.

They are run only to record a new version; what they record is then kept as it is.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from minikubelet.core.behaviours import TODAY, Behaviours
from minikubelet.core.events import CommandFailed, ManifestsJudged, MirrorGone
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.observed import ObservedSandbox
from minikubelet.model.pod import ProbeKind
from tests.replay.replay_world import JOB, WEB, shop
from tests.replay.scripted_pods import slot_of
from tests.replay.scripted_world import World

API = """
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: team}
spec:
  containers:
  - {name: main, image: "busybox:1.36", ports: [{containerPort: 80, hostPort: 8080}]}
  - {name: other, image: "busybox:1.36"}
"""
SIDECARS = """
apiVersion: v1
kind: Pod
metadata: {name: layered}
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 600
  initContainers:
  - {name: first, image: "busybox:1.36"}
  - {name: proxy, image: "busybox:1.36", restartPolicy: Always}
  - {name: second, image: "busybox:1.36"}
  containers:
  - {name: main, image: "busybox:1.36"}
"""


PROBED = """
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  containers:
  - name: app
    image: "busybox:1.36"
    startupProbe: {httpGet: {path: /, port: 80}}
    readinessProbe: {httpGet: {path: /, port: 80}}
    livenessProbe: {httpGet: {path: /, port: 80}, terminationGracePeriodSeconds: 3}
"""


def layers(behaviours: Behaviours = TODAY) -> World:
    """Init containers one by one, a sidecar that is started again, an end by deadline and one by exit."""
    world = World(behaviours)
    world.start()
    pod = world.manifest(SIDECARS, file="layered.yaml")
    world.exit(pod, "first", 0)
    world.exit(pod, "proxy", 1, "Error")
    world.pass_time(12)
    world.exit(pod, "second", 0)
    world.exit(pod, "main", 0)
    world.pass_time(5)
    late = world.manifest(SIDECARS.replace("layered", "late"), file="late.yaml")
    world.exit(late, "first", 3)
    other = world.manifest(SIDECARS.replace("layered", "slow").replace("600", "20"), file="slow.yaml")
    world.exit(other, "first", 0)
    world.segment()
    world.pass_time(30)
    world.withdraw(late, file="late.yaml")
    world.pass_time(60)
    return world


def api_pods(behaviours: Behaviours = TODAY) -> World:
    """Pods of an API server: deleted with grace, with a shorter one, and while the agent was away."""
    world = World(behaviours)
    world.start()
    pod = world.manifest(API, source=Source.API)
    world.stubborn = ("main",)
    world.delete(pod, grace=30)
    world.pass_time(3)
    world.delete(pod, grace=1)
    world.stubborn = ()
    world.exit(pod, "main", 137)
    world.pass_time(5)
    kept = world.manifest(API.replace("name: api", "name: kept"), source=Source.API)
    world.segment()
    world.start(gone=kept.metadata.uid)
    world.pass_time(40)
    return world


def mishaps(behaviours: Behaviours = TODAY) -> World:
    """Sandboxes that fail and die, pulls that fail, stops that fail, mirrors that are deleted by somebody."""
    world = World(behaviours)
    world.broken_sandboxes["shop/web-node-a"] = 3
    world.start()
    pod = world.manifest(WEB)
    world.pass_time(20)
    world.broken_starts["setup"] = deque(["ErrImagePull", "CreateContainerError"])
    world.lose_sandbox(pod)
    world.pass_time(60)
    world.exit(pod, "setup", 0)
    world.segment()
    slot = world.reducer.slots[slot_of(pod)]
    if slot.mirror is not None:
        world.tell(MirrorGone(slot=slot.key, uid=slot.mirror.uid))
    world.pass_time(2)
    world.stubborn = ("side",)
    world.withdraw(pod)
    uid = PodUid(pod.metadata.uid)
    world.tell(
        CommandFailed(
            slot=slot.key,
            uid=uid,
            lane="side",
            command="StopContainer",
            reason="Timeout",
            message="no answer",
        )
    )
    world.stubborn = ()
    world.pass_time(30)
    return world


def restarts(behaviours: Behaviours = TODAY) -> World:
    """Lives of the agent that end at bad moments, with a broken manifest and a pod that nobody knows."""
    world = World(behaviours, has_api=False)
    world.start()
    pod = world.manifest(WEB)
    world.exit(pod, "setup", 0)
    world.start(listed=False, gone=pod.metadata.uid, rejected=(("web.yaml", "line 2: no"),))
    world.list_runtime()
    world.pass_time(30)
    world.segment()
    world.tell(ManifestsJudged(accepted=1))
    world.work()
    world.pass_time(10)
    world.manifest(JOB, file="job.yaml")
    world.owner["stray"] = (SlotKey("default/stranger"), PodUid("stranger"))
    world.sandboxes["stray"] = ObservedSandbox("stray", 0, ready=True)
    world.start()
    world.pass_time(60)
    return world


def probed(behaviours: Behaviours = TODAY) -> World:
    """A container that starts slowly, is ready, then not, and is killed for its probes."""
    world = World(behaviours)
    world.start()
    pod = world.manifest(PROBED, file="probed.yaml")
    world.probe(pod, "app", ProbeKind.STARTUP, passed=True)
    world.probe(pod, "app", ProbeKind.READINESS, passed=True)
    world.pass_time(30)
    world.probe(
        pod, "app", ProbeKind.READINESS, passed=False, message="HTTP probe failed with statuscode: 503"
    )
    world.segment()
    world.probe(pod, "app", ProbeKind.LIVENESS, passed=False, message="dial tcp 10.1.0.3:80: refused")
    world.pass_time(15)
    world.probe(pod, "app", ProbeKind.STARTUP, passed=False)
    world.start()
    world.pass_time(30)
    return world


def upgraded(behaviours: Behaviours = TODAY) -> World:
    """Lives under several sets of behaviours: none, these, and none again, each with a late container."""
    world = World(behaviours)
    for number, followed in enumerate(((), behaviours, ())):
        world.behaviours = followed
        world.start()
        world.slow = ("main",)
        pod = world.manifest(API.replace("name: api", f"name: api-{number}"), source=Source.API)
        world.pass_time(1)
        world.delete(pod, grace=30)
        world.pass_time(20)
        world.come_up()
        world.segment()
        world.pass_time(5)
    return world


SCRIPTS: Final[dict[str, Callable[[Behaviours], World]]] = {
    "shop": shop,
    "layers": layers,
    "api-pods": api_pods,
    "mishaps": mishaps,
    "restarts": restarts,
    "probed": probed,
    "upgraded": upgraded,
}
