"""The rules for names, labels and annotations that all objects share, and for keys of data.

Pure; returns causes for a 422 instead of raising, so that a client learns of all of them at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from minikubelet.stubapi.stubresources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIGMAPS,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICES,
    SIGNING_REQUESTS,
    Obj,
    Resource,
)
from minikubelet.stubapi.stubstatus import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_LABEL_MAX, _SUBDOMAIN_MAX = 63, 253
_ANNOTATIONS_MAX = 256 * 1024

_NAMED_FREELY = (SIGNING_REQUESTS, ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    "start and end with an alphanumeric character"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
    "must start and end with an alphanumeric character"
)


_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.', at most 253 of them, and "
    "be neither '.' nor begin with '..'"
)


def is_label(text: str) -> bool:
    """Whether a text is a DNS-1123 label of at most 63 characters."""
    return len(text) <= _LABEL_MAX and _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Whether a text is a DNS-1123 subdomain of at most 253 characters."""
    return len(text) <= _SUBDOMAIN_MAX and _SUBDOMAIN.fullmatch(text) is not None


def is_qualified(text: str) -> bool:
    """Whether a text can be the key of a label: a name, with or without a DNS prefix and a slash."""
    prefix, slash, name = text.rpartition("/")
    good = len(name) <= _LABEL_MAX and _QUALIFIED.fullmatch(name) is not None
    return good and (not slash or is_subdomain(prefix))


def check_meta(resource: Resource, obj: Obj) -> list[Cause]:
    """What is wrong with an object's metadata, and with the keys of a ConfigMap's or Secret's data."""
    meta = obj["metadata"]
    return [
        *_check_name(resource, meta["name"]),
        *_check_labels(meta),
        *_check_annotations(meta),
        *_check_owners(meta),
        *(_check_keys(obj) if resource in (CONFIGMAPS, SECRETS) else ()),
    ]


def check_finalizers(old: Obj, new: Obj) -> list[Cause]:
    """An object that is going may lose finalizers, but get no new ones."""
    before = old["metadata"].get("finalizers") or ()
    added = [each for each in new["metadata"].get("finalizers") or () if each not in before]
    if not old["metadata"].get("deletionTimestamp") or not added:
        return []
    why = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers"
    return [Cause("metadata.finalizers", f"{why} {', '.join(added)}", "FieldValueForbidden")]


def _check_name(resource: Resource, name: str) -> Iterator[Cause]:
    if resource in _NAMED_FREELY:
        if name in {".", ".."} or {"/", "%"} & set(name):
            yield Cause("metadata.name", f'Invalid value: "{name}": may not be . or .. or contain / or %')
        return
    short = resource in (NAMESPACES, SERVICES)
    if not (is_label(name) if short else is_subdomain(name)):
        rule = _LABEL_RULE if short else _SUBDOMAIN_RULE
        yield Cause("metadata.name", f'Invalid value: "{name}": {rule}')


def _check_labels(meta: Obj) -> Iterator[Cause]:
    for key, value in (meta.get("labels") or {}).items():
        if not is_qualified(key):
            yield Cause("metadata.labels", f'Invalid value: "{key}": a label key must be a qualified name')
        if value and (len(value) > _LABEL_MAX or not _QUALIFIED.fullmatch(value)):
            yield Cause(
                "metadata.labels", f'Invalid value: "{value}": a valid label must be at most 63 letters'
            )


def _check_owners(meta: Obj) -> Iterator[Cause]:
    owners = meta.get("ownerReferences") or []
    for place, owner in enumerate(owners):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                path = f"metadata.ownerReferences[{place}].{field}"
                yield Cause(path, "Required value: must not be empty", "FieldValueRequired")
    controllers = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        why = f"Invalid value: {', '.join(controllers)}: Only one reference can have Controller set to true"
        yield Cause("metadata.ownerReferences", why)


def _check_keys(obj: Obj) -> Iterator[Cause]:
    for field in ("data", "binaryData", "stringData"):
        for key in obj.get(field) or {}:
            if len(key) > _SUBDOMAIN_MAX or not _KEY.fullmatch(key) or key == "." or key.startswith(".."):
                yield Cause(f"{field}[{key}]", f'Invalid value: "{key}": {_KEY_RULE}')


def _check_annotations(meta: Obj) -> Iterator[Cause]:
    annotations = meta.get("annotations") or {}
    for key in annotations:
        if not is_qualified(key):
            yield Cause("metadata.annotations", f'Invalid value: "{key}": a key must be a qualified name')
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS_MAX:
        yield Cause(
            "metadata.annotations",
            f"Too long: may not be more than {_ANNOTATIONS_MAX} bytes",
            "FieldValueTooLong",
        )
