"""The node API's serving certificate: the configured files, or a self-signed one kept in the state directory.

Belongs here: files, 0600, made and renewed; TLS contexts. May not be here: who may do what.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE: Final = timedelta(days=365)
_RENEW_BEFORE: Final = timedelta(days=30)
_SKEW: Final = timedelta(hours=1)


class CertificateFault(Exception):
    """The serving certificate or the client authority cannot be used; the text says which file and why."""


class ServingFiles(msgspec.Struct, frozen=True):
    """A certificate and its key, in PEM; `made` if this module made them."""

    certificate: Path
    key: Path
    made: bool


def serving_files(directory: Path, certificate: str, key: str) -> ServingFiles:
    """The configured files if there are any, else those in `directory`; raises CertificateFault."""
    if bool(certificate) != bool(key):
        raise CertificateFault("tlsCertFile and tlsPrivateKeyFile go together; set both or none")
    if certificate:
        return ServingFiles(Path(certificate), Path(key), made=False)
    return ServingFiles(directory / "kubelet.crt", directory / "kubelet.key", made=True)


def ensure_certificate(files: ServingFiles, names: Sequence[str], now: datetime) -> None:
    """Make the self-signed certificate for these names and addresses, or renew it near its end."""
    if not files.made or _still_good(files, names, now):
        return
    try:
        files.certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _make(key, names, now)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(files.key, pem)
        _write(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    except OSError as error:
        raise CertificateFault(f"{files.certificate} cannot be written: {error.strerror}") from error


def client_context(files: ServingFiles) -> ssl.SSLContext:
    """A client's side that believes this serving certificate, as it is on disk now, and no other."""
    context = ssl.create_default_context(cafile=str(files.certificate))
    # Known by its certificate, which may be for another name, and need not be self-signed.
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def server_context(files: ServingFiles, client_ca: str) -> ssl.SSLContext:
    """The server's side; with `client_ca` a client may show a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, files)
    if client_ca:
        try:
            context.load_verify_locations(client_ca)
        except OSError as error:  # ssl.SSLError is one
            raise CertificateFault(
                f"authentication.x509.clientCAFile {client_ca} cannot be used: {error}"
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def load_certificate(context: ssl.SSLContext, files: ServingFiles) -> None:
    """Take the certificate from its files; connections that are open keep theirs."""
    try:
        context.load_cert_chain(files.certificate, files.key)
    except OSError as error:
        raise CertificateFault(
            f"{files.certificate} with {files.key} cannot be used as serving certificate: {error}"
        ) from error


def _still_good(files: ServingFiles, names: Sequence[str], now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
        files.key.chmod(0o600)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    fresh = certificate.not_valid_after_utc - now >= _RENEW_BEFORE
    return fresh and key.public_key() == certificate.public_key() and set(_general(names)) <= set(held)


def _general(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in ("localhost", "127.0.0.1", "::1", *names):
        try:
            made: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            if not name.isascii():
                continue
            made = x509.DNSName(name)
        if made not in found:
            found.append(made)
    return found


def _make(key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{names[0][:50]}@minikubelet")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general(names)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,  # it vouches for itself
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)
