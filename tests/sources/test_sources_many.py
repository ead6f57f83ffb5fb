"""A cluster with thousands of objects: a node reads those that its pods name, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.ports.objectport import ObjectKind, Reference
from minikubelet.sources.apiobjects import ApiObjects
from minikubelet.sources.apitokens import ApiTokens
from minikubelet.stubapi.stubcommits import Committer
from minikubelet.stubapi.stubpersistence import StateLog
from minikubelet.stubapi.stubresources import NAMESPACES, SECRETS, Target
from minikubelet.stubapi.stubserver import StubServer, utc_now
from minikubelet.stubapi.stubstore import Store
from minikubelet.stubapi.stubwrites import Writes
from tests.running import eventually, run

MANY = 5000
PATH = "/api/v1/namespaces/default/secrets"


async def fill(state: Path) -> None:
    """A state directory with so many Secrets of a kilobyte."""
    log = StateLog(state)
    store = Store(*log.load())
    committer = Committer(store, log)
    writing = asyncio.create_task(committer.run())
    writes = Writes(store, committer, utc_now, None)
    await writes.create(Target(NAMESPACES), {"metadata": {"name": "default"}})
    bodies = [{"metadata": {"name": f"s{n}"}, "stringData": {"a": f"{n}" * 200}} for n in range(MANY)]
    await asyncio.gather(*(writes.create(Target(SECRETS, "default"), body) for body in bodies))
    committer.close()
    await writing
    log.close()


def test_of_five_thousand_secrets_three_are_read(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And followed: a change of one of them arrives, whatever happens to all the others."""
    asked: list[tuple[str, Mapping[str, str]]] = []
    real = ApiClient._send

    async def counted(self: ApiClient, call: Any, identity: Any) -> Any:
        if call.path.startswith(PATH) and call.method == "GET":
            asked.append((call.path, call.params))
        return await real(self, call, identity)

    async def main() -> None:
        await fill(state_dir / "stub")
        server = StubServer(state_dir / "stub")
        await server.start()
        server.write_kubeconfig(state_dir / "kubeconfig")
        writer, client = (ApiClient(load_kubeconfig(state_dir / "kubeconfig")) for _ in range(2))
        objects = ApiObjects(client, ApiTokens(client, lambda: 0.0))
        following = asyncio.create_task(objects.run())
        try:
            monkeypatch.setattr(ApiClient, "_send", counted)
            names = ("s7", "s2500", "s4999")
            wanted = [Reference(ObjectKind.SECRET, "default", name) for name in names]
            objects.keep(wanted, [])
            for name in names:
                found = await objects.secret("default", name)
                assert found.data == {"a": name[1:].encode() * 200}
            patch = {"stringData": {"a": "new"}}
            await writer.patch_object(f"{PATH}/s2500", patch)

            async def there() -> bool:
                return (await objects.secret("default", "s2500", fresh=False)).data == {"a": b"new"}

            await eventually(there, "the change")
            for path, params in asked:
                named = path.removeprefix(f"{PATH}/") in names
                followed = params.get("fieldSelector") in {f"metadata.name={name}" for name in names}
                assert named or followed, (path, params)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await client.aclose()
            await writer.aclose()
            await server.stop()

    run(main(), patience=100)
