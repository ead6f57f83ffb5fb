"""The verbs over real TLS: what is stored, what is refused and how it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.stubapi.stubapi_world import PODS, World, pod, run

if TYPE_CHECKING:
    from pathlib import Path

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def test_a_created_pod_is_completed_as_upstream_does(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        created = await world.good("POST", PODS, pod())
        meta, spec = created["metadata"], created["spec"]
        assert (created["kind"], created["apiVersion"], meta["namespace"]) == ("Pod", "v1", "default")
        assert meta["uid"]
        assert meta["creationTimestamp"].endswith("Z")
        assert int(meta["resourceVersion"]) > 0
        assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
        assert (spec["restartPolicy"], spec["dnsPolicy"]) == ("Always", "ClusterFirst")
        assert spec["terminationGracePeriodSeconds"] == 30
        assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"
        assert await world.good("GET", f"{PODS}/web") == created

    run(tmp_path, check)


def test_a_create_is_refused_with_the_reason_upstream_gives(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod())
        code, reason, message = await world.refused("POST", PODS, pod())
        assert (code, reason, message) == (409, "AlreadyExists", 'pods "web" already exists')
        code, reason, message = await world.refused("POST", "/api/v1/namespaces/absent/pods", pod())
        assert (code, reason, message) == (404, "NotFound", 'namespaces "absent" not found')
        code, reason, message = await world.refused("POST", PODS, pod("Not_A_Name"))
        assert (code, reason) == (422, "Invalid")
        assert "metadata.name" in message
        code, reason, _ = await world.refused("POST", PODS, {"metadata": {}, "spec": pod()["spec"]})
        assert (code, reason) == (422, "Invalid")
        code, reason, message = await world.refused("POST", PODS, {"metadata": {"name": "x"}})
        assert (code, message) == (422, 'Pod "x" is invalid: spec.containers: Required value')

    run(tmp_path, check)


def test_generate_name_makes_distinct_names(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        body = {"metadata": {"generateName": "job-"}}
        names = {(await world.good("POST", CONFIGMAPS, body))["metadata"]["name"] for _ in range(5)}
        assert len(names) == 5
        assert all(name.startswith("job-") and len(name) == 9 for name in names)

    run(tmp_path, check)


def test_an_update_from_an_older_version_conflicts_and_changes_nothing(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        first = await world.good("POST", CONFIGMAPS, {"metadata": {"name": "c"}, "data": {"a": "1"}})
        second = await world.good("PUT", f"{CONFIGMAPS}/c", {**first, "data": {"a": "2"}})
        assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
        code, reason, message = await world.refused("PUT", f"{CONFIGMAPS}/c", {**first, "data": {"a": "3"}})
        assert (code, reason) == (409, "Conflict")
        assert "the object has been modified" in message
        assert await world.good("GET", f"{CONFIGMAPS}/c") == second
        other = {**second, "metadata": {**second["metadata"], "uid": "another"}}
        assert (await world.refused("PUT", f"{CONFIGMAPS}/c", other))[:2] == (409, "Conflict")

    run(tmp_path, check)


def test_a_write_that_changes_nothing_makes_no_new_version(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        created = await world.good("POST", PODS, pod())
        assert await world.good("PUT", f"{PODS}/web", created) == created
        kept = await world.good(
            "PATCH", f"{PODS}/web", {"metadata": {}}, content="application/merge-patch+json"
        )
        assert kept == created

    run(tmp_path, check)


def test_only_the_status_subresource_changes_a_pods_status(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        created = await world.good("POST", PODS, pod(nodeName="n"))
        plain = await world.good("PUT", f"{PODS}/web", {**created, "status": {"phase": "Failed"}})
        assert plain["status"]["phase"] == "Pending"
        status = {"phase": "Running", "podIP": "10.0.0.1"}
        body = {**created, "status": status, "spec": {"containers": []}}
        updated = await world.good("PUT", f"{PODS}/web/status", body)
        assert updated["spec"] == created["spec"]
        assert updated["status"] == {**status, "qosClass": "BestEffort"}
        condition = {"type": "Ready", "status": "True"}
        patched = await world.good(
            "PATCH",
            f"{PODS}/web/status",
            {"status": {"conditions": [condition]}},
            content="application/strategic-merge-patch+json",
        )
        assert patched["status"] == {**status, "qosClass": "BestEffort", "conditions": [condition]}

    run(tmp_path, check)


def test_a_pods_spec_is_immutable_but_for_images(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        created = await world.good("POST", PODS, pod())
        patch = "application/strategic-merge-patch+json"
        image = {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}}
        changed = await world.good("PATCH", f"{PODS}/web", image, content=patch)
        assert changed["spec"]["containers"][0]["image"] == "busybox:2"
        bad = {"spec": {"containers": [{"name": "main", "command": ["sh"]}]}}
        code, answer = await world.ask("PATCH", f"{PODS}/web", bad, content=patch)
        assert (code, answer["reason"]) == (422, "Invalid")
        assert answer["details"]["causes"][0]["field"] == "spec"
        assert "changed: containers" in answer["message"]
        assert created["metadata"]["uid"] == changed["metadata"]["uid"]

    run(tmp_path, check)


def test_lists_select_and_page(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        for number in range(5):
            body = {"metadata": {"name": f"c{number}", "labels": {"odd": str(number % 2)}}}
            await world.good("POST", CONFIGMAPS, body)
        odd = await world.good("GET", CONFIGMAPS, labelSelector="odd=1")
        assert [item["metadata"]["name"] for item in odd["items"]] == ["c1", "c3"]
        assert (odd["kind"], odd["apiVersion"]) == ("ConfigMapList", "v1")
        one = await world.good("GET", "/api/v1/configmaps", fieldSelector="metadata.name=c4")
        assert [item["metadata"]["name"] for item in one["items"]] == ["c4"]
        first = await world.good("GET", CONFIGMAPS, limit="2")
        assert first["metadata"]["remainingItemCount"] == 3
        rest = await world.good("GET", CONFIGMAPS, **{"continue": first["metadata"]["continue"]})
        names = [item["metadata"]["name"] for item in (*first["items"], *rest["items"])]
        assert names == ["c0", "c1", "c2", "c3", "c4"]
        assert "continue" not in rest["metadata"]

    run(tmp_path, check)


def test_delete_collection_takes_what_the_selector_selects(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        for number in range(4):
            body = {"metadata": {"name": f"c{number}", "labels": {"odd": str(number % 2)}}}
            await world.good("POST", CONFIGMAPS, body)
        deleted = await world.good("DELETE", CONFIGMAPS, labelSelector="odd in (1)")
        assert [item["metadata"]["name"] for item in deleted["items"]] == ["c1", "c3"]
        left = await world.good("GET", CONFIGMAPS)
        assert [item["metadata"]["name"] for item in left["items"]] == ["c0", "c2"]

    run(tmp_path, check)


def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        answer = await world.good("POST", PODS, pod(), dryRun="All")
        assert answer["spec"]["restartPolicy"] == "Always"
        assert (await world.refused("GET", f"{PODS}/web"))[0] == 404

    run(tmp_path, check)


@pytest.mark.parametrize("path", ["/api/v1/widgets", "/apis/apps/v1/deployments", "/nothing", "/openapi/v3"])
def test_an_unknown_path_is_a_404_status(tmp_path: Path, path: str) -> None:
    async def check(world: World) -> None:
        assert (await world.refused("GET", path))[:2] == (404, "NotFound")

    run(tmp_path, check)


def test_a_request_without_the_token_is_unauthorized_but_health_is_open(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic \udcff"}):
            async with aiohttp.ClientSession() as stranger:
                trust = world.session.connector
                assert isinstance(trust, aiohttp.TCPConnector)
                url, ssl = world.server.url, trust._ssl
                text = {key: value.encode("utf-8", "replace").decode() for key, value in header.items()}
                async with stranger.get(f"{url}/api/v1/pods", ssl=ssl, headers=text) as answer:
                    body = await answer.json()
                    assert (answer.status, body["reason"]) == (401, "Unauthorized")
                for path in ("/healthz", "/livez", "/readyz", "/version"):
                    async with stranger.get(url + path, ssl=ssl) as answer:
                        assert answer.status == 200

    run(tmp_path, check)
