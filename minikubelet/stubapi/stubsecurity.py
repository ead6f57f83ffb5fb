"""Authentication, authorisation and what clients ask about them, put together for the HTTP side.

Belongs here: wiring, and which caller goes into what is written. May not be here: the rules themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import hdrs, web

from minikubelet.stubapi.stubaccess import Access, Caller, wish_of
from minikubelet.stubapi.stubcallers import Callers
from minikubelet.stubapi.stubresources import SIGNING_REQUESTS, Obj, Target
from minikubelet.stubapi.stubreviews import Reviews
from minikubelet.stubapi.stubsigning import LIFE, Signer
from minikubelet.stubapi.stubstatus import unauthorized
from minikubelet.stubapi.stubtokens import ServiceTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta
    from pathlib import Path

    from minikubelet.stubapi.stubcommits import Committer
    from minikubelet.stubapi.stubstore import Store


class SecuritySetup(msgspec.Struct, frozen=True):
    """What a server is told: callers by static token, whether nodes are approved, the longest certificate."""

    static: Mapping[str, Caller] = {}
    approve_nodes: bool = False
    certificate_life: timedelta = LIFE


NO_SECRETS: Final = SecuritySetup()
"""only the administrator is known, besides whom the stored objects make known"""


class Security:
    """Of one server."""

    def __init__(
        self,
        directory: Path,
        store: Store,
        committer: Committer,
        clock: Callable[[], datetime],
        *,
        token: str,
        setup: SecuritySetup,
    ) -> None:
        self.tokens = ServiceTokens(directory, store, clock)
        self._callers = Callers(store, self.tokens, token=token, static=setup.static, clock=clock)
        self._access = Access(store)
        self.reviews = Reviews(self._callers, self._access, self.tokens)
        self.signer = Signer(
            directory,
            store,
            committer,
            clock,
            approve=setup.approve_nodes,
            life=setup.certificate_life,
        )

    def admit(self, request: web.Request) -> Caller:
        """Who calls; raises the 401."""
        certificate: Mapping[str, Any] | None = request.get_extra_info("peercert")
        caller = self._callers.identify(request.headers.get(hdrs.AUTHORIZATION, ""), certificate)
        if caller is None:
            raise unauthorized()
        return caller

    def check(self, caller: Caller, method: str, target: Target, *, watch: bool) -> None:
        """Raise the 403 for what the caller may not do."""
        self._access.check(caller, wish_of(method, target, watch=watch))


def stamped(target: Target, body: Obj, caller: Caller) -> Obj:
    """A new object with what the server itself says of who made it."""
    spec = body.get("spec")
    if target.resource != SIGNING_REQUESTS or not isinstance(spec, dict):
        return body
    said = {"username": caller.name, "uid": caller.uid, "groups": list(caller.groups), "extra": caller.extra}
    return {**body, "spec": {**spec, **said}}
