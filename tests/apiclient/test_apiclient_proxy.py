"""Which proxy is taken, by the kubeconfig or by the environment, and that requests really go through it."""

from __future__ import annotations

import socket
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp import web

from minikubelet.apiclient.apiconnection import Connection
from minikubelet.apiclient.apierrors import ApiUnreachable, KubeconfigError
from minikubelet.apiclient.apipaths import pods_path
from minikubelet.apiclient.apiproxy import proxy_for
from minikubelet.apiclient.apirequests import ApiClient
from tests.apiclient.apiclient_world import serving
from tests.running import run

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("server", "without", "proxied"),
    [
        ("https://api.example.com:6443", "", True),
        ("https://localhost:6443", "", False),
        ("https://127.0.0.3", "", False),
        ("https://[::1]:6443", "", False),
        ("https://api.example.com:6443", "*", False),
        ("https://api.example.com:6443", "example.com", False),
        ("https://api.example.com:6443", "other.com, .example.com", False),
        ("https://api.example.com:6443", "api.example.com:6443", False),
        ("https://api.example.com:6443", "api.example.com:443", True),
        ("https://api.example.com:6443", "ample.com", True),
        ("https://example.com", ".example.com", True),
        ("https://10.96.0.1", "10.96.0.0/12", False),
        ("https://10.96.0.1", "10.96.0.1", False),
        ("https://10.96.0.1", "0.1,10.0.0.0/16,nonsense/x", True),
        ("http://api.example.com", "", False),
    ],
)
def test_no_proxy_means_what_it_means_elsewhere(server: str, without: str, proxied: bool) -> None:
    found = proxy_for(Connection(server), {"HTTPS_PROXY": PROXY, "NO_PROXY": without})
    assert found == (PROXY if proxied else None)


def test_the_kubeconfig_wins_and_a_bare_host_is_http() -> None:
    assert (
        proxy_for(Connection("https://127.0.0.1", proxy_url="http://mine:1"), {"no_proxy": "*"})
        == "http://mine:1"
    )
    assert proxy_for(Connection("https://api"), {"https_proxy": "proxy:3128"}) == PROXY
    with pytest.raises(KubeconfigError, match="environment: HTTPS_PROXY: only proxies"):
        proxy_for(Connection("https://api"), {"HTTPS_PROXY": "socks5://p:1"})


def test_requests_go_through_the_proxy(tmp_path: Path) -> None:
    async def proxy(request: web.Request) -> web.Response:
        return web.json_response({"asked": request.raw_path, "host": request.headers["Host"]})

    async def main() -> None:
        async with serving(proxy, tmp_path, tls=False) as running:
            connection = Connection("http://api.invalid:8080", proxy_url=running.url)
            async with aclosing(ApiClient(connection)) as client:
                answer = await client.get_object(pods_path())
        assert answer["host"] == "api.invalid:8080"
        assert answer["asked"].endswith("/api/v1/pods")

    run(main())


def test_a_proxy_that_is_down_is_the_one_that_is_named() -> None:
    async def main() -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))  # bound but not listening
            proxy = f"http://127.0.0.1:{holder.getsockname()[1]}"
            async with aclosing(ApiClient(Connection("https://api.invalid", proxy_url=proxy))) as client:
                with pytest.raises(
                    ApiUnreachable, match="the proxy on the way cannot be reached: connection"
                ):
                    await client.get_object(pods_path())

    run(main())
