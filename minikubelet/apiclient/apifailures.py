"""A failed connection in a few plain words.

Only wording belongs here: nothing is caught or raised, and nothing secret is repeated.
"""

from __future__ import annotations

import errno
import os
import socket

import aiohttp


def plain_words(error: BaseException) -> str:
    """Say why a connection failed, without class names and without anything secret."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or "it cannot be verified"
        return (
            f"its certificate is not trusted: {why.rstrip('.')} "
            "(see certificate-authority and tls-server-name in the kubeconfig)"
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        reason = getattr(error.os_error, "reason", None) or "handshake failed"
        return f"TLS failed: {str(reason).replace('_', ' ').lower()}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy on the way cannot be reached: {_os_words(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _os_words(error.os_error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refused with status {error.status}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "it closed the connection in the middle of an answer"
    if isinstance(error, OSError):
        return _os_words(error)
    if type(error) is aiohttp.ClientConnectionError:  # this program's own words
        return str(error)
    return "it does not speak HTTP as expected"


def _os_words(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved: {error.strerror}"
    reason = getattr(error, "reason", None)
    if reason:  # of ssl.SSLError
        return f"TLS failed: {str(reason).replace('_', ' ').lower()}"
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()
    return error.strerror or "the connection failed"
