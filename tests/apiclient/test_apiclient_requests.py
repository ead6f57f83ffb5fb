"""Requests against a real server on loopback: bodies, errors, deadlines, connections."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from minikubelet.apiclient.apiconnection import Connection, Material
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apipaths import api_path, lease_path, node_status_path, pod_path, pods_path
from minikubelet.apiclient.apirequests import ApiClient, Timeouts
from minikubelet.ports.apiport import Api, PatchKind
from tests.apiclient.apiclient_world import Authority, pod, pod_list, serving
from tests.running import run


async def echo(request: web.Request) -> web.Response:
    """Answers what it was asked."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "query": dict(request.query),
            "type": request.headers.get("Content-Type"),
            "accepts": request.headers.get("Accept-Encoding"),
            "agent": request.headers["User-Agent"],
            "peer": list(peer or ()),
            "body": json.loads(await request.read() or b"null"),
        }
    )


def refusing(status: int, body: Any, **headers: str) -> Any:
    async def handler(_: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    return handler


def refusal(folder: Path, handler: Any) -> ApiError:
    caught: list[ApiError] = []

    async def main() -> None:
        async with (
            serving(handler, folder) as server,
            aclosing(ApiClient(server.connection())) as client,
        ):
            with pytest.raises(ApiError) as raised:
                await client.get_object(pods_path())
            caught.append(raised.value)

    run(main())
    return caught[0]


def unreachable(connection: Connection, timeouts: Timeouts | None = None) -> str:
    said: list[str] = []

    async def main() -> None:
        async with aclosing(ApiClient(connection, timeouts=timeouts)) as client:
            with pytest.raises(ApiUnreachable) as raised:
                await client.get_object(pods_path())
            said.append(str(raised.value))

    run(main())
    return said[0]


def test_each_verb_sends_what_the_api_expects(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            serving(echo, tmp_path) as server,
            aclosing(ApiClient(server.connection(), user_agent="minikubelet/1 (n1)")) as client,
        ):
            api: Api = client
            path = pod_path("default", "a")
            got = await api.get_object(path)
            assert (got["method"], got["path"], got["body"]) == (
                "GET",
                "/api/v1/namespaces/default/pods/a",
                None,
            )
            assert (got["agent"], got["accepts"]) == ("minikubelet/1 (n1)", "gzip")
            created = await api.create_object(pods_path("default"), pod("a", ""))
            assert (created["method"], created["body"]) == ("POST", pod("a", ""))
            assert created["type"] == "application/json"
            assert (await api.replace_object(path, {"x": 1}))["method"] == "PUT"
            patched = await api.patch_object(path, {"status": {}})
            assert (patched["method"], patched["type"]) == (
                "PATCH",
                "application/strategic-merge-patch+json",
            )
            patched = await api.patch_object(path, [{"op": "remove", "path": "/x"}], PatchKind.JSON)
            assert patched["type"] == "application/json-patch+json"
            assert patched["body"] == [{"op": "remove", "path": "/x"}]
            deleted = await api.delete_object(path, grace_seconds=0, uid="u1")
            assert deleted["body"] == {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u1"},
            }
            selector = "spec.nodeName=a&b,c!=d +"
            answer = await client.request("GET", path, params={"fieldSelector": selector})
            assert answer["query"] == {"fieldSelector": selector}

    run(main())


def test_requests_share_one_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(echo, tmp_path) as server:
            async with aclosing(ApiClient(server.connection())) as client:
                peers = {tuple((await client.get_object(pods_path()))["peer"]) for _ in range(5)}
                assert len(peers) == 1
            with pytest.raises(ApiUnreachable, match="has been closed"):
                await client.get_object(pods_path())

    run(main())


def test_a_server_behind_a_path_and_plain_http_work(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            serving(echo, tmp_path, tls=False) as server,
            aclosing(ApiClient(Connection(server=server.url + "/clusters/c1", compress=False))) as client,
        ):
            answer = await client.get_object(node_status_path("n1"))
            assert answer["path"] == "/clusters/c1/api/v1/nodes/n1/status"
            assert answer["accepts"] == "identity"

    run(main())


def test_packed_answers_are_unpacked_and_lists_complete(tmp_path: Path) -> None:
    async def handler(_: web.Request) -> web.Response:
        body = gzip.compress(json.dumps(pod_list(pod("a", "1"), version="4")).encode())
        return web.Response(body=body, headers={"Content-Encoding": "gzip"}, content_type="application/json")

    async def main() -> None:
        async with (
            serving(handler, tmp_path) as server,
            aclosing(ApiClient(server.connection())) as client,
        ):
            listed = await client.list_objects(pods_path())
            assert (listed.items, listed.resource_version) == ((pod("a", "1"),), "4")

    run(main())


@pytest.mark.parametrize(
    ("status", "reason", "is_so"),
    [
        (404, "NotFound", "not_found"),
        (409, "Conflict", "conflict"),
        (409, "AlreadyExists", "already_exists"),
        (410, "Expired", "gone"),
        (429, "TooManyRequests", "too_many_requests"),
        (401, "Unauthorized", "unauthorized"),
    ],
)
def test_a_refusal_is_told_apart(tmp_path: Path, status: int, reason: str, is_so: str) -> None:
    body = {"kind": "Status", "code": status, "reason": reason, "message": "no", "details": {"name": "a"}}
    error = refusal(tmp_path, refusing(status, body))
    assert (error.status, error.reason, error.message) == (status, reason, "no")
    assert error.details == {"name": "a"}
    kinds = ("not_found", "conflict", "already_exists", "gone", "too_many_requests", "unauthorized")
    assert [kind for kind in kinds if getattr(error, kind)] == [is_so]


def test_the_wait_a_server_asks_for_is_surfaced(tmp_path: Path) -> None:
    error = refusal(tmp_path, refusing(503, "overloaded", **{"Retry-After": "7"}))
    assert (error.reason, error.message, error.retry_after) == ("ServiceUnavailable", "overloaded", 7.0)
    past = refusal(tmp_path, refusing(429, "", **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    assert (past.message, past.retry_after) == ("the API server answered TooManyRequests", 0.0)
    detail = {"kind": "Status", "details": {"retryAfterSeconds": 3}}
    assert refusal(tmp_path, refusing(429, detail)).retry_after == 3.0
    assert refusal(tmp_path, refusing(429, "x", **{"Retry-After": "soon"})).retry_after is None
    assert refusal(tmp_path, refusing(503, "x", **{"Retry-After": "86400"})).retry_after == 30.0
    silencing = {"kind": "Status", "details": {"retryAfterSeconds": 86_400}}
    assert refusal(tmp_path, refusing(429, silencing)).retry_after == 30.0


def test_a_page_of_html_becomes_a_short_message(tmp_path: Path) -> None:
    error = refusal(tmp_path, refusing(502, "<html>\n  Bad\n gateway" + "x" * 10_000))
    assert error.message.startswith("<html> Bad gateway")
    assert len(error.message) <= 300


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    assert refusal(tmp_path, refusing(302, "", Location="https://192.0.2.1/")).status == 302


def test_a_success_that_is_no_json_is_no_api_server(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            serving(refusing(200, "<html>welcome</html>"), tmp_path) as server,
            aclosing(ApiClient(server.connection())) as client,
        ):
            with pytest.raises(ApiUnreachable, match="is it a Kubernetes API server"):
                await client.get_object(pods_path())

    run(main())


def test_nobody_listening_is_one_plain_sentence() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can take the port meanwhile
        url = f"https://127.0.0.1:{holder.getsockname()[1]}"
        said = unreachable(Connection(server=url))
    assert said == f"cannot reach {url} for GET /api/v1/pods: connection refused"


def test_a_server_that_does_not_answer_meets_the_deadline(tmp_path: Path) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def main() -> None:
        async with (
            serving(silent, tmp_path) as server,
            aclosing(ApiClient(server.connection())) as client,
        ):
            with pytest.raises(ApiUnreachable, match=r"to GET /api/v1/pods within 0\.2 s"):
                await client.request("GET", pods_path(), deadline_seconds=0.2)

    run(main())


def test_a_connection_closed_without_answer_is_unreachable(tmp_path: Path) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def main() -> None:
        async with (
            serving(hang_up, tmp_path) as server,
            aclosing(ApiClient(server.connection())) as client,
        ):
            with pytest.raises(ApiUnreachable, match="cannot reach https"):
                await client.create_object(pods_path("default"), {})

    run(main())


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (
            {"ca": Material("certificate-authority", inline=Authority("other").pem)},
            "its certificate is not trusted",
        ),
        ({"ca": Material("certificate-authority", inline=b"no pem")}, "certificate-authority: is not a cert"),
        ({"tls_server_name": "other.test"}, "Hostname mismatch"),
        ({"token": "a\nb"}, "the bearer token holds line breaks"),
    ],
)
def test_what_must_not_be_trusted_or_sent_is_not(tmp_path: Path, more: dict[str, Any], what: str) -> None:
    async def main() -> None:
        async with (
            serving(echo, tmp_path) as server,
            aclosing(ApiClient(server.connection(**more))) as client,
        ):
            with pytest.raises(ApiUnreachable, match=what):
                await client.get_object(pods_path())

    run(main())


def test_a_server_name_or_no_verification_reach_a_server_of_another_name(tmp_path: Path) -> None:
    pair = Authority("stranger").issue("api", ("elsewhere.test",))

    async def main() -> None:
        async with (
            serving(echo, tmp_path, pair=pair) as server,
            aclosing(ApiClient(Connection(server=server.url, insecure=True))) as client,
        ):
            assert (await client.get_object(pods_path()))["method"] == "GET"
        async with (
            serving(echo, tmp_path) as server,
            aclosing(ApiClient(server.connection(tls_server_name="api.test"))) as client,
        ):
            assert (await client.get_object(pods_path()))["method"] == "GET"

    run(main())


def test_names_are_escaped_in_paths_and_climbing_ones_refused() -> None:
    assert pod_path("ns", "a/b c") == "/api/v1/namespaces/ns/pods/a%2Fb%20c"
    assert lease_path("n1") == "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"
    for name in ("", ".", ".."):
        with pytest.raises(ValueError, match="no name of an API object"):
            api_path("api", name)
