"""Who calls the node API: a client certificate, a bearer token, or nobody.

Belongs here: finding out a name and groups. May not be here: what they may do (`nodepermission`). Tokens are
secrets: they are in no message, and remembered as digests only.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from minikubelet.model.settings import AuthenticationSettings
from minikubelet.nodeapi.answercache import AnswerCache
from minikubelet.ports.apiport import Api

REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
AUTHENTICATED: Final = "system:authenticated"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Someone who is known; `trusted` is the API server in this very process, which may do everything."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = msgspec.field(default_factory=dict)
    trusted: bool = False


ANONYMOUS: Final = Caller(name="system:anonymous", groups=("system:unauthenticated",))
LOCAL: Final = Caller(name="minikubelet:local", groups=("system:masters", AUTHENTICATED), trusted=True)


class Identities:
    """Finds out who calls. `api` None: there is nobody to ask about tokens; `local_token` is never empty."""

    def __init__(
        self,
        settings: AuthenticationSettings,
        api: Api | None,
        local_token: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._api = api if settings.webhook.enabled else None
        self._local = local_token.encode()
        # As upstream, an unknown token is remembered as long as a known one.
        self._known: AnswerCache[Caller | None] = AnswerCache(clock)

    async def identify(self, certificate: Mapping[str, Any] | None, authorization: str) -> Caller | None:
        """The caller, None for one who cannot show who it is; raises ApiError and ApiUnreachable.

        `certificate` is what `ssl` gives of a verified one, `authorization` the header as it came. A wrong
        token is refused whoever else the caller may be.
        """
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() == "bearer" and token:
            return await self._by_token(token)
        caller = _by_certificate(certificate) if self._settings.x509.client_ca_file else None
        if caller is None and self._settings.anonymous.enabled:
            return ANONYMOUS
        return caller

    async def _by_token(self, token: str) -> Caller | None:
        given = token.encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self._local):
            return LOCAL
        if self._api is None or not (token.isascii() and token.isprintable()):
            return None
        key = hashlib.sha256(given).hexdigest()
        found, caller = self._known.get(key)
        if found:
            return caller
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        }
        caller = _by_review(await self._api.create_object(REVIEWS, body))
        self._known.put(key, caller, self._settings.webhook.cache_ttl)
        return caller


def _by_certificate(certificate: Mapping[str, Any] | None) -> Caller | None:
    """Common name and organisations of a client certificate, as upstream reads them."""
    names, groups = [], []
    for part in (certificate or {}).get("subject", ()):
        for field, value in part:
            if field == "commonName":
                names.append(str(value))
            elif field == "organizationName":
                groups.append(str(value))
    if not names or not names[0]:
        return None
    return Caller(name=names[0], groups=(*groups, AUTHENTICATED))


def _by_review(review: Mapping[str, Any]) -> Caller | None:
    status = review.get("status")
    if not isinstance(status, dict) or status.get("authenticated") is not True:
        return None
    try:
        user = msgspec.convert(status.get("user"), _User)
    except msgspec.ValidationError:
        return None
    if not user.username:
        return None
    groups = tuple(user.groups or ())
    return Caller(name=user.username, groups=groups, uid=user.uid, extra=user.extra or {})


class _User(msgspec.Struct, frozen=True, kw_only=True):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None
