"""Objects of any shape through the writing verbs and the tables: refused or stored, but never a bug."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.stubapi.stubcommits import Committer
from minikubelet.stubapi.stubdaemons import DaemonSets
from minikubelet.stubapi.stubdeletion import DeleteOptions
from minikubelet.stubapi.stubgarbage import Garbage
from minikubelet.stubapi.stubpersistence import StateLog
from minikubelet.stubapi.stubresources import (
    DAEMONSETS,
    NAMESPACES,
    NODES,
    RESOURCES,
    SIGNING_REQUESTS,
    Resource,
    Target,
)
from minikubelet.stubapi.stubselectors import Selector
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.stubapi.stubstore import Store
from minikubelet.stubapi.stubtables import make_table
from minikubelet.stubapi.stubwrites import PATCHES, Writes
from tests.stubapi.request_world import Asked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FIELDS = st.sampled_from(
    [
        "name",
        "metadata",
        "spec",
        "status",
        "containers",
        "image",
        "env",
        "ports",
        "volumes",
        "resources",
        "livenessProbe",
        "httpGet",
        "limits",
        "labels",
        "finalizers",
        "phase",
        "conditions",
        "tolerations",
        "containerStatuses",
        "state",
        "waiting",
        "data",
        "stringData",
        "nodeInfo",
        "involvedObject",
        "series",
        "terminationGracePeriodSeconds",
        "ownerReferences",
        "template",
        "updateStrategy",
        "rollingUpdate",
        "maxUnavailable",
        "matchLabels",
        "nodeSelector",
        "affinity",
        "cpu",
        "memory",
        "hostPath",
        "valueFrom",
        "clusterIP",
        "selector",
        "type",
        "restartCount",
        "lastState",
        "terminated",
        "finishedAt",
        "lastTimestamp",
        "lastObservedTime",
    ]
)
TIMES = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01t00:00:00.123456789z"])
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=20,
)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.dictionaries(FIELDS, ANYTHING, max_size=3) | ANYTHING,
        "spec": ANYTHING
        | st.fixed_dictionaries(
            {"containers": st.lists(st.dictionaries(FIELDS, ANYTHING, max_size=4), max_size=2)},
            optional={"volumes": st.lists(ANYTHING, max_size=2), "tolerations": ANYTHING},
        ),
        "status": ANYTHING,
        "data": ANYTHING,
        "involvedObject": ANYTHING,
        "series": ANYTHING,
        "lastTimestamp": ANYTHING,
        "rules": ANYTHING,
        "roleRef": ANYTHING,
        "subjects": ANYTHING,
    },
)

REQUEST = Asked().object("x0")


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[tuple[Store, Writes]]:
    log = StateLog(directory)
    store = Store(*log.load())
    committer = Committer(store, log)
    async with asyncio.TaskGroup() as group:
        group.create_task(committer.run())
        try:
            writes = Writes(store, committer, lambda: NOW, None)
            await writes.create(Target(NAMESPACES), {"metadata": {"name": "ns"}})
            yield store, writes
        finally:
            committer.close()
    log.close()


async def _outcome(attempt: Awaitable[Any]) -> int:
    try:
        await attempt
    except ApiError as problem:
        return problem.code
    return 200


async def _try_everything(store: Store, writes: Writes, resource: Resource, items: list[Any]) -> set[int]:
    space = "ns" if resource.namespaced else ""
    base: dict[str, Any] = {
        "metadata": {"name": "x0"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "roleRef": {"kind": "Role", "name": "r"},
    }
    if resource == SIGNING_REQUESTS:
        base = REQUEST
    elif resource == DAEMONSETS:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": base["spec"]}
        base["spec"] = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    codes = {await _outcome(writes.create(Target(resource, space), base))}
    for number, item in enumerate(items):
        meta = item.get("metadata")
        named = {**item, "metadata": {**meta, "name": f"x{number + 1}"}} if isinstance(meta, dict) else item
        codes.add(await _outcome(writes.create(Target(resource, space), named)))
        for kind in PATCHES:
            for sub in ("", "status"):
                target = Target(resource, space, "x0", sub)
                codes.add(await _outcome(writes.patch(target, kind, item)))
    objects = [stored.obj for stored in store.select(resource)]
    msgspec.json.encode(make_table(resource, objects, {}, NOW))
    if resource != NODES:
        await writes.create(Target(NODES), {"metadata": {"name": "n1"}})
    await DaemonSets(store, writes, lambda: NOW).look()
    await Garbage(store, writes).look()
    await writes.delete_collection(Target(resource, space), Selector(), DeleteOptions())
    return codes


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(RESOURCES), st.lists(OBJECTS, min_size=1, max_size=3))
def test_no_object_makes_the_server_fail(resource: Resource, items: list[dict[str, Any]]) -> None:
    async def main() -> set[int]:
        with tempfile.TemporaryDirectory() as directory:
            async with _opened(Path(directory)) as (store, writes):
                if resource == NAMESPACES:
                    return {200}
                return await _try_everything(store, writes, resource, items)

    assert asyncio.run(main()) <= {200, 400, 409, 422}
