"""A decoded manifest to the static pod that this node runs: name, namespace, uid, toleration, priority.

Belongs here: what upstream's file source and its static pod admission add. May not be here: reading,
checking, or times: `kubernetes.io/config.seen` is its source's to add and part of no hash.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec.structs import replace

from minikubelet.model.ids import Source
from minikubelet.model.pod import ObjectMeta, Pod, Toleration
from minikubelet.model.podbase import TaintEffect
from minikubelet.wire import podmarks
from minikubelet.wire.defaults import with_defaults

SYSTEM_NODE_CRITICAL = "system-node-critical"
SYSTEM_NODE_CRITICAL_PRIORITY = 2_000_001_000
_UID_DIGITS = 32
_BLANK = Pod()
_NO_EXECUTE = Toleration(operator="Exists", effect=TaintEffect.NO_EXECUTE.value)


def as_written(pod: Pod) -> Pod:
    """The pod without what an API server or an agent once added, as in a copy of `kubectl get -o yaml`."""
    meta = pod.metadata
    kept = {key: text for key, text in meta.annotations.items() if key not in podmarks.OF_THE_NODE}
    clean = ObjectMeta(name=meta.name, namespace=meta.namespace, labels=meta.labels, annotations=kept)
    return of_one_spelling(replace(pod, metadata=clean, spec=replace(pod.spec, node_name="")))


def of_one_spelling(pod: Pod) -> Pod:
    """The pod with the model's own `v1` and `Pod`.

    msgspec leaves a field out of JSON when its value *is* the default, not when it equals it; hashes of
    the JSON need one way or the other.
    """
    return replace(pod, api_version=_BLANK.api_version, kind=_BLANK.kind)


def to_static_pod(pod: Pod, *, node_name: str, namespace: str) -> Pod:
    """The pod as it runs on this node.

    `namespace` is for manifests without one. The uid follows from the node's name and the content as
    written, before defaults, so neither the file's name nor an agent with newer defaults makes a new pod.
    """
    pod = as_written(pod)
    spec, meta = pod.spec, pod.metadata
    meta = replace(meta, namespace=meta.namespace or namespace)
    uid = _uid(replace(pod, metadata=meta), node_name)
    marks = {podmarks.CONFIG_SOURCE: Source.FILE.value, podmarks.CONFIG_HASH: uid}
    meta = replace(
        meta,
        name=f"{meta.name}-{node_name.lower()}",
        uid=uid,
        annotations={**meta.annotations, **marks},
    )
    others = tuple(one for one in spec.tolerations if replace(one, toleration_seconds=None) != _NO_EXECUTE)
    spec = replace(
        spec,
        node_name=node_name,
        tolerations=(*others, _NO_EXECUTE),
        priority=SYSTEM_NODE_CRITICAL_PRIORITY,
        priority_class_name=SYSTEM_NODE_CRITICAL,
    )
    return with_defaults(replace(pod, metadata=meta, spec=spec))


def _uid(pod: Pod, node_name: str) -> str:
    content = msgspec.json.encode(pod, order="deterministic")
    digest = hashlib.sha256(b"host:" + node_name.encode() + b"\0" + content)
    return digest.hexdigest()[:_UID_DIGITS]
