"""A stock kubectl at work: each test is a session of commands against one server."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.stubapi.stubapi_world import PATIENCE, PODS, World, pod, running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.kubectl
MANIFEST = """
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
spec:
  nodeName: node1
  containers:
  - name: main
    image: busybox:1.36
    env: [{name: COLOR, value: red}]
"""


class Kubectl:
    """Runs kubectl with the kubeconfig of a server."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        world.server.write_kubeconfig(directory / "kubeconfig")
        self._env = {
            **os.environ,
            "KUBECONFIG": str(directory / "kubeconfig"),
            "HOME": str(directory),
            "KUBECACHEDIR": str(directory / "cache"),
        }

    async def start(self, *words: str, **env: str) -> asyncio.subprocess.Process:
        """Start a command and leave it running."""
        return await asyncio.create_subprocess_exec(
            "kubectl",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._env, **env},
        )

    async def ends(self, *words: str, **env: str) -> tuple[int | None, str, str]:
        """Exit code, output and errors of a command."""
        process = await self.start(*words, **env)
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            pytest.fail(f"kubectl {words} did not end: {out!r} {err!r}")
        return process.returncode, out.decode(), err.decode()

    async def says(self, *words: str, **env: str) -> str:
        """The output of a command that must succeed."""
        code, out, err = await self.ends(*words, **env)
        assert code == 0, f"kubectl {' '.join(words)}: {err}"
        return out

    async def rows(self, *words: str) -> list[list[str]]:
        """A table's lines in words, the header first."""
        return [line.split() for line in (await self.says(*words)).splitlines()]

    def file(self, text: str = MANIFEST, name: str = "pod.yaml") -> str:
        """The path of a manifest with this text."""
        path = self.directory / name
        path.write_text(text)
        return str(path)


def session(directory: Path, test: Callable[[Kubectl], Awaitable[None]], **options: Any) -> None:
    """Run a session against a server of its own."""

    async def main() -> None:
        async with asyncio.timeout(100), running(directory / "state", **options) as world:
            await test(Kubectl(world, directory))

    asyncio.run(main())


async def _runs(world: World, name: str = "web") -> None:
    state = {
        "name": "main",
        "ready": True,
        "restartCount": 2,
        "state": {"running": {}},
        "image": "",
        "imageID": "",
    }
    status = {"phase": "Running", "podIP": "10.0.0.9", "containerStatuses": [state]}
    merge = "application/merge-patch+json"
    await world.good("PATCH", f"{PODS}/{name}/status", {"status": status}, content=merge)


def test_create_and_get_in_every_form(tmp_path: Path) -> None:
    async def check(kubectl: Kubectl) -> None:
        assert (await kubectl.says("create", "-f", kubectl.file())) == "pod/web created\n"
        code, _, err = await kubectl.ends("create", "-f", kubectl.file())
        assert code != 0
        assert 'pods "web" already exists' in err
        await _runs(kubectl.world)
        header, row = await kubectl.rows("get", "pods", "-A")
        assert header == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
        assert row[:5] == ["default", "web", "1/1", "Running", "2"]
        header, row = await kubectl.rows("get", "pods", "-o", "wide")
        assert (row[5], row[6]) == ("10.0.0.9", "node1")
        assert "NOMINATED" in header
        assert "image: busybox:1.36" in await kubectl.says("get", "pod", "web", "-o", "yaml")
        listed = json.loads(await kubectl.says("get", "pods", "-l", "app in (web)", "-o", "json"))
        assert [item["metadata"]["name"] for item in listed["items"]] == ["web"]
        assert (await kubectl.says("get", "po", "-l", "app!=web", "-o", "name")) == ""
        assert (
            await kubectl.says("get", "pods", "--field-selector", "spec.nodeName=node1", "-o", "name")
        ) == ("pod/web\n")
        code, _, err = await kubectl.ends("get", "pod", "absent")
        assert (code, err.strip()) == (1, 'Error from server (NotFound): pods "absent" not found')

    session(tmp_path, check)


def test_apply_creates_then_changes_then_leaves_alone(tmp_path: Path) -> None:
    async def check(kubectl: Kubectl) -> None:
        assert (await kubectl.says("apply", "-f", kubectl.file())) == "pod/web created\n"
        assert (await kubectl.says("apply", "-f", kubectl.file())) == "pod/web unchanged\n"
        newer = MANIFEST.replace("1.36", "1.37").replace("{app: web}", "{app: web, tier: front}")
        assert (await kubectl.says("apply", "-f", kubectl.file(newer))) == "pod/web configured\n"
        stored = await kubectl.world.good("GET", f"{PODS}/web")
        assert stored["spec"]["containers"][0]["image"] == "busybox:1.37"
        assert stored["metadata"]["labels"] == {"app": "web", "tier": "front"}
        code, _, err = await kubectl.ends("apply", "-f", kubectl.file(MANIFEST.replace("red", "blue")))
        assert code != 0
        assert "pod updates may not change fields other than" in err
        config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n"
        assert (await kubectl.says("apply", "-f", kubectl.file(config, "c.yaml"))) == "configmap/c created\n"
        assert (await kubectl.rows("get", "cm"))[1][:2] == ["c", "1"]

    session(tmp_path, check)


def test_label_annotate_patch_and_edit(tmp_path: Path) -> None:
    async def check(kubectl: Kubectl) -> None:
        await kubectl.says("create", "-f", kubectl.file())
        await kubectl.says("label", "pod", "web", "color=red")
        await kubectl.says("annotate", "pod", "web", "note=hello")
        await kubectl.says("patch", "pod", "web", "--type=merge", "-p", '{"metadata":{"labels":{"m":"1"}}}')
        operations = '[{"op":"add","path":"/metadata/labels/j","value":"2"}]'
        await kubectl.says("patch", "pod", "web", "--type=json", "-p", operations)
        strategic = '{"spec":{"containers":[{"name":"main","image":"busybox:2"}]}}'
        await kubectl.says("patch", "pod", "web", "-p", strategic)
        editor = tmp_path / "editor"
        editor.write_text('#!/bin/sh\nsed -i "s/color: red/color: green/" "$1"\n')
        editor.chmod(0o700)
        await kubectl.says("edit", "pod", "web", KUBE_EDITOR=str(editor))
        stored = await kubectl.world.good("GET", f"{PODS}/web")
        assert stored["metadata"]["labels"] == {"app": "web", "color": "green", "m": "1", "j": "2"}
        assert stored["metadata"]["annotations"]["note"] == "hello"
        assert stored["spec"]["containers"][0]["image"] == "busybox:2"
        await kubectl.says("label", "pod", "web", "color-")
        assert "color" not in (await kubectl.world.good("GET", f"{PODS}/web"))["metadata"]["labels"]
        code, _, _ = await kubectl.ends("apply", "--server-side", "-f", kubectl.file())
        assert code != 0

    session(tmp_path, check)


def test_delete_waits_for_the_kubelet_and_force_does_not(tmp_path: Path) -> None:
    async def check(kubectl: Kubectl) -> None:
        await kubectl.says("create", "-f", kubectl.file())
        async with kubectl.world.watching(PODS) as watch:
            assert await watch.brief() == ("ADDED", "web")
            deleting = await kubectl.start("delete", "pod", "web", "--wait=true")
            assert await watch.brief() == ("MODIFIED", "web")
            assert (await kubectl.rows("get", "pods"))[1][2] == "Terminating"
            await kubectl.world.good("DELETE", f"{PODS}/web", {"gracePeriodSeconds": 0})
            async with asyncio.timeout(PATIENCE):
                out, err = await deleting.communicate()
        assert (deleting.returncode, err) == (0, b"")
        assert b'pod "web" deleted' in out
        await kubectl.says("create", "-f", kubectl.file())
        await kubectl.says("delete", "pod", "web", "--force", "--grace-period=0")
        assert (await kubectl.says("get", "pods", "-o", "name")) == ""
        await kubectl.says("create", "-f", kubectl.file(MANIFEST.replace("nodeName: node1", "priority: 0")))
        await kubectl.says("delete", "pods", "--all")
        await kubectl.says("create", "namespace", "mine")
        await kubectl.says("create", "configmap", "c", "--from-literal=a=b", "-n", "mine")
        await kubectl.says("create", "secret", "generic", "s", "--from-literal=k=v", "-n", "mine")
        await kubectl.says("create", "serviceaccount", "a", "-n", "mine")
        mine = "/api/v1/namespaces/mine"
        assert (await kubectl.world.good("GET", f"{mine}/configmaps/c"))["data"] == {"a": "b"}
        secret = await kubectl.world.good("GET", f"{mine}/secrets/s")
        assert (secret["data"], secret["type"]) == ({"k": "dg=="}, "Opaque")
        await kubectl.says("delete", "namespace", "mine")
        names = await kubectl.says("get", "ns", "-o", "name")
        assert names.split() == [
            "namespace/default",
            "namespace/kube-node-lease",
            "namespace/kube-public",
            "namespace/kube-system",
        ]

    session(tmp_path, check)


def test_a_watch_prints_each_change_as_a_row(tmp_path: Path) -> None:
    async def check(kubectl: Kubectl) -> None:
        await kubectl.says("create", "-f", kubectl.file())
        watching = await kubectl.start("get", "pods", "-w", "--output-watch-events")
        assert watching.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                header = (await watching.stdout.readline()).split()
                assert header == [b"EVENT", b"NAME", b"READY", b"STATUS", b"RESTARTS", b"AGE"]
                assert (await watching.stdout.readline()).split()[:4] == [
                    b"ADDED",
                    b"web",
                    b"0/1",
                    b"Pending",
                ]
                await _runs(kubectl.world)
                row = (await watching.stdout.readline()).split()
                assert row[:5] == [b"MODIFIED", b"web", b"1/1", b"Running", b"2"]
                await kubectl.world.good("DELETE", f"{PODS}/web", {"gracePeriodSeconds": 0})
                assert (await watching.stdout.readline()).split()[:2] == [b"DELETED", b"web"]
        finally:
            watching.kill()
            await watching.communicate()

    session(tmp_path, check)


def test_describe_events_nodes_and_discovery(tmp_path: Path) -> None:
    async def check(kubectl: Kubectl) -> None:
        created = await kubectl.world.good("POST", PODS, pod(nodeName="node1"))
        node = {
            "metadata": {"name": "node1"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        await kubectl.world.good("POST", "/api/v1/nodes", node)
        about = {"kind": "Pod", "name": "web", "namespace": "default", "uid": created["metadata"]["uid"]}
        stamp = created["metadata"]["creationTimestamp"]
        event = {
            "metadata": {"name": "web.1"},
            "involvedObject": about,
            "reason": "Started",
            "message": "Started container main",
            "type": "Normal",
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        await kubectl.world.good("POST", "/api/v1/namespaces/default/events", event)
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        await kubectl.world.good(
            "POST", lease, {"metadata": {"name": "node1"}, "spec": {"holderIdentity": "node1"}}
        )
        described = await kubectl.says("describe", "pod", "web")
        assert "Started container main" in described
        assert "busybox:1.36" in described
        described = await kubectl.says("describe", "node", "node1")
        assert "HolderIdentity:  node1" in described
        assert "web" in described
        assert (await kubectl.rows("get", "events"))[1][1:4] == ["Normal", "Started", "pod/web"]
        assert (await kubectl.rows("get", "nodes"))[1][:3] == ["node1", "Ready", "<none>"]
        assert (await kubectl.rows("get", "leases", "-n", "kube-node-lease"))[1][:2] == ["node1", "node1"]
        names = (await kubectl.says("api-resources", "-o", "name")).split()
        assert {"pods", "nodes", "events", "leases.coordination.k8s.io"} <= set(names)
        assert "minikubelet" in await kubectl.says("version", "-o", "json")

    session(tmp_path, check)


def test_objects_are_there_after_a_restart(tmp_path: Path) -> None:
    async def first(kubectl: Kubectl) -> None:
        await kubectl.says("apply", "-f", kubectl.file())

    async def second(kubectl: Kubectl) -> None:
        assert (await kubectl.says("apply", "-f", kubectl.file())) == "pod/web unchanged\n"
        assert (await kubectl.says("get", "pods", "-o", "name")) == "pod/web\n"

    session(tmp_path, first)
    session(tmp_path, second)
