"""Pods for scripts: from the text of a manifest to the event of a source that holds it."""

from minikubelet.core import events as e
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.pod import Pod
from minikubelet.wire.containerhash import container_hash
from minikubelet.wire.manifest import read_manifest
from minikubelet.wire.redaction import redact_pod

NODE = "node-a"


def pod_of(text: str) -> Pod:
    """The static pod that a manifest makes on the node."""
    reading = read_manifest(text.encode(), name="test", node_name=NODE, namespace="default")
    if not reading.ok or len(reading.pods) != 1:
        raise AssertionError(reading.verdicts)
    return reading.pods[0].pod


def slot_of(pod: Pod) -> SlotKey:
    """The slot of a pod."""
    return SlotKey(f"{pod.metadata.namespace}/{pod.metadata.name}")


def origin_of(text: str, file: str, source: Source) -> str:
    """Where a definition came from, as the sources spell it."""
    return f"{file}#0 sha256:{len(text):08x}" if source is Source.FILE else "resourceVersion 42"


def pod_set(pod: Pod, *, source: Source, origin: str) -> e.PodSet:
    """The event of a source that holds the pod."""
    everything = (*pod.spec.init_containers, *pod.spec.containers)
    return e.PodSet(
        source=source, slot=slot_of(pod), uid=PodUid(pod.metadata.uid), pod=redact_pod(pod),
        hashes=tuple((one.name, container_hash(one)) for one in everything), origin=origin,
    )  # fmt: skip
