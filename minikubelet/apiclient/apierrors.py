"""What can go wrong between the agent and an API server, as three kinds of error with plain sentences.

Building an error from an HTTP answer belongs here too. No I/O, and nothing secret in a message.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_TEXT = 300
MOST_RETRY_AFTER_SECONDS = 30.0
"""No server or proxy may silence a node for longer: its lease of 40 seconds would run out."""


class KubeconfigError(Exception):
    """A kubeconfig cannot be used; the message names the file, the field and what to do."""

    def __init__(self, origin: str, field: str, problem: str) -> None:
        self.origin = origin
        self.field = field
        self.problem = problem
        super().__init__(f"{origin}: {field}: {problem}" if field else f"{origin}: {problem}")


class ApiUnreachable(Exception):
    """There was no usable answer: no connection, no credentials, no end in time, or no JSON."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class ApiError(Exception):
    """The API server answered and refused.

    `status` is the HTTP status, `reason` the machine-readable reason of Kubernetes' Status object
    (`NotFound`, `AlreadyExists`, …), `retry_after` the seconds the server asks to wait, if it does.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after
        super().__init__(f"{message} ({status} {reason})")

    @property
    def not_found(self) -> bool:
        """The object does not exist."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def already_exists(self) -> bool:
        """An object of this name exists already."""
        return self.status == HTTPStatus.CONFLICT and self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """The object changed meanwhile, or a precondition failed: read it again."""
        return self.status == HTTPStatus.CONFLICT and not self.already_exists

    @property
    def gone(self) -> bool:
        """The resource version asked for is too old, or unknown to this server: list again."""
        return self.status == HTTPStatus.GONE or self.reason == "Expired" or self._version_too_large

    @property
    def too_many_requests(self) -> bool:
        """The server asks to slow down; `retry_after` says by how much."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS

    @property
    def unauthorized(self) -> bool:
        """The server does not accept the credentials."""
        return self.status == HTTPStatus.UNAUTHORIZED

    @property
    def _version_too_large(self) -> bool:
        # A server restored from a backup is behind the versions it gave out: only a new list helps.
        causes = self.details.get("causes")
        return isinstance(causes, list) and any(
            isinstance(cause, dict) and cause.get("reason") == "ResourceVersionTooLarge" for cause in causes
        )


def error_from_status(
    body: Mapping[str, Any], *, status: int = 0, retry_after: float | None = None
) -> ApiError:
    """Read a Kubernetes Status object; what it leaves out comes from the HTTP status."""
    code = body.get("code")
    status = status or (code if isinstance(code, int) else 0) or HTTPStatus.INTERNAL_SERVER_ERROR
    details = body.get("details")
    details = details if isinstance(details, dict) else {}
    seconds = details.get("retryAfterSeconds")
    if retry_after is None and isinstance(seconds, int) and seconds > 0:
        retry_after = float(seconds)
    reason = str(body.get("reason") or "") or _reason_of(status)
    message = str(body.get("message") or "") or f"the API server answered {reason}"
    return ApiError(status, reason, message, details, _bounded(retry_after))


def error_from_answer(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the error of an HTTP answer whose status is none of success."""
    retry_after = _seconds(headers.get("Retry-After"))
    try:
        decoded = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        decoded = None
    if isinstance(decoded, dict) and decoded.get("kind") == "Status":
        return error_from_status(decoded, status=status, retry_after=retry_after)
    text = " ".join(body[: 4 * _MOST_TEXT].decode("utf-8", "replace").split())[:_MOST_TEXT]
    reason = _reason_of(status)
    message = text or f"the API server answered {reason}"
    return ApiError(status, reason, message, None, _bounded(retry_after))


def _reason_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")
    except ValueError:
        return "Unknown"


def _bounded(retry_after: float | None) -> float | None:
    return None if retry_after is None else min(retry_after, MOST_RETRY_AFTER_SECONDS)


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
