"""Tokens of service accounts: signed, bound to an account and perhaps a pod, and believed while both exist.

Belongs here: JSON web tokens (ES256), their key, the TokenRequest's rules. May not be here: HTTP, or other
kinds of tokens (`stubcallers`). Claims and messages as upstream's pkg/serviceaccount and
pkg/registry/core/serviceaccount/storage/token.go.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from minikubelet.stubapi.stubaccess import Caller
from minikubelet.stubapi.stubcerts import write_private
from minikubelet.stubapi.stubresources import PODS, SECRETS, SERVICEACCOUNTS, Obj, Resource, Target
from minikubelet.stubapi.stubrules import require, time_text
from minikubelet.stubapi.stubstatus import Cause, bad_request, conflict, invalid
from minikubelet.stubapi.stubstore import Key, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
"""who issues tokens, and the audience of those that name none"""
PREFIX: Final = "system:serviceaccount:"
_LEAST_SECONDS: Final = 600
_MOST_SECONDS: Final = 1 << 32
_LIFE_SECONDS: Final = 3600
_LONGEST: Final = timedelta(days=365)
_HALF: Final = 32
_BOUND: Final = {"Pod": PODS, "Secret": SECRETS}
_HEADER: Final = {"alg": "ES256", "typ": "JWT"}


class _Spec(msgspec.Struct, rename="camel"):
    audiences: list[str] | None = None
    expiration_seconds: int | None = None
    bound_object_ref: dict[str, str] | None = None


class _Named(msgspec.Struct):
    name: str
    uid: str


class _Bound(msgspec.Struct):
    namespace: str
    serviceaccount: _Named
    pod: _Named | None = None
    secret: _Named | None = None


class _Claims(msgspec.Struct):
    sub: str
    aud: list[str]
    exp: int
    nbf: int
    jti: str
    bound: _Bound = msgspec.field(name="kubernetes.io")


class ServiceTokens:
    """Issues and checks; the key is made once, 0600, in the server's directory."""

    def __init__(self, directory: Path, store: Store, clock: Callable[[], datetime]) -> None:
        self._key = _ensure_key(directory / "sa.key")
        self._store = store
        self._clock = clock

    def issue(self, target: Target, body: Obj) -> Obj:
        """Answer a TokenRequest for the account that `target` names; raises ApiError."""
        account = self._object(SERVICEACCOUNTS, target.namespace, target.name)
        spec = _read_spec(target, body)
        seconds = spec.expiration_seconds or _LIFE_SECONDS
        audiences = spec.audiences or [ISSUER]
        now = self._clock()
        ends = now + min(timedelta(seconds=seconds), _LONGEST)
        claims = {
            "iss": ISSUER,
            "sub": f"{PREFIX}{target.namespace}:{target.name}",
            "aud": audiences,
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(ends.timestamp()),
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": target.namespace,
                "serviceaccount": {"name": target.name, "uid": account["metadata"]["uid"]},
                **self._bound(target, spec.bound_object_ref or {}),
            },
        }
        asked = {key: value for key, value in (body.get("spec") or {}).items() if value is not None}
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": target.name, "namespace": target.namespace},
            "spec": {**asked, "audiences": audiences, "expirationSeconds": seconds},
            "status": {"token": self._signed(claims), "expirationTimestamp": time_text(ends)},
        }

    def caller(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> Caller | None:
        """Whose token it is, None for one that is not, not any more or not yet to be believed."""
        claims = self._verified(token)
        now = self._clock().timestamp()
        if claims is None or not claims.nbf - 1 <= now < claims.exp or not set(claims.aud) & set(audiences):
            return None
        bound = claims.bound
        if not self._same(SERVICEACCOUNTS, bound.namespace, bound.serviceaccount):
            return None
        extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims.jti}"]}
        for resource, named in ((PODS, bound.pod), (SECRETS, bound.secret)):
            if named is not None and not self._same(resource, bound.namespace, named):
                return None
        if bound.pod is not None:
            extra["authentication.kubernetes.io/pod-name"] = [bound.pod.name]
            extra["authentication.kubernetes.io/pod-uid"] = [bound.pod.uid]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{bound.namespace}")
        return Caller(name=claims.sub, groups=groups, uid=bound.serviceaccount.uid, extra=extra)

    def audiences(self, token: str) -> list[str]:
        """For whom a token is; empty for one that was not made here."""
        claims = self._verified(token)
        return claims.aud if claims is not None else []

    def _bound(self, target: Target, reference: dict[str, str]) -> dict[str, Any]:
        if not reference:
            return {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        if kind not in _BOUND:
            raise bad_request(f"cannot bind token to object of type {kind}; supported are Pod and Secret")
        found = self._object(_BOUND[kind], target.namespace, name)
        uid = found["metadata"]["uid"]
        if reference.get("uid") not in (None, "", uid):
            why = (
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in "
                "record. The object might have been deleted and then recreated"
            )
            raise conflict(_BOUND[kind], name, why)
        if kind == "Pod" and (found["spec"].get("serviceAccountName") or "default") != target.name:
            raise bad_request(
                f'cannot bind token for serviceaccount "{target.name}" to pod running with different '
                "serviceaccount name."
            )
        return {kind.lower(): {"name": name, "uid": uid}}

    def _object(self, resource: Resource, namespace: str, name: str) -> Obj:
        stored = self._store.get(resource, Key(namespace, name))
        return require(resource, name, stored.obj if stored is not None else None)

    def _same(self, resource: Resource, namespace: str, named: _Named) -> bool:
        stored = self._store.get(resource, Key(namespace, named.name))
        return stored is not None and stored.obj["metadata"]["uid"] == named.uid

    def _signed(self, claims: dict[str, Any]) -> str:
        text = f"{_encoded(msgspec.json.encode(_HEADER))}.{_encoded(msgspec.json.encode(claims))}"
        r, s = utils.decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encoded(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def _verified(self, token: str) -> _Claims | None:
        text, _, signature = token.rpartition(".")
        header, _, claims = text.partition(".")
        try:
            raw = _decoded(signature)
            pair = int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big")
            whole = utils.encode_dss_signature(*pair)
            self._key.public_key().verify(whole, text.encode(), ec.ECDSA(hashes.SHA256()))
            if msgspec.json.decode(_decoded(header)) != _HEADER:
                return None
            return msgspec.json.decode(_decoded(claims), type=_Claims)
        except (InvalidSignature, ValueError, msgspec.MsgspecError):
            return None


def _read_spec(target: Target, body: Obj) -> _Spec:
    try:
        spec = msgspec.convert(body.get("spec") or {}, _Spec)
    except msgspec.ValidationError as problem:
        raise bad_request(f"the TokenRequest cannot be read: {problem}") from problem
    seconds = spec.expiration_seconds
    if seconds is not None and not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        wrong = "less than 10 minutes" if seconds < _LEAST_SECONDS else "larger than 2^32 seconds"
        text = f"Invalid value: {seconds}: may not specify a duration {wrong}"
        raise invalid(target.resource, target.name, [Cause("spec.expirationSeconds", text)])
    return spec


def _ensure_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(path, pem)
    path.chmod(0o600)
    return key


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as problem:
        raise ValueError("no base64") from problem
