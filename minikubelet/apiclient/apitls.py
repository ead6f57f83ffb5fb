"""The TLS context of a connection, made anew when its certificates rotate.

Only `ssl` belongs here. Keys are secrets: no message holds any of them.
"""

from __future__ import annotations

import ssl
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from minikubelet.apiclient.apicredentials import Identity, WatchedMaterial
from minikubelet.apiclient.apierrors import ApiUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from minikubelet.apiclient.apiconnection import Connection


class TlsContexts:
    """Answers the same context as long as authority, certificate and key are the same.

    The connection pool tells connections apart by their context, so a new one means new connections.
    """

    def __init__(self, connection: Connection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._origin = connection.origin
        self._insecure = connection.insecure
        self._ca = WatchedMaterial(connection.ca, clock) if connection.ca is not None else None
        self._made_of: tuple[bytes | None, bytes | None, bytes | None] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self, identity: Identity) -> ssl.SSLContext:
        """Answer the context for an identity.

        Raises:
            ApiUnreachable: a certificate or key is unusable, and no earlier one is at hand.
        """
        ca = self._ca.content() if self._ca is not None else None
        parts = (ca, identity.certificate, identity.key)
        if self._context is None or parts != self._made_of:
            try:
                self._context = self._made(ca, identity)
                self._made_of = parts
            except ApiUnreachable:
                # Certificate and key are two files and rotate one after the other: for a moment they do not
                # match. The former context serves until they do.
                if self._context is None:
                    raise
        return self._context

    def _made(self, ca: bytes | None, identity: Identity) -> ssl.SSLContext:
        # Not ssl.create_default_context: from Python 3.13 on it is stricter (VERIFY_X509_STRICT) than the
        # authorities of many clusters are.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # An intermediate authority may be the one that is trusted, as with kubectl.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["http/1.1"])
        if self._insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif ca is not None:
            self._trust(context, ca)
        else:
            context.load_default_certs()
        if identity.certificate is not None and identity.key is not None:
            self._load_pair(context, identity.certificate, identity.key)
        return context

    def _trust(self, context: ssl.SSLContext, ca: bytes) -> None:
        try:
            context.load_verify_locations(cadata=ca.decode("ascii"))
        except (ssl.SSLError, ValueError):
            where = self._ca.name if self._ca is not None else "certificate-authority"
            raise ApiUnreachable(f"{self._origin}: {where}: is not a certificate in PEM") from None

    def _load_pair(self, context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
        # ssl loads only from files: they live for a moment, in a folder nobody else can enter (0700).
        try:
            with tempfile.TemporaryDirectory(prefix="minikubelet-tls-") as folder:
                certificate_file = _private_file(Path(folder) / "certificate", certificate)
                key_file = _private_file(Path(folder) / "key", key)
                # Without a password here, OpenSSL would ask the terminal for that of an encrypted key.
                context.load_cert_chain(certificate_file, key_file, password=lambda: b"")
        except ssl.SSLError as error:
            mismatch = error.reason == "KEY_VALUES_MISMATCH"
            problem = "do not belong together" if mismatch else "are not a certificate and a plain key in PEM"
            raise ApiUnreachable(f"{self._origin}: the client certificate and its key {problem}") from None
        except OSError as error:
            raise ApiUnreachable(f"the client certificate cannot be loaded: {error.strerror}") from None


def _private_file(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)
    return path
