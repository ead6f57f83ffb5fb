"""How an object becomes what is stored, when it is created or changed: metadata, defaults, what may change.

Pure but for a fresh uid; the commit and the answer are elsewhere. Follows upstream's registry strategies.
"""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING

from minikubelet.stubapi.stubcommits import Act, Decision, Lookup
from minikubelet.stubapi.stubdaemonrules import check_daemonset_update, complete_daemonset
from minikubelet.stubapi.stubnames import check_finalizers, check_meta
from minikubelet.stubapi.stubpoddefaults import default_pod, qos_class
from minikubelet.stubapi.stubpodrules import check_ephemeral, check_new_pod, check_pod_update, with_ephemeral
from minikubelet.stubapi.stubresources import (
    DAEMONSETS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    SIGNING_REQUESTS,
    Obj,
    Resource,
    Target,
)
from minikubelet.stubapi.stubshapes import check_shape
from minikubelet.stubapi.stubsigners import check_request, settled
from minikubelet.stubapi.stubstatus import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
    stale,
)
from minikubelet.stubapi.stubstore import Key

if TYPE_CHECKING:
    from datetime import datetime

_SERVER_OWNED = ("selfLink", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_HAVE_STATUS = (PODS, NODES, NAMESPACES, SERVICES, DAEMONSETS)


def time_text(moment: datetime) -> str:
    """A moment as Kubernetes writes it, to the second and in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def checked_body(target: Target, body: Obj) -> Obj:
    """A request's object with kind, version and namespace filled in and its shape checked."""
    resource = target.resource
    check_shape(resource, body)
    meta = dict(body.get("metadata") or {})
    if resource.namespaced:
        if (given := meta.get("namespace") or target.namespace) != target.namespace:
            raise bad_request(
                f"the namespace of the provided object does not match the namespace sent on the request: "
                f"{given} is not {target.namespace}"
            )
        meta["namespace"] = target.namespace
    else:
        meta.pop("namespace", None)
    rest = {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "metadata")}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **rest}


def decide_create(
    resource: Resource, obj: Obj, old: Obj | None, lookup: Lookup, *, now: datetime, default_node: str | None
) -> Decision:
    """Complete a new object; `obj` has a name and went through `checked_body`."""
    meta = obj["metadata"]
    if resource.namespaced:
        _check_namespace(resource, meta, lookup)
    if old is not None:
        raise already_exists(resource, meta["name"])
    if meta.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    for key in _SERVER_OWNED:
        meta.pop(key, None)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = time_text(now)
    causes = check_meta(resource, obj)
    if resource == PODS:
        causes += _complete_pod(obj, now, default_node)
    elif resource == NAMESPACES:
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}
    elif resource == DAEMONSETS:
        causes += complete_daemonset(obj)
    elif resource == SIGNING_REQUESTS:
        obj["status"] = {}
        causes += check_request(obj.get("spec") or {})
    else:
        _complete_other(resource, obj)
    if causes:
        raise invalid(resource, meta["name"], causes)
    return Decision(Act.PUT, obj)


def _check_namespace(resource: Resource, meta: Obj, lookup: Lookup) -> None:
    namespace = lookup(NAMESPACES, Key("", meta["namespace"]))
    if namespace is None:
        raise not_found(NAMESPACES, meta["namespace"])
    if namespace["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {meta['namespace']} because it is being terminated"
        raise forbidden(resource, meta["name"], why)


def _complete_pod(pod: Obj, now: datetime, default_node: str | None) -> list[Cause]:
    default_pod(pod)
    spec = pod["spec"]
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
    if default_node and not spec.get("nodeName"):
        bind_pod(pod, default_node, now)
    return check_new_pod(pod)


def bind_pod(pod: Obj, node: str, now: datetime) -> None:
    """Put a pod on a node, in place, as a scheduler's binding does."""
    pod["spec"]["nodeName"] = node
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": time_text(now)}
    conditions = pod["status"].get("conditions") or []
    pod["status"]["conditions"] = [c for c in conditions if c.get("type") != "PodScheduled"] + [scheduled]


def _complete_other(resource: Resource, obj: Obj) -> None:
    if resource == SECRETS:
        obj["type"] = obj.get("type") or "Opaque"
        _encode_secret(obj)
    elif resource == SERVICES:
        spec = obj["spec"] = {"type": "ClusterIP", "sessionAffinity": "None", **(obj.get("spec") or {})}
        spec["ports"] = [
            {"protocol": "TCP", "targetPort": port.get("port"), **port} for port in spec.get("ports") or []
        ]
        obj["status"] = {"loadBalancer": {}}


def _encode_secret(obj: Obj) -> None:
    plain = obj.pop("stringData", None) or {}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
    if encoded:
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def decide_update(resource: Resource, obj: Obj, old: Obj, subresource: str) -> Decision:
    """Bring a changed object into the stored one; `obj` went through `checked_body`.

    Raises:
        ApiError: 409 for another uid or version, 400 for another name, 422 for a forbidden change.
    """
    name = old["metadata"]["name"]
    _check_identity(resource, obj["metadata"], old["metadata"])
    _keep_owned(obj["metadata"], old["metadata"])
    if resource == SIGNING_REQUESTS:
        obj = settled(obj, old, subresource)
    elif subresource == "status":
        obj = {**old, "metadata": obj["metadata"], "status": obj.get("status") or {}}
    elif subresource == "ephemeralcontainers":
        obj = with_ephemeral(obj, old)
    elif resource in _HAVE_STATUS and "status" in old:
        obj["status"] = old["status"]
    causes = check_meta(resource, obj) + check_finalizers(old, obj)
    if resource == PODS:
        default_pod(obj)
        obj["status"].setdefault("qosClass", old["status"].get("qosClass", "BestEffort"))
        adds = subresource == "ephemeralcontainers"
        causes += check_ephemeral(old, obj) if adds else check_pod_update(old, obj)
    elif resource == DAEMONSETS:
        causes += check_daemonset_update(old, obj)
    elif resource == SECRETS:
        obj["type"] = obj.get("type") or "Opaque"
        _encode_secret(obj)
    if causes:
        raise invalid(resource, name, causes)
    return _settle(obj, old)


def _check_identity(resource: Resource, meta: Obj, old: Obj) -> None:
    name = old["name"]
    if meta.get("name") != name:
        given = meta.get("name") or ""
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    if meta.get("uid") and meta["uid"] != old["uid"]:
        raise conflict(
            resource,
            name,
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {old['uid']}",
        )
    if meta.get("resourceVersion") and meta["resourceVersion"] != old["resourceVersion"]:
        raise stale(resource, name)


def _keep_owned(meta: Obj, old: Obj) -> None:
    for key in ("uid", "creationTimestamp", "resourceVersion", *_SERVER_OWNED):
        meta.pop(key, None)
        if key in old:
            meta[key] = old[key]


def _settle(obj: Obj, old: Obj) -> Decision:
    meta = obj["metadata"]
    waits = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
    if meta.get("deletionTimestamp") and not waits:
        return Decision(Act.REMOVE, obj)
    # As upstream: a write that changes nothing makes no new version and no watch event.
    return Decision(Act.KEEP, old) if obj == old else Decision(Act.PUT, obj)


def decide_binding(pod: Obj, body: Obj, now: datetime) -> Decision:
    """Bind a pod to the node in a `Binding`."""
    name = pod["metadata"]["name"]
    given = body.get("target")
    node = given.get("name") if isinstance(given, dict) else None
    if not isinstance(node, str) or not node:
        raise bad_request("a Binding needs target.name, the name of a node")
    if pod["spec"].get("nodeName"):
        why = f"pod {name} is already assigned to node {pod['spec']['nodeName']!r}"
        raise conflict(PODS, f"{name}/binding", why)
    bind_pod(pod, node, now)
    return Decision(Act.PUT, pod)


def require(resource: Resource, name: str, obj: Obj | None) -> Obj:
    """The object, or the 404 that says it does not exist."""
    if obj is None:
        raise not_found(resource, name)
    return obj


def unnamed(resource: Resource) -> ApiError:
    """422 for an object with neither a name nor a prefix for one."""
    cause = Cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")
    return invalid(resource, "", [cause])
