"""Bodies in Kubernetes' protobuf form, which newer kubectls send for a few kinds: read into JSON data.

Only those kinds: what `kubectl create` makes of them, delete options, and what is asked or said about
certificates, roles and tokens. Field numbers are those of the generated.proto files of k8s.io/api and
k8s.io/apimachinery. Answers stay JSON.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from minikubelet.stubapi.stubstatus import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from minikubelet.stubapi.stubresources import Obj

_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BITS = 70

Value: TypeAlias = "int | bytes"
Reader: TypeAlias = "Callable[[Any], Any]"
Fields: TypeAlias = "dict[int, tuple[str, str, Reader]]"
"""Field number to JSON name, how it adds up (`one`, `many`, `map`), and how a value is read."""


def _wire(data: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message: number, and its whole number or its bytes."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"unknown wire type {kind}")
        if position + size > len(data):
            raise ValueError("a field reaches beyond the end")
        yield tag >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _VARINT_BITS, 7):
        if position >= len(data):
            raise ValueError("the message ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says another byte follows
            return value, position
    raise ValueError("a number is too long")


def _text(value: Value) -> str:
    if isinstance(value, int):
        raise TypeError("a text was expected")
    return value.decode()


def _blob(value: Value) -> str:
    if isinstance(value, int):
        raise TypeError("bytes were expected")
    return base64.b64encode(value).decode()


def _whole(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError("a whole number was expected")
    return value - (1 << 64) if value >> 63 else value


def _truth(value: Value) -> bool:
    return bool(_whole(value))


def _time(value: Value) -> str:
    if isinstance(value, int):
        raise TypeError("a time was expected")
    seconds = _whole(dict(_wire(value)).get(1, 0))
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError) as problem:
        raise ValueError("a time is out of range") from problem


def _message(fields: Fields) -> Reader:
    def read(value: Value) -> Obj:
        if isinstance(value, int):
            raise TypeError("a message was expected")
        found: Obj = {}
        for number, part in _wire(value):
            if number not in fields:
                continue
            name, adds, reader = fields[number]
            if adds == "many":
                found.setdefault(name, []).append(reader(part))
            elif adds == "map":
                key, item = _pair(part)
                found.setdefault(name, {})[key] = reader(item)
            # Go writes empty texts where JSON leaves them out.
            elif part != b"" or reader not in (_text, _blob):
                found[name] = reader(part)
        return found

    return read


def _pair(value: Value) -> tuple[str, Value]:
    if isinstance(value, int):
        raise TypeError("a map's entry was expected")
    parts = dict(_wire(value))
    return _text(parts.get(1, b"")), parts.get(2, b"")


_NAME: Fields = {1: ("name", "one", _text)}
_OWNER: Fields = {
    1: ("kind", "one", _text),
    3: ("name", "one", _text),
    4: ("uid", "one", _text),
    5: ("apiVersion", "one", _text),
    6: ("controller", "one", _truth),
    7: ("blockOwnerDeletion", "one", _truth),
}
_META = _message(
    {
        1: ("name", "one", _text),
        2: ("generateName", "one", _text),
        3: ("namespace", "one", _text),
        5: ("uid", "one", _text),
        6: ("resourceVersion", "one", _text),
        11: ("labels", "map", _text),
        12: ("annotations", "map", _text),
        13: ("ownerReferences", "many", _message(_OWNER)),
        14: ("finalizers", "many", _text),
    }
)
_REFERENCE: Fields = {
    1: ("kind", "one", _text),
    2: ("namespace", "one", _text),
    3: ("name", "one", _text),
    4: ("uid", "one", _text),
    5: ("apiVersion", "one", _text),
}
_PRECONDITIONS: Fields = {1: ("uid", "one", _text), 2: ("resourceVersion", "one", _text)}
_CONDITION: Fields = {
    1: ("type", "one", _text),
    2: ("reason", "one", _text),
    3: ("message", "one", _text),
    4: ("lastUpdateTime", "one", _time),
    5: ("lastTransitionTime", "one", _time),
    6: ("status", "one", _text),
}
_REQUEST: Fields = {
    1: ("request", "one", _blob),
    5: ("usages", "many", _text),
    7: ("signerName", "one", _text),
    8: ("expirationSeconds", "one", _whole),
}
_REQUEST_STATUS: Fields = {
    1: ("conditions", "many", _message(_CONDITION)),
    2: ("certificate", "one", _blob),
}
_RULE: Fields = {
    number: (name, "many", _text)
    for number, name in enumerate(("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), 1)
}
_ROLE_REF: Fields = {1: ("apiGroup", "one", _text), 2: ("kind", "one", _text), 3: ("name", "one", _text)}
_SUBJECT: Fields = {
    1: ("kind", "one", _text),
    2: ("apiGroup", "one", _text),
    3: ("name", "one", _text),
    4: ("namespace", "one", _text),
}
_ROLE = _message({1: ("metadata", "one", _META), 2: ("rules", "many", _message(_RULE))})
_BINDING = _message(
    {
        1: ("metadata", "one", _META),
        2: ("subjects", "many", _message(_SUBJECT)),
        3: ("roleRef", "one", _message(_ROLE_REF)),
    }
)
_ATTRIBUTES: Fields = {
    number: (name, "one", _text)
    for number, name in enumerate(
        ("namespace", "verb", "group", "version", "resource", "subresource", "name"), 1
    )
}
_OWN_ACCESS: Fields = {
    1: ("resourceAttributes", "one", _message(_ATTRIBUTES)),
    2: ("nonResourceAttributes", "one", _message({1: ("path", "one", _text), 2: ("verb", "one", _text)})),
}
_BOUND: Fields = {
    1: ("kind", "one", _text),
    2: ("apiVersion", "one", _text),
    3: ("name", "one", _text),
    4: ("uid", "one", _text),
}
_TOKEN: Fields = {
    1: ("audiences", "many", _text),
    3: ("boundObjectRef", "one", _message(_BOUND)),
    4: ("expirationSeconds", "one", _whole),
}
_KINDS: dict[str, Reader] = {
    "CertificateSigningRequest": _message(
        {
            1: ("metadata", "one", _META),
            2: ("spec", "one", _message(_REQUEST)),
            3: ("status", "one", _message(_REQUEST_STATUS)),
        }
    ),
    "Role": _ROLE,
    "ClusterRole": _ROLE,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "SelfSubjectAccessReview": _message({2: ("spec", "one", _message(_OWN_ACCESS))}),
    "TokenRequest": _message({2: ("spec", "one", _message(_TOKEN))}),
    "Namespace": _message({1: ("metadata", "one", _META)}),
    "ConfigMap": _message(
        {
            1: ("metadata", "one", _META),
            2: ("data", "map", _text),
            3: ("binaryData", "map", _blob),
            4: ("immutable", "one", _truth),
        }
    ),
    "Secret": _message(
        {
            1: ("metadata", "one", _META),
            2: ("data", "map", _blob),
            3: ("type", "one", _text),
            4: ("stringData", "map", _text),
            5: ("immutable", "one", _truth),
        }
    ),
    "ServiceAccount": _message(
        {
            1: ("metadata", "one", _META),
            2: ("secrets", "many", _message(_REFERENCE)),
            3: ("imagePullSecrets", "many", _message(_NAME)),
            4: ("automountServiceAccountToken", "one", _truth),
        }
    ),
    "DeleteOptions": _message(
        {
            1: ("gracePeriodSeconds", "one", _whole),
            2: ("preconditions", "one", _message(_PRECONDITIONS)),
            4: ("propagationPolicy", "one", _text),
            5: ("dryRun", "many", _text),
        }
    ),
}
_TYPE_META = _message({1: ("apiVersion", "one", _text), 2: ("kind", "one", _text)})


def read_protobuf(content: bytes) -> Obj:
    """The object in a protobuf body, as JSON data.

    Raises:
        ApiError: 400 for bytes that are no such object, or a kind that is only read as JSON.
    """
    if not content.startswith(_MAGIC):
        raise bad_request("the body of the request is no Kubernetes protobuf")
    try:
        envelope = dict(_wire(content[len(_MAGIC) :]))
        kind = _TYPE_META(envelope.get(1, b""))
        reader = _KINDS.get(kind.get("kind", ""))
        if reader is None:
            known = ", ".join(_KINDS)
            raise bad_request(f"{kind.get('kind')} is not read as protobuf, only {known}: send JSON")
        obj: Obj = reader(envelope.get(2, b""))
    except (ValueError, TypeError) as problem:
        raise bad_request(f"the body of the request cannot be read: {problem}") from problem
    return {**kind, **obj}
