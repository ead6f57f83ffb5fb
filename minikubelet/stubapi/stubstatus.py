"""The errors of the stub API server, each a Kubernetes `Status` with reason, code and message.

What a client is told lives here; when it is told so is decided where the rules are. No I/O.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minikubelet.stubapi.stubresources import Resource


class Cause(msgspec.Struct, frozen=True):
    """One field of an object that was refused, and why."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


class ApiError(Exception):
    """A request that ends with a `Status`; raised anywhere, answered in one place."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = int(code)
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> dict[str, Any]:
        """The `Status` object as JSON data."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details is not None:
            body["details"] = self.details
        return body


def success(resource: Resource, name: str, uid: str) -> dict[str, Any]:
    """The `Status` that answers a delete which took effect at once."""
    details = {"name": name, "kind": resource.plural, "uid": uid}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _details(resource: Resource, name: str) -> dict[str, Any]:
    details = {"name": name, "kind": resource.plural}
    if resource.group:
        details["group"] = resource.group
    return details


def not_found(resource: Resource, name: str) -> ApiError:
    """404 for an object that does not exist."""
    return ApiError(
        HTTPStatus.NOT_FOUND, "NotFound", f'{resource.storage} "{name}" not found', _details(resource, name)
    )


def unknown_path() -> ApiError:
    """404 for a path that names no resource this server has."""
    return ApiError(HTTPStatus.NOT_FOUND, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 for a create of a name that is taken."""
    message = f'{resource.storage} "{name}" already exists'
    return ApiError(HTTPStatus.CONFLICT, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    """409 for a write that was made against another version or uid."""
    message = f'Operation cannot be fulfilled on {resource.storage} "{name}": {why}'
    return ApiError(HTTPStatus.CONFLICT, "Conflict", message, _details(resource, name))


def stale(resource: Resource, name: str) -> ApiError:
    """409 for a write whose resourceVersion is not the newest."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    """403 for what the rules of a resource do not allow."""
    message = f'{resource.storage} "{name}" is forbidden: {why}'
    return ApiError(HTTPStatus.FORBIDDEN, "Forbidden", message, _details(resource, name))


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 with one cause per refused field."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details: dict[str, Any] = {"name": name, "kind": resource.kind}
    if resource.group:
        details["group"] = resource.group
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    message = f'{resource.kind} "{name}" is invalid: {joined}'
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", message, details)


def invalid_patch(why: str) -> ApiError:
    """422 for a patch that leads to an object with fields it cannot have."""
    cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {why}", "field": "patch"}
    message = f' "" is invalid: patch: Invalid value: {why}'
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", message, {"causes": [cause]})


def unsupported_option(kind: str, option: str, given: str, supported: Sequence[str]) -> ApiError:
    """422 for an option of a request that has a value it cannot have; `kind` as `CreateOptions`."""
    wanted = ", ".join(f'"{each}"' for each in supported)
    text = f'Unsupported value: "{given}": supported values: {wanted}'
    details = {
        "group": "meta.k8s.io",
        "kind": kind,
        "causes": [{"reason": "FieldValueNotSupported", "message": text, "field": option}],
    }
    message = f'{kind}.meta.k8s.io "" is invalid: {option}: {text}'
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", message, details)


def bad_request(message: str) -> ApiError:
    """400 for a body or a parameter that cannot be understood."""
    return ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def expired(requested: int, oldest: int) -> ApiError:
    """410 for a watch from a version the history no longer reaches: list again."""
    return ApiError(HTTPStatus.GONE, "Expired", f"too old resource version: {requested} ({oldest})")


def from_the_future(requested: int, newest: int) -> ApiError:
    """410 for a watch from a version this server never gave out, as after a lost state directory."""
    message = f"the resource version {requested} is newer than this server's {newest}: list again"
    return ApiError(HTTPStatus.GONE, "Expired", message)


def too_large_version(requested: int, newest: int) -> ApiError:
    """504 for a list that asks for a version not reached yet, as upstream."""
    message = f"Timeout: Too large resource version: {requested}, current: {newest}"
    causes = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    return ApiError(HTTPStatus.GATEWAY_TIMEOUT, "Timeout", message, {**causes, "retryAfterSeconds": 1})


def unsupported_media_type(given: str, accepted: Sequence[str]) -> ApiError:
    """415 for a body in a format this server does not read."""
    message = (
        f"the body of the request was in an unknown format ({given or 'no Content-Type'}) - "
        f"accepted media types include: {', '.join(accepted)}"
    )
    return ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)


def not_acceptable(given: str) -> ApiError:
    """406 for a client that reads no JSON."""
    message = f"only application/json is served, and the request accepts only {given}"
    return ApiError(HTTPStatus.NOT_ACCEPTABLE, "NotAcceptable", message)


def method_not_allowed() -> ApiError:
    """405 for a verb the path does not have."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", message, {})


def unauthorized() -> ApiError:
    """401 for a missing or wrong bearer token."""
    return ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")


def too_large_body(limit: int) -> ApiError:
    """413 for a body beyond the limit, in bytes."""
    message = f"Request entity too large: limit is {limit}"
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", message)


def internal_error(message: str) -> ApiError:
    """500 for what is the server's own trouble, such as a full disk."""
    text = f"Internal error occurred: {message}"
    details = {"causes": [{"message": message}]}
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", text, details)
