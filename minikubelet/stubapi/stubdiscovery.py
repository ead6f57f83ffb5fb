"""What kubectl asks before it works: versions, groups, resources and a (nearly empty) OpenAPI document.

Pure data from the resource table. `/openapi/v3` is absent and `/openapi/v2` names no type: kubectl then
leaves the checking of fields to the server and of types it knows to itself, in 1.20 as in newer releases.
"""

from __future__ import annotations

from typing import Any

from minikubelet.stubapi.stubresources import SERVED, Obj, Resource

VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0-minikubelet",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "CPython",
    "platform": "linux/amd64",
}
_INFO = {"title": "minikubelet stub API", "version": VERSION["gitVersion"]}
OPENAPI_JSON: Obj = {"swagger": "2.0", "info": _INFO, "paths": {}, "definitions": {}}
OPENAPI_PROTOBUF_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
# Clients ask with an `@`, which is not allowed in a media type: answering with it, they refuse it.
OPENAPI_ANSWER_TYPE = OPENAPI_PROTOBUF_TYPE.replace("@", ".")


def _field(number: int, content: bytes) -> bytes:
    """One length-delimited protobuf field; contents here are shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def openapi_protobuf() -> bytes:
    """The OpenAPI document in gnostic's protobuf form: `swagger`, and `info` with title and version."""
    info = _field(1, _INFO["title"].encode()) + _field(2, _INFO["version"].encode())
    return _field(1, b"2.0") + _field(2, info)


def discovery(path: str, address: str) -> Obj | None:
    """The answer to a discovery path without its trailing slash, or None; `address` is host:port."""
    match path.strip("/").split("/"):
        case ["api"]:
            where = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": where}
        case ["apis"]:
            groups = [_group(group) for group in _groups()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if group in _groups():
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
        case ["api", "v1"]:
            return _resource_list("", "v1")
        case ["apis", group, version] if version in _groups().get(group, []):
            return _resource_list(group, version)
        case _:
            return None


def _groups() -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for resource in SERVED:
        versions = groups.setdefault(resource.group, [])
        if resource.version not in versions:
            versions.append(resource.version)
    groups.pop("")
    return groups


def _group(name: str) -> Obj:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in _groups()[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(group: str, version: str) -> Obj:
    found = [r for r in SERVED if (r.group, r.version) == (group, version)]
    entries = [entry for resource in found for entry in _entries(resource)]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def _entries(resource: Resource) -> list[Obj]:
    entry: Obj = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return [entry, *(_sub_entry(resource, name) for name in resource.subresources)]


def _sub_entry(resource: Resource, name: str) -> dict[str, Any]:
    kind, verbs = {
        "log": (resource.kind, ["get"]),
        "binding": ("Binding", ["create"]),
        "exec": ("PodExecOptions", ["create", "get"]),
        "attach": ("PodAttachOptions", ["create", "get"]),
        "portforward": ("PodPortForwardOptions", ["create", "get"]),
        "token": ("TokenRequest", ["create"]),
    }.get(name, (resource.kind, ["get", "patch", "update"]))
    full = f"{resource.plural}/{name}"
    return {
        "name": full,
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": verbs,
    }
