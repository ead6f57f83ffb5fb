"""Certificates that clients ask for: who asked, who may approve, and the signers of node certificates.

Belongs here: CertificateSigningRequests once they are stored, as upstream's pkg/controller/certificates
(approver and signer) treats them. May not be here: HTTP, or the authority's own files (`stubcerts`).
"""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from minikubelet.stubapi.stubcerts import leaf_builder, load_authority
from minikubelet.stubapi.stubcommits import Act, Committer, Decision, Lookup
from minikubelet.stubapi.stubresources import SIGNING_REQUESTS, Obj
from minikubelet.stubapi.stubrules import require, time_text
from minikubelet.stubapi.stubsigners import (
    CLIENT_KUBELET,
    SERVING,
    SIGNERS,
    parse_request,
    refusal,
    usages_of,
)
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.stubapi.stubstore import Key, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

LIFE: Final = timedelta(days=365)
_SKEW: Final = timedelta(minutes=5)
_BOOTSTRAPPERS: Final = "system:bootstrappers"


class Signer:
    """Looks at requests when something happened to them.

    With `approve`, nodes get what they ask for without a person: a client certificate for whoever bears a
    bootstrap token or is that node, a serving certificate for the node itself. `life` is the longest one.
    """

    def __init__(
        self,
        directory: Path,
        store: Store,
        committer: Committer,
        clock: Callable[[], datetime],
        *,
        approve: bool,
        life: timedelta = LIFE,
    ) -> None:
        self._directory = directory
        self._store = store
        self._committer = committer
        self._clock = clock
        self._approve = approve
        self._life = life

    async def look_at_all(self) -> None:
        """Go on with what a stop of the server interrupted."""
        for stored in self._store.select(SIGNING_REQUESTS):
            await self.look(stored.obj["metadata"]["name"])

    async def look(self, name: str) -> Obj | None:
        """Approve and sign a request if it is time for that; answers it, or None if it is gone."""
        stored = self._store.get(SIGNING_REQUESTS, Key("", name))
        if stored is None:
            return None
        if not (self._approval(stored.obj) or _is_to_sign(stored.obj)):
            return stored.obj
        with suppress(ApiError):  # deleted meanwhile
            return await self._committer.submit(SIGNING_REQUESTS, Key("", name), self._decide)
        return None

    def _decide(self, old: Obj | None, _: Lookup) -> Decision:
        request = require(SIGNING_REQUESTS, "", old)
        if condition := self._approval(request):
            _add(request, condition, self._clock())
        if _is_to_sign(request):
            self._sign(request)
        return Decision(Act.PUT, request)

    def _approval(self, request: Obj) -> Obj | None:
        if not self._approve or (request.get("status") or {}).get("conditions"):
            return None
        spec = request["spec"]
        parsed = parse_request(spec)
        if parsed is None or spec["signerName"] not in (CLIENT_KUBELET, SERVING):
            return None
        if refusal(spec["signerName"], parsed, usages_of(spec)):
            return None
        name = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        groups, its_own = spec.get("groups") or (), spec.get("username") == name
        if spec["signerName"] == CLIENT_KUBELET and (its_own or _BOOTSTRAPPERS in groups):
            what = "self kubelet client" if its_own else "kubelet client"
        elif spec["signerName"] == SERVING and its_own:
            what = "kubelet serving"
        else:
            return None
        message = f"Auto approving {what} certificate after SubjectAccessReview."
        return {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": message}

    def _sign(self, request: Obj) -> None:
        spec = request["spec"]
        parsed = parse_request(spec)
        if parsed is None:  # it was checked when it was created
            return
        if wrong := refusal(spec["signerName"], parsed, usages_of(spec)):
            failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure"}
            _add(request, {**failed, "message": wrong}, self._clock())
            return
        authority, key = load_authority(self._directory)
        now = self._clock().astimezone(UTC)
        asked = spec.get("expirationSeconds")
        life = min(self._life, timedelta(seconds=asked)) if asked else self._life
        ends = min(now + life, authority.not_valid_after_utc)
        builder = leaf_builder(
            parsed.subject, authority, parsed.public_key(), (now - _SKEW, ends), usages_of(spec)
        )
        with suppress(x509.ExtensionNotFound):
            names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            builder = builder.add_extension(names.value, critical=False)
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        request["status"]["certificate"] = base64.b64encode(pem).decode()


def _is_to_sign(request: Obj) -> bool:
    status = request.get("status") or {}
    true = {each.get("type") for each in status.get("conditions") or ()}
    approved = "Approved" in true and not {"Denied", "Failed"} & true
    return approved and not status.get("certificate") and request["spec"]["signerName"] in SIGNERS


def _add(request: Obj, condition: Obj, now: datetime) -> None:
    at = time_text(now)
    status = request.setdefault("status", {})
    made = {**condition, "lastUpdateTime": at, "lastTransitionTime": at}
    status["conditions"] = [*(status.get("conditions") or ()), made]
