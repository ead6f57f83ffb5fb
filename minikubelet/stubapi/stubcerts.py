"""The TLS identity of the stub API server and its bearer token, made once and kept in its directory.

Files 0600. A certificate is renewed when its end is near or when the server listens elsewhere. No sockets.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

_CA_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
_CA_RENEW_BEFORE = _SERVER_LIFE + _RENEW_BEFORE
_SKEW = timedelta(hours=1)
_TOKEN_BYTES = 32
_EXTENDED = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}


class Identity(msgspec.Struct, frozen=True):
    """Where the files are that a server and its clients need."""

    ca_file: Path
    cert_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """A TLS context for the server's side."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert_file, self.key_file)
        # A client may show a certificate that this authority has signed.
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def ensure_token(directory: Path) -> str:
    """The token clients must bear, made at the first start."""
    path = directory / "token"
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        write_private(path, token.encode() + b"\n")
    path.chmod(0o600)
    return token


def ensure_identity(directory: Path, host: str, now: datetime) -> Identity:
    """The certificate authority and the server's certificate, made or renewed where needed.

    `host` is the address that is listened on; loopback addresses are always covered. `now` has a zone.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_path, ca_key_path = directory / "ca.crt", directory / "ca.key"
    cert_path, key_path = directory / "server.crt", directory / "server.key"
    ca, ca_key = _load(ca_path, ca_key_path)
    if ca is None or ca_key is None or ca.not_valid_after_utc - now < _CA_RENEW_BEFORE:
        ca, ca_key = _make_ca(now)
        _save(ca_path, ca, ca_key_path, ca_key)
    cert, key = _load(cert_path, key_path)
    if cert is None or key is None or not _still_good(cert, ca, host, now):
        cert, key = _make_server(ca, ca_key, host, now)
        _save(cert_path, cert, key_path, key)
    return Identity(ca_path, cert_path, key_path)


def load_authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority's certificate and key, which `ensure_identity` has made; raises OSError without them."""
    certificate, key = _load(directory / "ca.crt", directory / "ca.key")
    if certificate is None or key is None:
        raise OSError(f"{directory}: ca.crt and ca.key cannot be used")
    return certificate, key


def ensure_client_pair(directory: Path, now: datetime) -> Path:
    """The certificate with which this server calls nodes, and its key, in one file; made or renewed here."""
    path = directory / "kubelet-client.pem"
    authority, authority_key = load_authority(directory)
    held, _ = _load(path, path)
    ours = held is not None and held.issuer == authority.subject
    if held is not None and ours and held.not_valid_after_utc - now >= _RENEW_BEFORE:
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver-kubelet-client"),
        ]
    )
    life = (now - _SKEW, now + _SERVER_LIFE)
    builder = leaf_builder(subject, authority, key.public_key(), life, frozenset({"client auth"}))
    pem = builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    write_private(path, pem + _key_pem(key))
    return path


def leaf_builder(
    subject: x509.Name,
    authority: x509.Certificate,
    public: CertificatePublicKeyTypes,
    life: tuple[datetime, datetime],
    usages: frozenset[str],
) -> x509.CertificateBuilder:
    """A certificate of this authority, for the usages as the certificates API names them."""
    extended = [_EXTENDED[usage] for usage in sorted(usages & _EXTENDED.keys())]
    # Clients that are strict about RFC 5280 (Python's from 3.13 on) want both identifiers.
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(issuer, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            _usage(signs_certificates=False, enciphers_keys="key encipherment" in usages), critical=True
        )
    )
    return builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False) if extended else builder


def _load(
    cert_path: Path, key_path: Path
) -> tuple[x509.Certificate | None, ec.EllipticCurvePrivateKey | None]:
    try:
        cert = x509.load_pem_x509_certificate(cert_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None, None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        return None, None
    return cert, key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _save(cert_path: Path, cert: x509.Certificate, key_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(key_path, _key_pem(key))
    write_private(cert_path, cert.public_bytes(serialization.Encoding.PEM))


def _still_good(cert: x509.Certificate, ca: x509.Certificate, host: str, now: datetime) -> bool:
    try:
        cert.verify_directly_issued_by(ca)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - a certificate that cannot be checked, for whatever reason, is made anew
        return False
    return cert.not_valid_after_utc - now >= _RENEW_BEFORE and set(_names(host)) <= set(names)


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    try:
        extra: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not host.isascii():
            # Not a name a certificate can hold as it is; that it cannot be listened on is said elsewhere.
            return names
        extra = x509.DNSName(host)
    return names if extra in names else [*names, extra]


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool, enciphers_keys: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=enciphers_keys,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _make_ca(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own per authority, so that a client never mixes an old one up with its successor.
    subject = _subject(f"minikubelet stub CA {secrets.token_hex(4)}")
    builder = (
        _builder(subject, subject, key.public_key(), now, _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _make_server(
    ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, host: str, now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        _builder(_subject("minikubelet stub API"), ca.subject, key.public_key(), now, _SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(authority, critical=False)
    )
    return builder.sign(ca_key, hashes.SHA256()), key
