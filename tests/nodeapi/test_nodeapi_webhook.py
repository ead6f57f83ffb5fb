"""The node API asking a real API server over HTTP who its callers are and what they may do."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.model.settings import AuthenticationSettings, KubeletSettings, X509Settings
from tests.nodeapi.served_world import Served, every_route, served
from tests.running import run
from tests.stubapi.request_world import CSRS, Asked
from tests.stubapi.stubapi_world import World, running
from tests.stubapi.test_stubapi_security import BOOTSTRAP, bootstrap_secret

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
ROLE = "rbac.authorization.k8s.io"


@asynccontextmanager
async def joined(folder: Path) -> AsyncIterator[tuple[World, Served]]:
    """A stub API server, and a node API that asks it and believes certificates of its authority."""
    async with running(folder / "stub") as world:
        world.server.write_kubeconfig(folder / "admin.conf")
        client = ApiClient(load_kubeconfig(folder / "admin.conf"))
        authority = X509Settings(client_ca_file=str(world.server.ca_file))
        kubelet = KubeletSettings(authentication=AuthenticationSettings(x509=authority))
        try:
            async with served(folder, kubelet=kubelet, api=client) as node:
                yield world, node
        finally:
            await client.aclose()


async def account(world: World, name: str, role: str = "", rule: dict[str, Any] | None = None) -> str:
    """The token of a new account with a cluster role."""
    await world.good("POST", ACCOUNTS, {"metadata": {"name": name}})
    if rule is not None:
        await world.good("POST", f"{RBAC}/clusterroles", {"metadata": {"name": role}, "rules": [rule]})
    if role:
        subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
        reference = {"apiGroup": ROLE, "kind": "ClusterRole", "name": role}
        body = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        await world.good("POST", f"{RBAC}/clusterrolebindings", body)
    answer = await world.good("POST", f"{ACCOUNTS}/{name}/token", {})
    return str(answer["status"]["token"])


async def codes(
    node: Served, token: str, context: ssl.SSLContext | None = None
) -> dict[tuple[str, str], int]:
    """The code of every route for a caller; nothing is waited for but the head of the answer."""
    found = {}
    async with node.session(token, context=context) as session:
        for method, path in every_route():
            url = URL(f"{node.url}{path}")
            async with session.request("GET" if method == "HEAD" else method, url) as answer:
                found[method, path] = answer.status
    return found


def test_every_route_is_closed_to_whoever_has_no_right_and_open_to_whoever_has(state_dir: Path) -> None:
    async def main() -> None:
        async with joined(state_dir) as (world, node):
            await world.good("POST", "/api/v1/namespaces/kube-system/secrets", bootstrap_secret())
            for token in ("", "nobody", "a.b.c"):
                assert set((await codes(node, token)).values()) == {401}, token
            for token in (
                BOOTSTRAP,
                await account(world, "stranger"),
                await account(world, "viewer", "view"),
            ):
                assert set((await codes(node, token)).values()) == {403}
            admin = await codes(node, await account(world, "admin", "system:kubelet-api-admin"))
            assert not {401, 403} & set(admin.values())
            assert node.streams.calls == [], "no route without an upgrade reaches into a container"

    run(main())


@pytest.mark.parametrize(
    ("resource", "verbs", "opened"),
    [
        ("nodes/metrics", ["get"], {"/metrics", "/metrics/resource", "/metrics/probes"}),
        ("nodes/stats", ["get"], {"/stats/summary"}),
        ("nodes/healthz", ["get"], {"/healthz"}),
        ("nodes/pods", ["get"], {"/pods", "/pods/", "/runningpods", "/runningpods/"}),
        ("nodes/configz", ["get"], {"/configz"}),
    ],
)
def test_a_right_to_one_part_opens_that_part_alone(
    state_dir: Path, resource: str, verbs: list[str], opened: set[str]
) -> None:
    async def main() -> None:
        async with joined(state_dir) as (world, node):
            rule = {"apiGroups": [""], "resources": [resource], "verbs": verbs}
            found = await codes(node, await account(world, "part", "part", rule))
            assert {path for (_, path), code in found.items() if code != 403} == opened

    run(main())


def test_leave_to_read_everything_is_no_leave_to_reach_into_containers(state_dir: Path) -> None:
    async def main() -> None:
        async with joined(state_dir) as (world, node):
            parts = ["nodes/proxy", "nodes/stats", "nodes/metrics"]
            rule = {"apiGroups": [""], "resources": parts, "verbs": ["get"]}
            found = await codes(node, await account(world, "reader", "reader", rule))
            closed = {path.split("/")[1] for (_, path), code in found.items() if code == 403}
            assert closed == {"exec", "attach", "portForward", "run"}
            assert found["GET", "/containerLogs/default/web/main"] != 403

    run(main())


def test_a_certificate_of_the_clusters_authority_is_a_caller_like_any_other(state_dir: Path) -> None:
    """The API server itself calls so: what it may do hangs on its groups, and a node may not call another."""

    async def main() -> None:
        async with joined(state_dir) as (world, node):
            for number, (name, group, allowed) in enumerate(
                (("kube-apiserver", "system:masters", True), ("system:node:other", "system:nodes", False))
            ):
                asked, request = Asked(name, group), f"r{number}"
                signer = "kubernetes.io/kube-apiserver-client"
                await world.good("POST", CSRS, asked.object(request, signer))
                approved = {"conditions": [{"type": "Approved", "status": "True", "reason": "x"}]}
                await world.good(
                    "PATCH",
                    f"{CSRS}/{request}/approval",
                    {"status": approved},
                    content="application/merge-patch+json",
                )
                chain = base64.b64decode(
                    (await world.good("GET", f"{CSRS}/{request}"))["status"]["certificate"]
                )
                pair = state_dir / f"{request}.pem"
                pair.write_bytes(chain + asked.key_pem())
                context = node.node.client_context()
                context.load_cert_chain(pair)
                found = set((await codes(node, "", context)).values())
                assert (403 not in found) is allowed
                assert 401 not in found

    run(main())
