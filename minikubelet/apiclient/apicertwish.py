"""Asking an API server for a certificate: the request, its object, and waiting for what becomes of it.

No files and no clock: keys and certificates come and go as PEM. Follows upstream's client-go
(util/certificate/csr) and pkg/kubelet/certificate: subjects, usages and names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minikubelet.apiclient.apierrors import ApiError
from minikubelet.apiclient.apipaths import signing_request_path, signing_requests_path
from minikubelet.ports.apiport import Changed, ChangeType, Listed

if TYPE_CHECKING:
    from minikubelet.ports.apiport import Api, JsonObject

GROUP: Final = "system:nodes"
CLIENT_SIGNER: Final = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER: Final = "kubernetes.io/kubelet-serving"


class CertificateRefused(Exception):
    """A request was denied, failed or vanished; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class CertificateWish:
    """What a certificate is to be for; `hosts` are names and addresses of a server."""

    signer: str
    name: str
    usage: str
    hosts: tuple[str, ...] = ()


def client_wish(node: str) -> CertificateWish:
    """A node's certificate towards the API server."""
    return CertificateWish(CLIENT_SIGNER, f"system:node:{node}", "client auth")


def serving_wish(node: str, hosts: tuple[str, ...]) -> CertificateWish:
    """A node's certificate for its own API."""
    return CertificateWish(SERVING_SIGNER, f"system:node:{node}", "server auth", hosts)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key of the kind that upstream's kubelet makes."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as a file holds it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def general_names(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    """Hosts as a certificate holds them."""
    return [_general(host) for host in hosts]


async def ask_certificate(
    api: Api, key: ec.EllipticCurvePrivateKey, wish: CertificateWish, *, once: bool = False
) -> bytes:
    """Ask for a certificate and wait for it, as long as it takes; the chain in PEM.

    With `once` the request's name follows from what is asked, so that asking again after a restart finds it.

    Raises:
        ApiError, ApiUnreachable: the request could not be made.
        CertificateRefused: it was denied, could not be signed, or is gone.
    """
    body = _request(key, wish, once=once)
    try:
        made = await api.create_object(signing_requests_path(), body)
    except ApiError as error:
        if not error.already_exists or not once:
            raise
        made = await api.get_object(signing_request_path(body["metadata"]["name"]))
    metadata = made["metadata"]
    chain = await _outcome(api, str(metadata["name"]), str(metadata["uid"]))
    try:
        certificate = x509.load_pem_x509_certificate(chain)
    except ValueError:
        raise CertificateRefused(f"the signer of {wish.signer} gave no certificate in PEM") from None
    if certificate.public_key() != key.public_key():
        raise CertificateRefused(f"the signer of {wish.signer} gave a certificate for another key")
    return chain


async def _outcome(api: Api, name: str, uid: str) -> bytes:
    selector = {"fieldSelector": f"metadata.name={name}"}
    async with aclosing(api.list_watch(signing_requests_path(), params=selector)) as items:
        async for item in items:
            match item:
                case Listed():
                    found = [each for each in item.items if each["metadata"].get("name") == name]
                case Changed(type=ChangeType.DELETED):
                    found = []
                case Changed():
                    found = [item.object]
                case _:
                    continue
            if not found or found[0]["metadata"].get("uid") != uid:
                raise CertificateRefused(f"the request {name} was deleted before it was answered")
            if chain := _judged(name, found[0]):
                return chain
    raise CertificateRefused(f"nobody follows the request {name} any more")


def _judged(name: str, request: JsonObject) -> bytes:
    """The certificate, empty while there is none."""
    status = request.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") in {"Denied", "Failed"} and condition.get("status", "True") == "True":
            words = condition.get("message") or condition.get("reason") or "no reason given"
            raise CertificateRefused(f"the request {name} was {str(condition['type']).lower()}: {words}")
    try:
        return base64.b64decode(status.get("certificate") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise CertificateRefused(f"the certificate of the request {name} is not valid base64") from None


def _request(key: ec.EllipticCurvePrivateKey, wish: CertificateWish, *, once: bool) -> JsonObject:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, GROUP),
            x509.NameAttribute(NameOID.COMMON_NAME, wish.name),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if wish.hosts:
        names = x509.SubjectAlternativeName(general_names(wish.hosts))
        builder = builder.add_extension(names, critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": f"node-csr-{_digest(key, wish)}"} if once else {"generateName": "csr-"},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": wish.signer,
            # An elliptic key enciphers no other keys.
            "usages": ["digital signature", wish.usage],
        },
    }


def _digest(key: ec.EllipticCurvePrivateKey, wish: CertificateWish) -> str:
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    words = "|".join((GROUP, wish.name, wish.signer, wish.usage, *wish.hosts))
    return hashlib.sha256(public + words.encode()).hexdigest()


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
