"""Who may do what at the stub API server, over real TLS: tokens of every kind, certificates, roles."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from minikubelet.stubapi.stubcallers import read_token_file
from minikubelet.stubapi.stubsecurity import SecuritySetup
from tests.stubapi.request_world import CLIENT, CSRS, SERVING, Asked
from tests.stubapi.stubapi_world import PODS, World, pod, run

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
OWN = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
BOOTSTRAP = "abcdef.0123456789abcdef"


def bootstrap_secret(**more: str) -> dict[str, Any]:
    given = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        **more,
    }
    kind = "bootstrap.kubernetes.io/token"
    return {"metadata": {"name": "bootstrap-token-abcdef"}, "type": kind, "stringData": given}


@asynccontextmanager
async def other(
    world: World, token: str = "", pair: tuple[bytes, bytes] | None = None, folder: Path | None = None
) -> AsyncIterator[World]:
    """The same server, seen by somebody else: with a token, or with certificate and key."""
    context = ssl.create_default_context(cafile=str(world.server.ca_file))
    if pair is not None and folder is not None:
        path = folder / "pair.pem"
        path.write_bytes(b"".join(pair))
        context.load_cert_chain(path)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield World(world.server, session)


async def token_of(world: World, name: str, **spec: Any) -> str:
    answer = await world.good("POST", f"{ACCOUNTS}/{name}/token", {"spec": spec})
    return str(answer["status"]["token"])


def test_nobody_gets_in_without_showing_who_they_are(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        for token in ("", "wrong", BOOTSTRAP, "a.b.c", "e30.e30.", world.server.token + "x"):
            async with other(world, token) as stranger:
                for path in (PODS, "/api", "/apis", CSRS, "/openapi/v2"):
                    assert (await stranger.refused("GET", path))[:2] == (401, "Unauthorized")
                assert (await stranger.refused("POST", TOKENS, {"spec": {"token": "x"}}))[0] == 401

    run(tmp_path, check)


def test_a_bootstrap_token_may_ask_for_certificates_and_nothing_else(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        secrets = "/api/v1/namespaces/kube-system/secrets"
        await world.good("POST", secrets, bootstrap_secret())
        async with other(world, BOOTSTRAP) as node:
            made = await node.good("POST", CSRS, Asked().object())
            assert made["spec"]["username"] == "system:bootstrap:abcdef"
            assert "system:bootstrappers" in made["spec"]["groups"]
            code, reason, message = await node.refused("GET", PODS)
            assert (code, reason) == (403, "Forbidden")
            assert message == (
                'pods is forbidden: User "system:bootstrap:abcdef" cannot list resource "pods" in API group '
                '"" in the namespace "default"'
            )
            name = "bootstrap-token-abcdef"
            for wrong in ({"expiration": "2020-01-01T00:00:00Z"}, {"usage-bootstrap-authentication": "no"}):
                await world.good("DELETE", f"{secrets}/{name}")
                await world.good("POST", secrets, bootstrap_secret(**wrong))
                assert (await node.refused("GET", CSRS))[0] == 401

    run(tmp_path, check)


def test_an_accounts_token_is_believed_while_account_and_pod_are_there(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", ACCOUNTS, {"metadata": {"name": "robot"}})
        made = await world.good(
            "POST", PODS, pod(serviceAccountName="robot", terminationGracePeriodSeconds=0)
        )
        bound = {"kind": "Pod", "name": "web", "uid": made["metadata"]["uid"]}
        token = await token_of(world, "robot", boundObjectRef=bound, audiences=[])
        review = {"spec": {"token": token}}
        status = (await world.good("POST", TOKENS, review))["status"]
        assert status["authenticated"] is True
        assert status["user"]["username"] == "system:serviceaccount:default:robot"
        assert "system:serviceaccounts:default" in status["user"]["groups"]
        assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["web"]
        async with other(world, token) as robot:
            assert (await robot.refused("GET", PODS))[0] == 403
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
            who = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
            binding = {"metadata": {"name": "robot:view"}, "roleRef": role, "subjects": [who]}
            await world.good("POST", BINDINGS, binding)
            assert (await robot.good("GET", PODS))["kind"] == "PodList"
            assert (await robot.refused("DELETE", f"{PODS}/web"))[0] == 403
            await world.good("DELETE", f"{PODS}/web", {"gracePeriodSeconds": 0})
            assert (await robot.refused("GET", PODS))[0] == 401
        assert (await world.good("POST", TOKENS, review))["status"]["authenticated"] is False

    run(tmp_path, check)


def test_a_token_is_for_its_audience_and_its_time(tmp_path: Path) -> None:
    now = [datetime(2026, 3, 1, tzinfo=UTC)]

    async def check(world: World) -> None:
        await world.good("POST", ACCOUNTS, {"metadata": {"name": "robot"}})
        token = await token_of(world, "robot", audiences=["vault"], expirationSeconds=600)
        async with other(world, token) as robot:
            assert (await robot.refused("GET", PODS))[0] == 401
        asked = {"spec": {"token": token, "audiences": ["vault", "x"]}}
        status = (await world.good("POST", TOKENS, asked))["status"]
        assert (status["authenticated"], status["audiences"]) == (True, ["vault"])
        head, claims, signature = token.split(".")
        forged = f"{head}.{claims[:-2]}{'AA' if claims[-2:] != 'AA' else 'BB'}.{signature}"
        tried = {"spec": {"token": forged, "audiences": ["vault"]}}
        assert (await world.good("POST", TOKENS, tried))["status"]["authenticated"] is False
        now[0] += timedelta(seconds=601)
        assert (await world.good("POST", TOKENS, asked))["status"]["authenticated"] is False

    run(tmp_path, check, clock=lambda: now[0])


@pytest.mark.parametrize(
    ("account", "spec", "code", "text"),
    [
        ("absent", {}, 404, 'serviceaccounts "absent" not found'),
        ("robot", {"expirationSeconds": 599}, 422, "may not specify a duration less than 10 minutes"),
        ("robot", {"boundObjectRef": {"kind": "Pod", "name": "gone", "uid": "u"}}, 404, "not found"),
        ("robot", {"boundObjectRef": {"kind": "Pod", "name": "web", "uid": "other"}}, 409, "UID in record"),
        ("robot", {"boundObjectRef": {"kind": "Pod", "name": "web"}}, 400, "different serviceaccount name"),
        (
            "robot",
            {"boundObjectRef": {"kind": "Node", "name": "n"}},
            400,
            "cannot bind token to object of type",
        ),
        ("robot", {"audiences": "vault"}, 400, "cannot be read"),
    ],
)
def test_a_token_request_is_refused_as_upstream_does(
    tmp_path: Path, account: str, spec: dict[str, Any], code: int, text: str
) -> None:
    async def check(world: World) -> None:
        await world.good("POST", ACCOUNTS, {"metadata": {"name": "robot"}})
        await world.good("POST", PODS, pod())
        found = await world.refused("POST", f"{ACCOUNTS}/{account}/token", {"spec": spec})
        assert found[0] == code
        assert text in found[2]

    run(tmp_path, check)


def test_a_review_tells_what_somebody_may_do(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        async def may(user: str, groups: list[str], **wanted: str) -> bool:
            spec = {"user": user, "groups": groups, "resourceAttributes": wanted}
            return bool((await world.good("POST", ACCESS, {"spec": spec}))["status"]["allowed"])

        proxied = {"verb": "get", "resource": "nodes", "subresource": "proxy", "name": "n1"}
        assert await may("root", ["system:masters"], **proxied)
        assert not await may("jane", [], **proxied)
        role = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:kubelet-api-admin",
        }
        binding = {
            "metadata": {"name": "jane"},
            "roleRef": role,
            "subjects": [{"kind": "User", "name": "jane"}],
        }
        await world.good("POST", BINDINGS, binding)
        assert await may("jane", [], **proxied)
        assert not await may("jane", [], verb="get", resource="secrets", namespace="default")
        assert await may(
            "n", ["system:nodes"], verb="create", resource="serviceaccounts", subresource="token"
        )
        own = await world.good(
            "POST", OWN, {"spec": {"resourceAttributes": {"verb": "get", "resource": "x"}}}
        )
        assert own["status"]["allowed"] is True
        for wrong in ({}, {"user": "jane"}, {"user": 7}):
            assert (await world.refused("POST", ACCESS, {"spec": wrong}))[0] in {400, 422}

    run(tmp_path, check)


def test_a_role_in_a_namespace_is_for_that_namespace_and_those_names(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
        rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}
        await world.good("POST", f"{roles}/roles", {"metadata": {"name": "reader"}, "rules": [rule]})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
        who = {"kind": "Group", "name": "readers"}
        binding = {"metadata": {"name": "reader"}, "roleRef": role, "subjects": [who]}
        await world.good("POST", f"{roles}/rolebindings", binding)
        for name in ("a", "b"):
            await world.good("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": name}})
        async with other(world, "readers-token") as reader:
            assert (await reader.good("GET", "/api/v1/namespaces/default/configmaps/a"))[
                "kind"
            ] == "ConfigMap"
            for path in ("default/configmaps/b", "default/configmaps", "kube-system/configmaps/a"):
                assert (await reader.refused("GET", f"/api/v1/namespaces/{path}"))[0] == 403

    tokens = tmp_path / "tokens.csv"
    tokens.write_text('readers-token,ann,17,"readers,others"\n')
    run(tmp_path / "s", check, security=SecuritySetup(static=read_token_file(tokens)))


@pytest.mark.parametrize("line", ["only-a-token", "token,,uid", ",user,uid"])
def test_a_line_that_is_no_caller_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text(f'good,user,uid,"a,b"\n{line}\n')
    with pytest.raises(ValueError, match=r"tokens.csv: line 2: expected token,user,uid"):
        read_token_file(path)


async def issued(world: World, name: str = "csr") -> bytes:
    found = await world.good("GET", f"{CSRS}/{name}")
    return base64.b64decode(found["status"].get("certificate", ""))


def test_an_approved_request_is_signed_and_the_certificate_lets_its_holder_in(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        asked = Asked()
        await world.good("POST", CSRS, asked.object())
        assert await issued(world) == b""
        request = await world.good("GET", f"{CSRS}/csr")
        request["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "KubectlApprove"}]
        await world.good("PUT", f"{CSRS}/csr/approval", request)
        async with other(world, pair=(await issued(world), asked.key_pem()), folder=tmp_path) as node:
            assert (
                await node.good(
                    "POST", OWN, {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/x"}}}
                )
            )["status"]["allowed"] is False
            assert (await node.good("GET", "/api/v1/nodes"))["kind"] == "NodeList"
            assert (await node.refused("DELETE", "/api/v1/namespaces/default"))[0] == 403

    run(tmp_path / "s", check)


def test_nodes_are_approved_where_the_server_is_told_so(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", "/api/v1/namespaces/kube-system/secrets", bootstrap_secret())
        asked = Asked()
        async with other(world, BOOTSTRAP) as joining:
            await joining.good("POST", CSRS, asked.object("client"))
            await joining.good(
                "POST", CSRS, Asked("system:node:n1", "system:nodes", "n1").object("no", SERVING)
            )
        client = await issued(world, "client")
        async with other(world, pair=(client, asked.key_pem()), folder=tmp_path) as node:
            again = Asked("system:node:n1", "system:nodes", "n1", "192.0.2.7")
            await node.good("POST", CSRS, again.object("serving", SERVING))
            await node.good("POST", CSRS, Asked("system:node:n2").object("other"))
        assert await issued(world, "serving")
        assert not await issued(world, "other"), "a node may not become another one"
        assert not await issued(world, "no"), "who is no node yet gets no serving certificate"

    run(tmp_path / "s", check, security=SecuritySetup(approve_nodes=True))


@pytest.mark.parametrize(
    ("asked", "signer", "usages", "why"),
    [
        (Asked("system:node:n1", ""), CLIENT, ["client auth"], "organization is not system:nodes"),
        (Asked("root"), CLIENT, ["digital signature", "client auth"], "does not begin with system:node:"),
        (Asked(), CLIENT, ["digital signature", "server auth"], "usages did not match"),
        (
            Asked("system:node:n1", "system:nodes", "n1"),
            CLIENT,
            ["digital signature", "client auth"],
            "not allowed",
        ),
        (Asked(), SERVING, ["digital signature", "server auth"], "at least one DNS or IP"),
    ],
)
def test_a_signer_refuses_what_is_not_a_nodes(
    tmp_path: Path, asked: Asked, signer: str, usages: list[str], why: str
) -> None:
    async def check(world: World) -> None:
        await world.good("POST", CSRS, asked.object(signer=signer, usages=usages))
        patch = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "x"}]}}
        kind = "application/merge-patch+json"
        await world.good("PATCH", f"{CSRS}/csr/approval", patch, content=kind)
        status = (await world.good("GET", f"{CSRS}/csr"))["status"]
        assert "certificate" not in status
        failed = status["conditions"][-1]
        assert (failed["type"], failed["reason"]) == ("Failed", "SignerValidationFailure")
        assert why in failed["message"]

    run(tmp_path, check)


def test_what_was_asked_for_stays_and_only_approval_approves(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        made = await world.good("POST", CSRS, Asked().object())
        approved = {"conditions": [{"type": "Approved", "status": "True", "reason": "x"}]}
        tried = {**made, "spec": {**made["spec"], "username": "root"}, "status": approved}
        for path in (f"{CSRS}/csr", f"{CSRS}/csr/status"):
            changed = await world.good("PUT", path, {**tried, "metadata": {"name": "csr"}})
            assert changed["spec"] == made["spec"]
            assert not changed["status"].get("conditions")
        bad = Asked().object("bad", usages=["to fly"], expirationSeconds=1)
        bad["spec"]["request"] = "bm8="
        code, _, message = await world.refused("POST", CSRS, bad)
        assert code == 422
        assert all(field in message for field in ("spec.request", "spec.usages", "spec.expirationSeconds"))

    run(tmp_path, check)
