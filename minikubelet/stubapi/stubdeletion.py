"""How objects go: options, preconditions, grace for pods, finalizers and namespaces.

Pure decisions; follows upstream's BeforeDelete and the pods' CheckGracefulDelete. What becomes of
dependents is marked here by a finalizer and done in `stubgarbage`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from minikubelet.stubapi.stubcommits import Act, Decision
from minikubelet.stubapi.stubresources import FIRST_NAMESPACES, NAMESPACES, PODS, Obj, Resource
from minikubelet.stubapi.stubrules import time_text
from minikubelet.stubapi.stubstatus import bad_request, conflict, forbidden, unsupported_option

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"
PROPAGATION: Final = ("Background", "Foreground", "Orphan")
_OPTIONS: Final = "DeleteOptions"


class Preconditions(msgspec.Struct, frozen=True, rename="camel"):
    """What an object must be to be deleted."""

    uid: str | None = None
    resource_version: str | None = None


class DeleteOptions(msgspec.Struct, frozen=True, rename="camel"):
    """What a client says about a delete; the grace is in seconds."""

    grace_period_seconds: int | None = None
    preconditions: Preconditions | None = None
    dry_run: list[str] | None = None
    propagation_policy: str | None = None
    orphan_dependents: bool | None = None


def parse_delete_options(body: Any, query: Mapping[str, str]) -> DeleteOptions:
    """The options of a delete request, from its body or else from its query.

    Raises:
        ApiError: 400 for options of another form.
    """
    try:
        options = msgspec.convert({} if body is None else body, DeleteOptions)
        grace = query.get("gracePeriodSeconds")
        if options.grace_period_seconds is None and grace:
            options = msgspec.structs.replace(options, grace_period_seconds=int(grace))
        if options.propagation_policy is None and query.get("propagationPolicy"):
            options = msgspec.structs.replace(options, propagation_policy=query["propagationPolicy"])
    except (msgspec.ValidationError, ValueError) as problem:
        raise bad_request(f"the delete options cannot be understood: {problem}") from problem
    if query.get("dryRun"):
        options = msgspec.structs.replace(options, dry_run=[query["dryRun"]])
    _check_options(options)
    return options


def _check_options(options: DeleteOptions) -> None:
    for stage in options.dry_run or ():
        if stage != "All":
            raise unsupported_option(_OPTIONS, "dryRun", stage, ("All",))
    if options.propagation_policy not in (None, *PROPAGATION):
        raise unsupported_option(_OPTIONS, "propagationPolicy", options.propagation_policy or "", PROPAGATION)
    if options.propagation_policy is not None and options.orphan_dependents is not None:
        raise bad_request("orphanDependents and propagationPolicy cannot be both set")


def _propagation(options: DeleteOptions, meta: Obj) -> str:
    """How dependents go: as the client says now, else as it was said before, else in the background."""
    if options.orphan_dependents is not None:
        return "Orphan" if options.orphan_dependents else "Background"
    if options.propagation_policy is not None:
        return options.propagation_policy
    said = meta.get("finalizers") or ()
    return "Orphan" if ORPHAN in said else "Foreground" if FOREGROUND in said else "Background"


def _mark_propagation(options: DeleteOptions, meta: Obj) -> None:
    others = [each for each in meta.get("finalizers") or () if each not in (ORPHAN, FOREGROUND)]
    marks = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND]}.get(_propagation(options, meta), [])
    meta.pop("finalizers", None)
    if others or marks:
        meta["finalizers"] = others + marks


def decide_delete(resource: Resource, obj: Obj, options: DeleteOptions, now: datetime) -> Decision:
    """Remove an object, or mark it as going where a kubelet or a finalizer has to finish first."""
    _check_preconditions(resource, obj["metadata"], options)
    grace = _pod_grace(obj, options.grace_period_seconds) if resource == PODS else 0
    meta = obj["metadata"]
    before = list(meta.get("finalizers") or ())
    _mark_propagation(options, meta)
    if meta.get("deletionTimestamp"):
        return _delete_again(obj, grace, changed=before != (meta.get("finalizers") or []))
    if grace == 0 and not meta.get("finalizers"):
        return Decision(Act.REMOVE, obj)
    _mark(meta, now, grace)
    return Decision(Act.PUT, obj)


def _check_preconditions(resource: Resource, meta: Obj, options: DeleteOptions) -> None:
    wanted = options.preconditions
    if wanted is None:
        return
    if wanted.uid is not None and wanted.uid != meta["uid"]:
        why = f"Precondition failed: UID in precondition: {wanted.uid}, UID in object meta: {meta['uid']}"
        raise conflict(resource, meta["name"], why)
    version = meta["resourceVersion"]
    if wanted.resource_version is not None and wanted.resource_version != version:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {wanted.resource_version}, "
            f"ResourceVersion in object meta: {version}"
        )
        raise conflict(resource, meta["name"], why)


def _pod_grace(pod: Obj, asked: int | None) -> int:
    spec, phase = pod["spec"], (pod.get("status") or {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    if asked is None and pod["metadata"].get("deletionTimestamp"):
        # Deleting once more without a word about grace changes nothing.
        asked = pod["metadata"].get("deletionGracePeriodSeconds") or 0
    grace = spec.get("terminationGracePeriodSeconds") if asked is None else asked
    return 1 if grace < 0 else int(grace)


def _delete_again(obj: Obj, grace: int, *, changed: bool) -> Decision:
    meta = obj["metadata"]
    before = meta.get("deletionGracePeriodSeconds") or 0
    if grace == 0 and not meta.get("finalizers"):
        return Decision(Act.REMOVE, obj)
    if grace >= before:
        return Decision(Act.PUT if changed else Act.KEEP, obj)
    began = datetime.fromisoformat(meta["deletionTimestamp"]) - timedelta(seconds=before)
    _mark(meta, began, grace)
    return Decision(Act.PUT, obj)


def _mark(meta: Obj, began: datetime, grace: int) -> None:
    longest = int((datetime.max.replace(tzinfo=began.tzinfo) - began).total_seconds())
    grace = min(grace, longest)
    meta["deletionTimestamp"] = time_text(began + timedelta(seconds=grace))
    meta["deletionGracePeriodSeconds"] = grace


def decide_namespace_delete(obj: Obj, options: DeleteOptions, now: datetime, *, empty: bool) -> Decision:
    """Mark a namespace as terminating, or remove it once it is empty."""
    meta = obj["metadata"]
    _check_preconditions(NAMESPACES, meta, options)
    if meta["name"] in FIRST_NAMESPACES:
        raise forbidden(NAMESPACES, meta["name"], "this namespace may not be deleted")
    if empty and not meta.get("finalizers"):
        return Decision(Act.REMOVE, obj)
    if meta.get("deletionTimestamp"):
        return Decision(Act.KEEP, obj)
    meta["deletionTimestamp"] = time_text(now)
    obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return Decision(Act.PUT, obj)
