"""A stock kubectl on the API's conventions: unknown fields, dry runs, owners, waiting, negotiation."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.stubapi.stubapi_world import PATIENCE, PODS
from tests.stubapi.test_stubapi_kubectl import MANIFEST, Kubectl, session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kubectl
CONFIGS = "/api/v1/namespaces/default/configmaps"


def test_a_misspelt_field_is_refused_or_warned_of(tmp_path: Path) -> None:
    """`--validate` decides: kubectl's own default is strict, and names the field."""

    async def check(kubectl: Kubectl) -> None:
        wrong = kubectl.file(MANIFEST.replace("nodeName", "nodeNane"))
        for verb in ("create", "apply"):
            code, _, err = await kubectl.ends(verb, "-f", wrong)
            assert code == 1
            assert 'strict decoding error: unknown field "spec.nodeNane"' in err
        code, out, err = await kubectl.ends("apply", "--validate=warn", "-f", wrong)
        assert (code, out) == (0, "pod/web created\n")
        assert 'Warning: unknown field "spec.nodeNane"' in err
        await kubectl.says("delete", "pod", "web")
        assert await kubectl.ends("apply", "--validate=ignore", "-f", wrong) == (0, "pod/web created\n", "")

    session(tmp_path, check)


def test_dry_runs_on_the_server_show_and_store_nothing(tmp_path: Path) -> None:
    """Create, apply, label and delete say what they would do."""

    async def check(kubectl: Kubectl) -> None:
        dry = "--dry-run=server"
        assert await kubectl.says("create", dry, "-f", kubectl.file()) == "pod/web created (server dry run)\n"
        assert await kubectl.says("get", "pods", "-o", "name") == ""
        await kubectl.says("create", "-f", kubectl.file())
        before = await kubectl.world.good("GET", f"{PODS}/web")
        changed = kubectl.file(MANIFEST.replace("app: web", "app: other"), "changed.yaml")
        assert "pod/web configured (server dry run)" in await kubectl.says("apply", dry, "-f", changed)
        await kubectl.says("label", dry, "pod", "web", "x=y")
        assert "server dry run" in await kubectl.says("delete", dry, "pod", "web")
        assert await kubectl.world.good("GET", f"{PODS}/web") == before

    session(tmp_path, check)


def test_waiting_ends_with_the_condition_and_with_the_deletion(tmp_path: Path) -> None:
    """`kubectl wait` for a condition, for a field and for the end of an object."""

    async def check(kubectl: Kubectl) -> None:
        await kubectl.says("create", "-f", kubectl.file())
        for wanted in ("condition=Ready", "jsonpath={.status.phase}=Running", "delete"):
            waiting = await kubectl.start("wait", f"--for={wanted}", "pod/web", f"--timeout={PATIENCE:.0f}s")
            if wanted == "delete":
                await kubectl.world.good("DELETE", f"{PODS}/web", {"gracePeriodSeconds": 0})
            else:
                ready = [{"type": "Ready", "status": "True"}]
                body = {"status": {"phase": "Running", "conditions": ready}}
                merge = "application/merge-patch+json"
                await kubectl.world.good("PATCH", f"{PODS}/web/status", body, content=merge)
            async with asyncio.timeout(2 * PATIENCE):
                out, err = await waiting.communicate()
            assert (waiting.returncode, err) == (0, b"")
            # A deletion that came before kubectl's first look has nothing to be said of.
            said = (b"pod/web deleted\n", b"pod/web condition met\n", b"")
            assert out in (said if wanted == "delete" else said[1:2])

    session(tmp_path, check)


def test_cascades_take_dependents_along_or_leave_them(tmp_path: Path) -> None:
    """Foreground returns when all are gone; orphan keeps the dependent."""

    async def check(kubectl: Kubectl) -> None:
        for cascade, left in (("foreground", []), ("orphan", ["child"])):
            owner = await kubectl.world.good("POST", CONFIGS, {"metadata": {"name": "owner"}})
            uid = owner["metadata"]["uid"]
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
            refs = [{**reference, "blockOwnerDeletion": True}]
            child = {"metadata": {"name": "child", "ownerReferences": refs}}
            await kubectl.world.good("POST", CONFIGS, child)
            await kubectl.says("delete", "configmap", "owner", f"--cascade={cascade}")
            listed = json.loads(await kubectl.says("get", "configmaps", "-o", "json"))
            assert [each["metadata"]["name"] for each in listed["items"]] == left

    session(tmp_path, check)


def test_versions_are_negotiated_and_what_is_not_served_is_said(tmp_path: Path) -> None:
    """Groups and versions are those of discovery; server-side apply is refused and stores nothing."""

    async def check(kubectl: Kubectl) -> None:
        versions = (await kubectl.says("api-versions")).split()
        assert {"v1", "coordination.k8s.io/v1", "rbac.authorization.k8s.io/v1"} <= set(versions)
        assert await kubectl.says("get", "leases.v1.coordination.k8s.io", "-A", "-o", "name") == ""
        code, _, err = await kubectl.ends("get", "leases.v9.coordination.k8s.io")
        assert code == 1
        assert "the server doesn't have a resource type" in err
        old = kubectl.file(MANIFEST.replace("apiVersion: v1", "apiVersion: v7"), "old.yaml")
        code, _, err = await kubectl.ends("create", "-f", old)
        assert code == 1
        assert 'no matches for kind "Pod" in version "v7"' in err
        code, _, err = await kubectl.ends("apply", "--server-side", "-f", kubectl.file())
        assert code == 1
        assert "UnsupportedMediaType" in err or "unknown format" in err
        assert await kubectl.says("get", "pods", "-o", "name") == ""

    session(tmp_path, check)
