"""Which proxy leads to an API server: the kubeconfig's, or HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

Only the choice belongs here. It follows Go's rules, which people's NO_PROXY is written for: loopback is never
proxied, and networks such as 10.96.0.0/12 are understood.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from minikubelet.apiclient.apierrors import KubeconfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from minikubelet.apiclient.apiconnection import Connection

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_for(connection: Connection, environment: Mapping[str, str]) -> str | None:
    """Answer the proxy's URL or None.

    Raises:
        KubeconfigError: the environment names a proxy of a kind that is not supported.
    """
    if connection.proxy_url:
        return connection.proxy_url
    server = urlsplit(connection.server)
    name = f"{server.scheme}_proxy"
    proxy = environment.get(name) or environment.get(name.upper())
    host = server.hostname or ""
    without = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if not proxy or _direct(host, server.port, without):
        return None
    url = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(url).scheme not in {"http", "https"}:
        raise KubeconfigError(
            "environment",
            name.upper(),
            "only proxies with http:// or https:// are supported; or set NO_PROXY",
        )
    return url


def _direct(host: str, port: int | None, without: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_covers(word.strip().lower(), host, port, address) for word in without.split(","))


def _covers(word: str, host: str, port: int | None, address: _Address | None) -> bool:
    """Say whether one word of NO_PROXY means this host (golang.org/x/net/http/httpproxy)."""
    if word == "*":
        return True
    if "/" in word:
        try:
            return address is not None and address in ipaddress.ip_network(word, strict=False)
        except ValueError:
            return False
    if port is not None:
        word = word.removesuffix(f":{port}")
    name = word.removeprefix("*").strip("[]")
    if not name:
        return False
    return host == name or (address is None and host.endswith("." + name.removeprefix(".")))
