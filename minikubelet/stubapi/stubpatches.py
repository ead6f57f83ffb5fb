"""The three patch types of the Kubernetes API: JSON patch, merge patch and strategic merge patch.

Pure: a document and a patch in, a new document out. What a resource allows to change is not checked here.
"""

from __future__ import annotations

import copy
from typing import Any

from minikubelet.stubapi.stubresources import Obj
from minikubelet.stubapi.stubstatus import ApiError, bad_request

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "resourceClaims": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "conditions": "type",
    "addresses": "type",
    "ownerReferences": "uid",
    "topologySpreadConstraints": "topologyKey",
    "podIPs": "ip",
}
"""Lists merged by key in a strategic merge patch; every other list of objects is replaced."""

_PORT_KEYS = ("containerPort", "port")
_PRIMITIVE_LISTS = ("finalizers", "podCIDRs")
"""Lists of plain values that a strategic merge patch adds to."""

_ORDER, _DELETE_FROM, _RETAIN = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_patch(document: Obj, patch: Obj) -> Obj:
    """Apply a strategic merge patch with the merge keys of the core types.

    Raises:
        ApiError: 400, for a directive or a list element that cannot be understood.
    """
    return _merge_maps(document, patch)


def _merge_maps(document: Obj, patch: Obj) -> Obj:
    match patch.get("$patch"):
        case "replace":
            return _cleaned(patch)
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise bad_request(f"unknown $patch directive {other!r} in a strategic merge patch")
    merged = _retained(document, patch)
    for key, value in patch.items():
        _merge_entry(merged, key, value)
    return merged


def _retained(document: Obj, patch: Obj) -> Obj:
    keys = patch.get(_RETAIN)
    if keys is None:
        return dict(document)
    if not isinstance(keys, list):
        raise bad_request(f"{_RETAIN} must be a list in a strategic merge patch")
    return {key: value for key, value in document.items() if key in keys}


def _merge_entry(merged: Obj, key: str, value: Any) -> None:
    if key in ("$patch", _RETAIN) or key.startswith(_ORDER):
        return
    if key.startswith(_DELETE_FROM):
        name, gone = key.removeprefix(_DELETE_FROM), value
        if not isinstance(gone, list):
            raise bad_request(f"{key} must be a list in a strategic merge patch")
        if isinstance(merged.get(name), list):
            merged[name] = [item for item in merged[name] if item not in gone]
    elif value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        old = merged.get(key)
        if value.get("$patch") == "delete":
            merged.pop(key, None)
        else:
            merged[key] = _merge_maps(old if isinstance(old, dict) else {}, value)
    elif isinstance(value, list):
        old = merged.get(key)
        merged[key] = _merge_lists(key, old if isinstance(old, list) else [], value)
    else:
        merged[key] = value


def _merge_lists(field: str, old: list[Any], patch: list[Any]) -> list[Any]:
    if field in _PRIMITIVE_LISTS:
        return old + [item for item in patch if item not in old]
    merge_key = _merge_key(field, old, patch)
    if merge_key is None:
        return [_clean(item) for item in patch if not _is_directive(item)]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [_clean(item) for item in patch if not _is_directive(item)]
    merged = list(old)
    for item in patch:
        _merge_item(field, merged, item, merge_key)
    return merged


def _merge_key(field: str, old: list[Any], patch: list[Any]) -> str | None:
    if field == "ports":
        items = [item for item in (*patch, *old) if isinstance(item, dict)]
        return next((key for key in _PORT_KEYS if any(key in item for item in items)), None)
    return _MERGE_KEYS.get(field)


def _merge_item(field: str, merged: list[Any], item: Any, merge_key: str) -> None:
    if not isinstance(item, dict) or merge_key not in item:
        raise bad_request(f"map: {item!r} in {field!r} does not contain declared merge key: {merge_key}")
    same = [
        place
        for place, old in enumerate(merged)
        if isinstance(old, dict) and old.get(merge_key) == item[merge_key]
    ]
    if item.get("$patch") == "delete":
        for place in reversed(same):
            del merged[place]
    elif same:
        merged[same[0]] = _merge_maps(merged[same[0]], item)
    else:
        merged.append(_clean(item))


def _is_directive(item: Any) -> bool:
    return isinstance(item, dict) and "$patch" in item


def _cleaned(value: Obj) -> Obj:
    return {
        key: _clean(item)
        for key, item in value.items()
        if item is not None and key not in ("$patch", _RETAIN) and not key.startswith((_ORDER, _DELETE_FROM))
    }


def _clean(value: Any) -> Any:
    """A patch's new value without its nulls and directives."""
    if isinstance(value, dict):
        return _cleaned(value)
    if isinstance(value, list):
        return [_clean(item) for item in value if not _is_directive(item)]
    return value


def json_patch(document: Any, operations: Any) -> Any:
    """Apply a JSON patch (RFC 6902).

    Raises:
        ApiError: 400 for a patch that is none, 422 for an operation that does not fit the document.
    """
    if not isinstance(operations, list) or not all(isinstance(entry, dict) for entry in operations):
        raise bad_request("a JSON patch is a list of operations")
    result = copy.deepcopy(document)
    for entry in operations:
        result = _apply_operation(result, entry)
    return result


def _apply_operation(document: Any, entry: Obj) -> Any:
    name, path = entry.get("op"), _pointer(entry.get("path"))
    match name:
        case "add" | "replace" | "test" if "value" not in entry:
            raise bad_request(f"a JSON patch's {name!r} needs a value")
        case "add":
            return _added(document, path, entry["value"])
        case "remove":
            return _removed(document, path)
        case "replace":
            _resolve(document, path)
            return _added(_removed(document, path) if path else document, path, entry["value"])
        case "move":
            source = _pointer(entry.get("from"))
            if path[: len(source)] == source and path != source:
                raise _does_not_fit(f"cannot move {_text(source)} into itself")
            value = _resolve(document, source)
            return _added(_removed(document, source), path, value)
        case "copy":
            return _added(document, path, copy.deepcopy(_resolve(document, _pointer(entry.get("from")))))
        case "test":
            if _resolve(document, path) != entry["value"]:
                raise _does_not_fit(f"testing path {_text(path)} value failed")
            return document
        case _:
            raise bad_request(f"unknown JSON patch operation {name!r}")


def _pointer(path: Any) -> list[str]:
    if not isinstance(path, str) or (path and not path.startswith("/")):
        raise bad_request(f"{path!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _text(path: list[str]) -> str:
    return "/" + "/".join(path)


def _does_not_fit(message: str) -> ApiError:
    return ApiError(
        422, "Invalid", f"the server rejected our request due to an error in our request: {message}"
    )


def _step(node: Any, part: str, path: list[str]) -> Any:
    if isinstance(node, dict) and part in node:
        return node[part]
    if isinstance(node, list):
        return node[_place(node, part, path, len(node) - 1)]
    raise _does_not_fit(f"{_text(path)} does not exist")


def _place(node: list[Any], part: str, path: list[str], highest: int) -> int:
    if part.isascii() and part.isdigit() and len(part) < len("1000000000") and int(part) <= highest:
        return int(part)
    raise _does_not_fit(f"{_text(path)}: {part!r} is no place in a list of {len(node)}")


def _resolve(document: Any, path: list[str]) -> Any:
    node = document
    for part in path:
        node = _step(node, part, path)
    return node


def _added(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _resolve(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _place(parent, last, path, len(parent)), value)
    else:
        raise _does_not_fit(f"{_text(path[:-1])} holds a plain value")
    return document


def _removed(document: Any, path: list[str]) -> Any:
    if not path:
        raise _does_not_fit("the whole document cannot be removed")
    _resolve(document, path)
    parent, last = _resolve(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        del parent[last]
    else:
        del parent[int(last)]
    return document
