"""Who calls: from tokens and certificates to names and groups.

Belongs here: every way to show who one is. May not be here: what they may do then (`stubaccess`).
Tokens are secrets: none is in a message or a repr. Follows upstream's authenticators: a static token file
(`--token-auth-file`), bootstrap tokens in Secrets of kube-system, signed service account tokens, X.509.
"""

from __future__ import annotations

import base64
import csv
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from minikubelet.stubapi.stubaccess import MASTERS, Caller
from minikubelet.stubapi.stubresources import SECRETS, Obj
from minikubelet.stubapi.stubstore import Key, Store
from minikubelet.stubapi.stubtokens import ISSUER, ServiceTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

AUTHENTICATED: Final = "system:authenticated"
BOOTSTRAP_TYPE: Final = "bootstrap.kubernetes.io/token"
_ADMINISTRATOR: Final = Caller(name="kubernetes-admin", groups=(MASTERS,))
_ID_LENGTH, _SECRET_LENGTH = 6, 16

_log = structlog.get_logger(__name__)


class Callers:
    """Finds out who calls. `token` is the administrator's; `static` is what `read_token_file` gave."""

    def __init__(
        self,
        store: Store,
        tokens: ServiceTokens,
        *,
        token: str,
        static: Mapping[str, Caller],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._administrator = token.encode()
        self._static = static
        self._clock = clock

    def identify(self, authorization: str, certificate: Mapping[str, Any] | None) -> Caller | None:
        """The caller, None for one who cannot show who it is.

        `authorization` is the header as it came, `certificate` what `ssl` gives of a verified one.
        """
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer" and given.strip():
            return self.by_token(given.strip())
        return by_certificate(certificate)

    def by_token(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> Caller | None:
        """Whose token it is."""
        raw = token.encode("utf-8", "surrogateescape")
        # Compared as bytes and in constant time, all of them.
        found = _ADMINISTRATOR if hmac.compare_digest(raw, self._administrator) else None
        for known, caller in self._static.items():
            if hmac.compare_digest(raw, known.encode()):
                found = found or caller
        found = found or self._bootstrap(token) or self._tokens.caller(token, audiences)
        return None if found is None else _known(found)

    def _bootstrap(self, token: str) -> Caller | None:
        identity, dot, secret = token.partition(".")
        if not dot or len(identity) != _ID_LENGTH or len(secret) != _SECRET_LENGTH:
            return None
        stored = self._store.get(SECRETS, Key("kube-system", f"bootstrap-token-{identity}"))
        if stored is None or stored.obj.get("type") != BOOTSTRAP_TYPE:
            return None
        data = _plain(stored.obj)
        given = hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode("utf-8", "replace"))
        usable = data.get("usage-bootstrap-authentication") == "true" and data.get("token-id") == identity
        if not given or not usable or _is_over(data.get("expiration", ""), self._clock()):
            return None
        more = [each.strip() for each in data.get("auth-extra-groups", "").split(",")]
        groups = (
            "system:bootstrappers",
            *(each for each in more if each.startswith("system:bootstrappers:")),
        )
        return Caller(name=f"system:bootstrap:{identity}", groups=groups)


def read_token_file(path: Path | None) -> dict[str, Caller]:
    """Callers by token, from lines `token,user,uid,"group1,group2"`; raises OSError and ValueError."""
    if path is None:
        return {}
    found: dict[str, Caller] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file, skipinitialspace=True), 1):
            if not row or row[0].startswith("#"):
                continue
            token, name, uid, groups = (field.strip() for field in (*row[:4], "", "", "", "")[:4])
            if not token or not name or len(row) < len(("token", "user", "uid")):
                raise ValueError(f'{path}: line {number}: expected token,user,uid,"group1,group2"')
            given = tuple(each.strip() for each in groups.split(",") if each.strip())
            found[token] = Caller(name=name, uid=uid, groups=given)
    return found


def by_certificate(certificate: Mapping[str, Any] | None) -> Caller | None:
    """Common name and organisations of a client certificate, as upstream reads them."""
    parts = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    names = [str(value) for field, value in parts if field == "commonName"]
    groups = tuple(str(value) for field, value in parts if field == "organizationName")
    return _known(Caller(name=names[0], groups=groups)) if names and names[0] else None


def _known(caller: Caller) -> Caller:
    return Caller(
        name=caller.name, groups=(*caller.groups, AUTHENTICATED), uid=caller.uid, extra=caller.extra
    )


def _plain(secret: Obj) -> dict[str, str]:
    try:
        data = (secret.get("data") or {}).items()
        return {key: base64.b64decode(value, validate=True).decode() for key, value in data}
    except ValueError:  # no base64, or no text
        _log.warning("a bootstrap token cannot be read", secret=secret["metadata"]["name"])
        return {}


def _is_over(text: str, now: datetime) -> bool:
    if not text:
        return False
    try:
        ends = datetime.fromisoformat(text)
    except ValueError:
        return True
    return now >= ends.replace(tzinfo=ends.tzinfo or UTC)
