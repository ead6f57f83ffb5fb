"""The calls that tell an API server of pods: one function for each, and what its answer means.

Belongs here: bodies of requests and the reading of refusals. May not be here: when to call and when to try
again: whatever another try may heal is raised as it came (`ApiError`, `ApiUnreachable`).
Statuses are sent as upstream's kubelet does (pkg/util/pod PatchPodStatus): a strategic merge patch that
names the uid, so that a pod made anew under the same name never gets the status of the one before it.
"""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus
from typing import Any

import msgspec

from minikubelet.apiclient.apierrors import ApiError
from minikubelet.apiclient.apipaths import pod_path, pod_status_path, pods_path
from minikubelet.model.ids import PodUid, SlotKey, split_slot
from minikubelet.model.status import PodStatus
from minikubelet.ports.apiport import Api, JsonObject, PatchKind
from minikubelet.wire.pod_codec import to_json
from minikubelet.wire.podmarks import CONFIG_MIRROR

_REMOVED_WHEN_EMPTY = (
    "message",
    "reason",
    "podIP",
    "podIPs",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
)
_REPLACED = ("podIPs", "hostIPs")
"""Lists that a strategic merge patch would merge by key, but which are wholly the node's to say."""

_NEVER_TRIED_AGAIN = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class Outcome(Enum):
    """What came of a call that need not be made again."""

    DONE = "done"
    GONE = "gone"
    REFUSED = "refused"
    TAKEN = "taken"
    """the name belongs to a pod that is no mirror"""


class Answer(msgspec.Struct, frozen=True):
    """An outcome with the object's uid and resource version where there is one, or the refusal's words."""

    outcome: Outcome
    uid: PodUid = PodUid("")
    version: str = ""
    problem: str = ""


def status_body(status: PodStatus) -> JsonObject:
    """The status as a strategic merge patch; conditions that others set are left alone.

    A condition's reason and message are null where it has none: a merge would keep those of before.
    """
    body: JsonObject = {**dict.fromkeys(_REMOVED_WHEN_EMPTY), **to_json(status)}
    without = {"reason": None, "message": None}
    body["conditions"] = [{**without, **condition} for condition in body.get("conditions", ())]
    for key in _REPLACED:
        if body.get(key):
            body[key] = [{"$patch": "replace"}, *body[key]]
    return body


def shows(seen: JsonObject, status: PodStatus) -> bool:
    """Whether a status that the API server shows says what `status` says; conditions of others aside."""
    wanted = to_json(status)
    keys = {*wanted, *_REMOVED_WHEN_EMPTY} - {"conditions"}
    if any((seen.get(key) or None) != (wanted.get(key) or None) for key in keys):
        return False
    found = {each.get("type"): each for each in seen.get("conditions") or () if isinstance(each, dict)}
    ours = wanted.get("conditions", ())
    return all(_holds(found.get(each["type"]), each) for each in ours)


def _holds(seen: JsonObject | None, wanted: JsonObject) -> bool:
    keys = ("status", "reason", "message")
    return seen is not None and all((seen.get(key) or "") == (wanted.get(key) or "") for key in keys)


async def send_status(api: Api, slot: SlotKey, uid: PodUid, status: PodStatus) -> Answer:
    """Send the status of the object with this uid."""
    patch: JsonObject = {"metadata": {"uid": uid}, "status": status_body(status)}
    try:
        stored = await api.patch_object(pod_status_path(*split_slot(slot)), patch, PatchKind.STRATEGIC)
    except ApiError as error:
        return await _refusal(api, slot, uid, error)
    return _stored(stored)


async def remove_pod(api: Api, slot: SlotKey, uid: PodUid) -> Answer:
    """Remove the object with this uid at once."""
    try:
        await api.delete_object(pod_path(*split_slot(slot)), grace_seconds=0, uid=uid)
    except ApiError as error:
        return await _refusal(api, slot, uid, error)
    return Answer(Outcome.DONE, uid)


async def make_mirror(api: Api, slot: SlotKey, body: JsonObject) -> Answer:
    """Create a mirror pod; an outdated one in its place is removed, one that is up to date is taken."""
    namespace, name = split_slot(slot)
    try:
        return _stored(await api.create_object(pods_path(namespace), body))
    except ApiError as error:
        if not error.already_exists:
            if error.status in _NEVER_TRIED_AGAIN:
                return Answer(Outcome.REFUSED, problem=str(error))
            raise
        existing = await _get(api, pod_path(namespace, name))
        if existing is None:
            raise
    mirror_hash = _annotation(existing, CONFIG_MIRROR)
    if mirror_hash is None:
        return Answer(Outcome.TAKEN, problem=f"{slot} is the name of a pod that is no mirror")
    found = _stored(existing)
    if mirror_hash == _annotation(body, CONFIG_MIRROR) and not _meta(existing).get("deletionTimestamp"):
        return found
    await remove_pod(api, slot, found.uid)
    return _stored(await api.create_object(pods_path(namespace), body))


async def _refusal(api: Api, slot: SlotKey, uid: PodUid, error: ApiError) -> Answer:
    """What a refusal means for the object with this uid; raises it again where another try may help."""
    if error.not_found:
        return Answer(Outcome.GONE)
    if error.status != HTTPStatus.CONFLICT and error.status not in _NEVER_TRIED_AGAIN:
        raise error
    # Of a conflict the reason cannot be told from its words: look whether it still is the same object.
    existing = await _get(api, pod_path(*split_slot(slot)))
    if existing is None or _meta(existing).get("uid") != uid:
        return Answer(Outcome.GONE)
    if error.status == HTTPStatus.CONFLICT:
        raise error
    return Answer(Outcome.REFUSED, uid, problem=str(error))


async def _get(api: Api, path: str) -> JsonObject | None:
    try:
        return await api.get_object(path)
    except ApiError as error:
        if error.not_found:
            return None
        raise


def _stored(stored: JsonObject) -> Answer:
    meta = _meta(stored)
    return Answer(Outcome.DONE, PodUid(str(meta.get("uid", ""))), str(meta.get("resourceVersion", "")))


def _meta(found: JsonObject) -> dict[str, Any]:
    metadata = found.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _annotation(found: JsonObject, key: str) -> str | None:
    annotations = _meta(found).get("annotations") or {}
    value = annotations.get(key)
    return value if isinstance(value, str) else None
