"""`pods/ephemeralcontainers`, which kubectl debug patches: what may be added, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from minikubelet.stubapi.stubpodrules import MIRROR
from tests.stubapi.stubapi_world import PODS, World, pod, run

if TYPE_CHECKING:
    from pathlib import Path

MERGE = "application/strategic-merge-patch+json"


def added(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"ephemeralContainers": [{"image": "busybox", **each} for each in containers], **spec}}


async def patch(world: World, body: dict[str, Any], name: str = "web") -> dict[str, Any]:
    path = f"{PODS}/{name}/ephemeralcontainers"
    done: dict[str, Any] = await world.good("PATCH", path, body, content=MERGE)
    return done


def test_containers_are_added_with_their_defaults_and_nothing_else_changes(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        created = await world.good("POST", PODS, pod())
        main = created["spec"]["containers"][0]["name"]
        first = {"name": "debugger", "targetContainerName": main, "stdin": True}
        await patch(world, added(first, restartPolicy="Never"))
        changed = await patch(world, added({"name": "second"}))
        assert changed["spec"]["restartPolicy"] == created["spec"]["restartPolicy"]
        known = {each["name"]: each for each in changed["spec"]["ephemeralContainers"]}
        assert sorted(known) == ["debugger", "second"]
        assert known["debugger"]["imagePullPolicy"] == "Always"
        assert known["debugger"]["targetContainerName"] == main
        assert await world.good("GET", f"{PODS}/web/ephemeralcontainers") == changed

    run(tmp_path, check)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (
            added({"name": "first", "image": "other"}),
            'existing ephemeral containers "first" may not be changed',
        ),
        (added({"name": "main"}), 'Duplicate value: "main"'),
        (added({"name": "x", "targetContainerName": "nobody"}), 'targetContainerName: Not found: "nobody"'),
        (added({"name": "x", "ports": [{"containerPort": 1}]}), "cannot be set for an Ephemeral Container"),
    ],
)
def test_what_may_not_be_added_is_refused_in_upstreams_words(
    tmp_path: Path, body: dict[str, Any], wrong: str
) -> None:
    async def check(world: World) -> None:
        made = pod(containers=[{"name": "main", "image": "busybox"}])
        await world.good("POST", PODS, made)
        await patch(world, added({"name": "first"}))
        path = f"{PODS}/web/ephemeralcontainers"
        code, reason, message = await world.refused("PATCH", path, body, content=MERGE)
        assert (code, reason) == (422, "Invalid")
        assert wrong in message

    run(tmp_path, check)


def test_they_are_neither_created_nor_updated_nor_removed_otherwise(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        early = pod(ephemeralContainers=[{"name": "debugger", "image": "busybox"}])
        assert "cannot be set on create" in (await world.refused("POST", PODS, early))[2]
        await world.good("POST", PODS, pod())
        late = await world.refused("PATCH", f"{PODS}/web", added({"name": "x"}), content=MERGE)
        assert "ephemeralContainers" in late[2]
        with_one = await patch(world, added({"name": "debugger"}))
        none = {**with_one, "spec": {**with_one["spec"], "ephemeralContainers": []}}
        removed = await world.refused("PUT", f"{PODS}/web/ephemeralcontainers", none)
        assert 'existing ephemeral containers "debugger" may not be removed' in removed[2]

    run(tmp_path, check)


def test_a_mirror_pod_takes_none(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        mirror = pod()
        mirror["metadata"]["annotations"] = {MIRROR: "hash"}
        await world.good("POST", PODS, mirror)
        path = f"{PODS}/web/ephemeralcontainers"
        code, _, message = await world.refused("PATCH", path, added({"name": "x"}), content=MERGE)
        assert code == 422
        assert "static pods do not support ephemeral containers" in message

    run(tmp_path, check)
