"""kubectl on roles, tokens and certificates: a session of commands against one server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.stubapi.request_world import CSRS, Asked
from tests.stubapi.stubapi_world import running
from tests.stubapi.test_stubapi_kubectl import Kubectl

pytestmark = pytest.mark.kubectl


def test_rights_are_given_and_asked_for(tmp_path: Path) -> None:
    """What kubectl makes of roles takes effect, and `auth can-i` says so."""

    async def main() -> None:
        async with running(tmp_path / "state") as world:
            kubectl = Kubectl(world, tmp_path)
            assert (await kubectl.says("auth", "can-i", "delete", "nodes")).strip() == "yes"
            await kubectl.says("create", "serviceaccount", "robot")
            await kubectl.says("create", "role", "reader", "--verb=get,list", "--resource=pods")
            await kubectl.says(
                "create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:robot"
            )
            answer = await world.good("POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", {})
            token = answer["status"]["token"]
            # Credentials of the kubeconfig come before a token of the command line, so it gets its own.
            config = (tmp_path / "kubeconfig").read_text().replace(world.server.token, token)
            (tmp_path / "robot.conf").write_text(config)
            mine = {"KUBECONFIG": str(tmp_path / "robot.conf")}
            assert (await kubectl.says("auth", "can-i", "list", "pods", **mine)).strip() == "yes"
            code, out, _ = await kubectl.ends("auth", "can-i", "delete", "pods", **mine)
            assert (code, out.strip()) == (1, "no")
            code, _, err = await kubectl.ends("get", "nodes", **mine)
            assert code == 1
            assert 'User "system:serviceaccount:default:robot" cannot list resource "nodes"' in err
            await kubectl.says("create", "clusterrolebinding", "all", "--clusterrole=view", "--group=readers")
            shown = await kubectl.says("get", "clusterrolebindings", "-o", "wide")
            assert "ClusterRole/view" in shown
            assert "cluster-admin" in await kubectl.says("get", "clusterroles")

    asyncio.run(main())


def test_a_request_is_denied_by_a_person(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path / "state") as world:
            kubectl = Kubectl(world, tmp_path)
            await world.good("POST", CSRS, Asked().object())
            assert "Pending" in await kubectl.says("get", "csr")
            await kubectl.says("certificate", "deny", "csr")
            assert "Denied" in await kubectl.says("get", "csr")
            assert "certificate" not in (await world.good("GET", f"{CSRS}/csr"))["status"]

    asyncio.run(main())
