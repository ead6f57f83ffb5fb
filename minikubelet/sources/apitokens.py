"""Tokens of service accounts, bound to pods, asked for through the TokenRequest API and renewed in time.

Follows upstream's pkg/kubelet/token/token_manager.go: a token is renewed after 80 % of its life or a day,
and one that cannot be renewed is used until it ends. May not be here: where tokens are written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apipaths import api_path
from minikubelet.model.ids import PodUid
from minikubelet.ports.apiport import Api, JsonObject
from minikubelet.ports.objectport import ObjectFault, TokenWish

RENEW_AFTER: Final = 0.8
PATIENCE: Final = 3.0
"""Seconds that somebody with a usable token waits for a newer one."""
LONGEST: Final = 24 * 3600.0

_log = structlog.get_logger(__name__)


class _Given(msgspec.Struct, frozen=True):
    """A token with the moments of its life, seconds since the epoch."""

    value: str
    issued: float
    expires: float

    def __repr__(self) -> str:
        """Show no token."""
        return f"_Given(until {self.expires})"

    def is_due(self, now: float) -> bool:
        """Whether it is time for another; a clock that was set back counts as well."""
        age = now - self.issued
        return age < 0 or age >= min(LONGEST, RENEW_AFTER * (self.expires - self.issued))


class ApiTokens:
    """Tokens by pod, account, audience and life; `now` is in seconds since the epoch."""

    def __init__(self, api: Api, now: Callable[[], float]) -> None:
        self._api = api
        self._now = now
        self._given: dict[TokenWish, _Given] = {}

    async def token(self, wish: TokenWish) -> str:
        """A token that is not due for renewal, or the best there is; raises ObjectFault without any."""
        given = self._given.get(wish)
        if given is not None and not given.is_due(self._now()):
            return given.value
        usable = given is not None and given.expires > self._now()
        try:
            async with asyncio.timeout(PATIENCE if usable else None):
                given = self._given[wish] = await self._request(wish)
        except (ApiError, ApiUnreachable, TimeoutError) as error:
            account = f"{wish.namespace}/{wish.service_account}"
            if given is None:
                raise ObjectFault(f"failed to fetch token: {error}") from None
            if not usable:
                raise ObjectFault(f"token of {account} expired and refresh failed: {error}") from None
            _log.warning("a token cannot be renewed yet", account=account, error=str(error))
        return given.value

    def keep(self, pods: Iterable[PodUid]) -> None:
        """Forget the tokens of all other pods."""
        kept = set(pods)
        for wish in [wish for wish in self._given if wish.pod_uid not in kept]:
            del self._given[wish]

    async def _request(self, wish: TokenWish) -> _Given:
        bound = {"apiVersion": "v1", "kind": "Pod", "name": wish.pod_name, "uid": wish.pod_uid}
        spec: JsonObject = {"expirationSeconds": wish.seconds, "boundObjectRef": bound}
        spec["audiences"] = [wish.audience] if wish.audience else []
        path = api_path(
            "api", "v1", "namespaces", wish.namespace, "serviceaccounts", wish.service_account, "token"
        )
        issued = self._now()
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        status = (await self._api.create_object(path, request)).get("status")
        status = status if isinstance(status, dict) else {}
        value = status.get("token")
        if not isinstance(value, str) or not value:
            raise ApiUnreachable("the API server answered a TokenRequest without a token")
        return _Given(value, issued, _moment(status.get("expirationTimestamp"), issued + wish.seconds))


def _moment(text: object, otherwise: float) -> float:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return otherwise
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
