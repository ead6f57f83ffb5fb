"""Pods as the API has them, to the model and back; mirror pods.

Belongs here: what is metadata of the API's bookkeeping and what is the pod. May not be here: strictness
(an API server may be newer and know fields that this agent does not) or decisions.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from minikubelet.model.pod import ObjectMeta, OwnerReference, Pod
from minikubelet.model.podbase import ApiStruct
from minikubelet.model.status import PodStatus, from_rfc3339
from minikubelet.wire import podmarks
from minikubelet.wire.defaults import with_defaults
from minikubelet.wire.fieldpaths import Findings, spell_path
from minikubelet.wire.fitting import fit
from minikubelet.wire.staticpod import of_one_spelling

T = TypeVar("T")


class UnreadablePod(ValueError):
    """An API server sent a pod that makes no sense; the text names pod and field."""


class ApiPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod from an API server.

    `pod` holds what is wanted, defaults filled in, without versions, times and managed fields: two that
    are equal ask for the same. `deletion_timestamp` is in microseconds; `mirror_hash` empty: no mirror pod.
    """

    pod: Pod
    status: PodStatus
    resource_version: str = ""
    deletion_timestamp: int | None = None
    deletion_grace_period_seconds: int | None = None
    creation_timestamp: int | None = None
    mirror_hash: str = ""
    source: str = ""


def decode_pod(received: dict[str, Any]) -> ApiPod:
    """Decode an API server's pod; raises UnreadablePod. Unknown fields are left out."""
    findings = Findings()
    wanted = {key: value for key, value in received.items() if key != "status"}
    pod = _read({**wanted, "kind": "Pod"}, Pod, findings)
    if pod is None or findings.found or not pod.metadata.name or not pod.metadata.uid:
        raise UnreadablePod(_complaint(received, findings))
    status = _read(received.get("status") or {}, PodStatus, Findings())
    meta = pod.metadata
    kept = ObjectMeta(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        labels=meta.labels,
        annotations=meta.annotations,
        owner_references=meta.owner_references,
    )
    return ApiPod(
        pod=of_one_spelling(with_defaults(replace(pod, metadata=kept))),
        status=status
        or PodStatus(),  # another's status is a hint; a strange one is no reason to refuse the pod
        resource_version=meta.resource_version,
        deletion_timestamp=_time(meta.deletion_timestamp),
        deletion_grace_period_seconds=meta.deletion_grace_period_seconds,
        creation_timestamp=_time(meta.creation_timestamp),
        mirror_hash=meta.annotations.get(podmarks.CONFIG_MIRROR, ""),
        source=meta.annotations.get(podmarks.CONFIG_SOURCE, ""),
    )


def _read(received: Any, kind: type[T], findings: Findings) -> T | None:
    """What is as the model has it is read at once; nulls, unknown fields and the like are fitted first."""
    try:
        return msgspec.convert(received, kind)
    except msgspec.ValidationError:
        return fit(received, kind, findings, strict=False)


def encode_pod(pod: Pod, status: PodStatus | None = None) -> dict[str, Any]:
    """A pod as a JSON-able object of the API."""
    encoded: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", **to_json(pod)}
    if status is not None:
        encoded["status"] = to_json(status)
    return encoded


def to_json(struct: ApiStruct) -> dict[str, Any]:
    """Any struct of the API as a JSON-able object, fields at their zero left out."""
    encoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(struct))  # lists, not tuples
    return encoded


def to_mirror(pod: Pod, *, node_uid: str) -> dict[str, Any]:
    """The mirror pod of a static pod, ready to be created at an API server.

    It is owned by the Node (whose uid may be empty: then by none, as when no Node could be registered).
    """
    meta = pod.metadata
    node = pod.spec.node_name
    owner = OwnerReference(api_version="v1", kind="Node", name=node, uid=node_uid, controller=True)
    mirror = ObjectMeta(
        name=meta.name,
        namespace=meta.namespace,
        labels=meta.labels,
        annotations={**meta.annotations, podmarks.CONFIG_MIRROR: static_hash(pod)},
        owner_references=(owner,) if node_uid else (),
    )
    return encode_pod(replace(pod, metadata=mirror))


def static_hash(pod: Pod) -> str:
    """The hash of a static pod, which a mirror that is up to date carries; empty for other pods."""
    return pod.metadata.annotations.get(podmarks.CONFIG_HASH, "")


def _time(text: str) -> int | None:
    try:
        return from_rfc3339(text) if text else None
    except ValueError as error:
        raise UnreadablePod(f"a pod with an unreadable time: {error}") from None


def _complaint(received: dict[str, Any], findings: Findings) -> str:
    meta = received.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    name = f"{meta.get('namespace')}/{meta.get('name')}"
    first = findings.found[0] if findings.found else None
    why = f"{spell_path(first.path)}: {first.message}" if first else "it has no name or no uid"
    return f"the API server sent a pod {name[:300]!r} that cannot be read: {why}"
