"""From an HTTP request to what the verbs take: bodies, query parameters, accepted formats, page tokens.

Reads aiohttp requests and raises `ApiError`s; changes nothing and answers nothing.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from minikubelet.stubapi.stubfields import FieldCheck, FieldValidation
from minikubelet.stubapi.stubprotobuf import read_protobuf
from minikubelet.stubapi.stubselectors import parse_selector
from minikubelet.stubapi.stubstatus import (
    bad_request,
    not_acceptable,
    too_large_body,
    too_large_version,
    unsupported_media_type,
    unsupported_option,
)
from minikubelet.stubapi.stubwatch import WatchRequest
from minikubelet.stubapi.stubwrites import PATCHES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web

    from minikubelet.stubapi.stubresources import Obj, Target

BODY_MAX = 3 * 1024 * 1024
_WATCH_SECONDS = 1800.0
_WATCH_SECONDS_MAX = 24 * 3600.0
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_JSON, _YAML = "application/json", ("application/yaml", "application/x-yaml", "text/yaml")


class _PlainLoader(yaml.SafeLoader):
    """YAML as JSON sees it: no dates, and no aliases that a small body could grow huge with."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        return super().compose_node(parent, index)


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


async def _read(request: web.Request) -> bytes:
    if (request.content_length or 0) > BODY_MAX:
        raise too_large_body(BODY_MAX)
    content = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        content += chunk
        if len(content) > BODY_MAX:
            raise too_large_body(BODY_MAX)
    return bytes(content)


def _decode(content: bytes, media_type: str) -> Any:
    if media_type == _PROTOBUF:
        return read_protobuf(content)
    try:
        if media_type in _YAML:
            loaded = yaml.load(content, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader with less in it
            return msgspec.json.decode(msgspec.json.encode(loaded))
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, yaml.YAMLError, ValueError, TypeError, RecursionError) as problem:
        raise bad_request(f"the body of the request cannot be read: {problem}") from problem


def _media_type(request: web.Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def read_object(request: web.Request, fields: FieldCheck | None = None) -> Obj:
    """The object in a request's body, from JSON or YAML; `fields` takes note of keys that stand twice."""
    media_type = _media_type(request)
    if media_type not in ("", _JSON, _PROTOBUF, *_YAML):
        raise unsupported_media_type(media_type, (_JSON, _YAML[0], _PROTOBUF))
    content = await _read(request)
    body = _decode(content, media_type)
    if not isinstance(body, dict):
        raise bad_request("the body of the request is no object")
    if fields is not None and media_type != _PROTOBUF:
        try:
            fields.look(content, is_yaml=media_type in _YAML)
        except RecursionError as problem:
            raise bad_request("the body of the request is nested too deeply") from problem
    return body


async def read_patch(request: web.Request) -> tuple[str, Any]:
    """The media type and the content of a patch."""
    media_type = _media_type(request)
    if media_type not in PATCHES:
        raise unsupported_media_type(media_type, tuple(PATCHES))
    return media_type, _decode(await _read(request), _JSON)


async def read_optional(request: web.Request) -> Any:
    """The body of a delete: options, or None."""
    content = await _read(request)
    return _decode(content, _media_type(request)) if content.strip() else None


def wants_table(request: web.Request) -> bool:
    """Whether the client prefers a server-side table to plain JSON; 406 for one that takes neither."""
    accept = request.headers.get("Accept", "") or "*/*"
    for entry in accept.split(","):
        kind, *rest = (part.strip() for part in entry.split(";"))
        if kind not in (_JSON, "application/*", "*/*"):
            continue
        parameters = dict(part.partition("=")[::2] for part in rest)
        shape = parameters.get("as")
        if shape == "Table" and parameters.get("v", "v1") == "v1":
            return True
        if shape is None:
            return False
    raise not_acceptable(accept)


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean parameter."""
    return query.get(name, "").lower() in ("1", "true")


def number(query: Mapping[str, str], name: str) -> int | None:
    """A parameter that is a whole number of at least nought, or None."""
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < len(str(2**63))):
        raise bad_request(f"{name} must be a whole number, not {text!r}")
    return int(text)


def dry_run(query: Mapping[str, str], kind: str) -> bool:
    """Whether nothing is to be stored; 422 for other stages than `All`, of which there are none."""
    given = query.get("dryRun", "")
    if given not in ("", "All"):
        raise unsupported_option(kind, "dryRun", given, ("All",))
    return bool(given)


def write_options(query: Mapping[str, str], kind: str) -> tuple[FieldCheck, bool]:
    """What is to become of unknown fields, and whether it is a dry run; `kind` as in `CreateOptions`.

    As upstream, unknown fields are warned of unless the client says otherwise.
    """
    given = query.get("fieldValidation") or FieldValidation.WARN.value
    if given not in (supported := [each.value for each in FieldValidation]):
        raise unsupported_option(kind, "fieldValidation", given, supported)
    return FieldCheck(FieldValidation(given)), dry_run(query, kind)


def parse_watch(request: web.Request, target: Target) -> WatchRequest:
    """What a watch request asks for."""
    query = request.query
    seconds = float(number(query, "timeoutSeconds") or _WATCH_SECONDS)
    initial = flag(query, "sendInitialEvents")
    # As upstream, version 0 and none mean: begin with what exists.
    start = number(query, "resourceVersion") or None
    return WatchRequest(
        resource=target.resource,
        namespace=target.namespace,
        selector=parse_selector(target.resource, query),
        start=None if initial else start,
        seconds=min(seconds, _WATCH_SECONDS_MAX),
        bookmarks=flag(query, "allowWatchBookmarks"),
        initial_end=initial,
        table=wants_table(request),
        include=query.get("includeObject", "Metadata"),
    )


class PageToken(msgspec.Struct, frozen=True):
    """Where the next page of a list starts, and the version of the first."""

    version: int
    namespace: str
    name: str

    def encode(self) -> str:
        """The token as clients carry it."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()


def parse_page_token(query: Mapping[str, str]) -> PageToken | None:
    """The `continue` parameter; 400 for one that this server did not make."""
    text = query.get("continue", "")
    if not text:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=PageToken)
    except (msgspec.MsgspecError, ValueError) as problem:
        raise bad_request("continue key is not valid") from problem


def check_list_version(query: Mapping[str, str], newest: int) -> None:
    """Refuse a list at a version that is not reached; every other list is served from the newest."""
    asked = number(query, "resourceVersion")
    if asked is not None and asked > newest:
        raise too_large_version(asked, newest)


def page(items: Sequence[Any], limit: int | None) -> tuple[Sequence[Any], int]:
    """The items of one page, and how many are left."""
    if not limit or len(items) <= limit:
        return items, 0
    return items[:limit], len(items) - limit
