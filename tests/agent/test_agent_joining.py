"""Which credentials a life begins with: a kubeconfig that holds or has ended, a token for the first one."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from minikubelet.agent.agentplan import AgentPlan, Places, Upstream
from minikubelet.agent.joining import Joining
from minikubelet.apiclient.apiconnection import Connection
from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.apiclient.apirotation import RotationTimes
from minikubelet.model.settings import KubeletSettings, Settings
from minikubelet.stubapi.stubsecurity import SecuritySetup
from tests.running import eventually, run
from tests.stubapi.stubapi_world import World, running
from tests.stubapi.test_stubapi_security import BOOTSTRAP, bootstrap_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NODES = "/api/v1/nodes"


def plan(folder: Path, *, bootstrap: bool = True, rotate: bool = False) -> AgentPlan:
    return AgentPlan(
        settings=Settings(kubelet=KubeletSettings(rotate_certificates=rotate)),
        places=Places(folder, folder / "logs", None),
        node_name="n1",
        node_ips=("127.0.0.1",),
        upstream=Upstream.JOINED,
        kubeconfig=folder / "kubelet.conf",
        bootstrap_kubeconfig=folder / "bootstrap.conf" if bootstrap else None,
        cert_dir=folder / "pki",
    )


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[World]:
    """A server that lets nodes in, and a bootstrap kubeconfig for it."""
    async with running(folder / "s", security=SecuritySetup(approve_nodes=True)) as world:
        world.server.write_kubeconfig(folder / "admin.conf")
        content: dict[str, Any] = yaml.safe_load((folder / "admin.conf").read_text())
        content["users"][0]["user"] = {"token": BOOTSTRAP}
        (folder / "bootstrap.conf").write_text(yaml.safe_dump(content))
        await world.good("POST", "/api/v1/namespaces/kube-system/secrets", bootstrap_secret())
        yield world


async def joins(joining: Joining, certificates: Path | None = None) -> Connection:
    """Let it get in, and look with what it got; with `certificates` there has to be another one first."""
    before = _certificates(certificates)
    connection = joining.connection()
    client = ApiClient(connection)
    tasks = [asyncio.create_task(start()) for start in joining.tasks(client)]

    async def reads() -> bool:
        try:
            return bool(await client.get_object(NODES))
        except Exception:  # noqa: BLE001 - not let in yet, in whatever words
            return False

    try:
        if certificates is not None:
            await eventually(lambda: _certificates(certificates) != before, "another certificate")
        await eventually(reads, "the node to be let in")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()
    return connection


def _certificates(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*.pem")) if folder is not None else []


async def requests(world: World) -> int:
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    return len((await world.good("GET", path))["items"])


def test_a_node_asks_once_and_then_has_a_kubeconfig_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with cluster(tmp_path) as world:
            first = Joining(plan(tmp_path))
            await joins(first)
            assert first.bootstraps
            await eventually((tmp_path / "kubelet.conf").exists, "the kubeconfig")
            assert (tmp_path / "kubelet.conf").stat().st_mode & 0o777 == 0o600
            assert load_kubeconfig(tmp_path / "kubelet.conf").token is None
            assert not (tmp_path / "pki" / "kubelet-client.key.tmp").exists()
            second = Joining(plan(tmp_path))
            await joins(second)
            assert not second.bootstraps
            assert await requests(world) == 1

    run(main())


def test_a_certificate_that_ended_while_no_agent_ran_is_asked_for_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with cluster(tmp_path) as world:
            await joins(Joining(plan(tmp_path)))
            await eventually((tmp_path / "kubelet.conf").exists, "the kubeconfig")
            later = RotationTimes(now=lambda: datetime.now(UTC) + timedelta(days=400))
            again = Joining(plan(tmp_path), later)
            await joins(again, tmp_path / "pki")
            assert again.bootstraps
            assert await requests(world) == 2

    run(main())


def test_a_certificate_inside_a_kubeconfig_is_the_first_of_those_that_are_rotated(tmp_path: Path) -> None:
    """As bootstrap tools leave it; without rotation it is used as it stands, and nothing runs besides."""

    async def main() -> None:
        async with cluster(tmp_path):
            await joins(Joining(plan(tmp_path)))
            conf = tmp_path / "kubelet.conf"
            await eventually(conf.exists, "the kubeconfig")
            content: dict[str, Any] = yaml.safe_load(conf.read_text())
            assert content["users"][0]["user"]["client-key"].endswith("/pki/kubelet-client-current.pem")
            pair = (tmp_path / "pki" / "kubelet-client-current.pem").read_bytes()
            pem = base64.b64encode(pair).decode()
            content["users"][0]["user"] = {"client-certificate-data": pem, "client-key-data": pem}
            conf.write_text(yaml.safe_dump(content))
            for each in (tmp_path / "pki").iterdir():
                each.unlink()
            plain = Joining(plan(tmp_path, bootstrap=False))
            assert plain.connection().certificate is not None
            async with client_of(plain) as client:
                assert plain.tasks(client) == ()
            assert not list((tmp_path / "pki").iterdir())
            rotating = Joining(plan(tmp_path, bootstrap=False, rotate=True))
            connection = await joins(rotating)
            assert connection.certificate is not None
            assert connection.certificate.path == tmp_path / "pki" / "kubelet-client-current.pem"
            async with client_of(rotating) as client:
                assert len(rotating.tasks(client)) == 1

    run(main())


@asynccontextmanager
async def client_of(joining: Joining) -> AsyncIterator[ApiClient]:
    client = ApiClient(joining.connection())
    try:
        yield client
    finally:
        await client.aclose()
