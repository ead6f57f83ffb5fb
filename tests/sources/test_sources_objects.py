"""API objects: read, watched, and known through an outage; tokens that are renewed in time."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.model.ids import PodUid
from minikubelet.ports.apiport import Api
from minikubelet.ports.objectport import ObjectFault, ObjectKind, Reference, ServicePort, TokenWish
from minikubelet.sources.apiobjects import ApiObjects
from minikubelet.sources.apitokens import ApiTokens
from minikubelet.stubapi.stubserver import StubServer
from tests.running import eventually, run

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
SERVICES = "/api/v1/namespaces/default/services"
CM = Reference(ObjectKind.CONFIG_MAP, "default", "cm")


class World:
    """A stub API server, a client of it, and the reader at work."""

    def __init__(self, server: StubServer, client: ApiClient, objects: ApiObjects) -> None:
        self.server = server
        self.client = client
        self.objects = objects

    async def config_map(self, text: str, *, new: bool = False) -> None:
        """Store the ConfigMap `cm` with one key `a`."""
        body = {"metadata": {"name": "cm"}, "data": {"a": text}}
        if new:
            await self.client.create_object(CONFIG_MAPS, body)
        else:
            await self.client.replace_object(f"{CONFIG_MAPS}/cm", body)

    async def until(self, text: str) -> None:
        """Wait until the reader's watch has it."""

        async def there() -> bool:
            try:
                found = await self.objects.config_map("default", "cm", fresh=False)
            except ObjectFault:  # the watch has not told of it yet
                return False
            return found.data == {"a": text}

        await eventually(there, f"the watch to tell {text}")


@asynccontextmanager
async def world_in(state: Path) -> AsyncIterator[World]:
    server = StubServer(state / "stub")
    await server.start()
    server.write_kubeconfig(state / "kubeconfig")
    client = ApiClient(load_kubeconfig(state / "kubeconfig"))
    objects = ApiObjects(client, ApiTokens(client, lambda: 0.0))
    task = asyncio.create_task(objects.run())
    try:
        yield World(server, client, objects)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.aclose()
        await server.stop()


def go(state: Path, test: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with world_in(state) as world:
            await test(world)

    run(main())


def test_objects_are_read_and_decoded(state_dir: Path) -> None:
    async def test(world: World) -> None:
        body = {
            "metadata": {"name": "cm"}, "data": {"a": "1"},
            "binaryData": {"b": base64.b64encode(b"\xff").decode()},
        }  # fmt: skip
        await world.client.create_object(CONFIG_MAPS, body)
        secret = {
            "metadata": {"name": "s"},
            "type": "Opaque",
            "data": {"k": base64.b64encode(b"hush").decode()},
        }
        await world.client.create_object(SECRETS, secret)
        found = await world.objects.config_map("default", "cm")
        assert (found.data, found.binary_data) == ({"a": "1"}, {"b": b"\xff"})
        hushed = await world.objects.secret("default", "s")
        assert (hushed.type, hushed.data) == ("Opaque", {"k": b"hush"})
        assert "hush" not in repr(hushed)

    go(state_dir, test)


def test_what_is_missing_is_said_in_upstreams_words(state_dir: Path) -> None:
    async def test(world: World) -> None:
        for fresh in (True, False):
            with pytest.raises(ObjectFault, match=r'^configmap "none" not found$') as caught:
                await world.objects.config_map("default", "none", fresh=fresh)
            assert caught.value.missing
        with pytest.raises(ObjectFault, match=r'^secret "none" not found$'):
            await world.objects.secret("default", "none")

    go(state_dir, test)


def test_a_kept_object_is_watched_from_before_it_exists_until_it_is_kept_no_more(state_dir: Path) -> None:
    async def test(world: World) -> None:
        world.objects.keep([CM], [])
        await world.config_map("1", new=True)
        await world.objects.changed()
        await world.until("1")
        await world.config_map("2")
        await world.until("2")
        await world.client.delete_object(f"{CONFIG_MAPS}/cm")

        async def gone() -> bool:
            try:
                await world.objects.config_map("default", "cm", fresh=False)
            except ObjectFault as fault:
                return fault.missing
            return False

        await eventually(gone, "the watch to tell that it is gone")
        world.objects.keep([], [])
        world.objects.keep([CM], [])
        await world.config_map("3", new=True)
        await world.until("3")

    go(state_dir, test)


def test_through_an_outage_what_was_read_stands_in(state_dir: Path) -> None:
    async def test(world: World) -> None:
        await world.config_map("1", new=True)
        world.objects.keep([CM], [])
        assert (await world.objects.config_map("default", "cm")).data == {"a": "1"}
        await world.server.stop()
        assert (await world.objects.config_map("default", "cm")).data == {"a": "1"}
        await eventually(lambda: _gone(world), "the server's last connection to close")
        with pytest.raises(ObjectFault) as caught:
            await world.objects.config_map("default", "never-read")
        assert not caught.value.missing
        assert world.client.connection.server in caught.value.message

    go(state_dir, test)


def test_services_are_followed(state_dir: Path) -> None:
    async def test(world: World) -> None:
        async def names() -> list[str]:
            try:
                return [service.name for service in await world.objects.services()]
            except ObjectFault:
                return ["unread"]

        spec = {"clusterIP": "10.0.0.9", "ports": [{"port": 80, "name": "http"}]}
        await world.client.create_object(SERVICES, {"metadata": {"name": "web"}, "spec": spec})
        await eventually(lambda: _among(names, "web"), "the service")
        every = {service.name: service for service in await world.objects.services()}
        assert (every["web"].cluster_ip, every["web"].ports[0]) == (
            "10.0.0.9",
            ServicePort(port=80, name="http"),
        )
        await world.client.delete_object(f"{SERVICES}/web")

        async def gone() -> bool:
            return "web" not in await names()

        await eventually(gone, "the service to go")

    go(state_dir, test)


async def _among(names: Callable[[], Coroutine[Any, Any, list[str]]], name: str) -> bool:
    return name in await names()


WISH = TokenWish(
    namespace="shop",
    service_account="sa",
    pod_name="web",
    pod_uid=PodUid("u1"),
    audience="vault",
    seconds=1000,
)


class Issuer:
    """An API server that only gives tokens, on a clock of the test's."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None
        self.expires = ""

    async def create_object(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((path, body))
        if self.error is not None:
            raise self.error
        return {"status": {"token": f"t{len(self.asked)}", "expirationTimestamp": self.expires}}


class Tokens:
    """Tokens of that issuer."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.tokens = ApiTokens(cast("Api", self.issuer), lambda: self.issuer.now)

    def get(self) -> str:
        return run(self.tokens.token(WISH))


def test_a_token_is_bound_to_its_pod() -> None:
    world = Tokens()
    assert world.get() == "t1"
    path, body = world.issuer.asked[0]
    assert path == "/api/v1/namespaces/shop/serviceaccounts/sa/token"
    assert body["spec"] == {
        "audiences": ["vault"],
        "expirationSeconds": 1000,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u1"},
    }


def test_a_token_is_renewed_after_four_fifths_of_its_life() -> None:
    world = Tokens()
    tokens = []
    for later in (0, 799, 1, 799, 1):
        world.issuer.now += later
        tokens.append(world.get())
    assert tokens == ["t1", "t1", "t2", "t2", "t3"]


def test_the_servers_own_idea_of_its_life_counts() -> None:
    world = Tokens()
    world.issuer.expires = "1970-01-12T13:48:20Z"  # 1,000,100 s since the epoch
    tokens = []
    for later in (0, 79, 1):
        world.issuer.now += later
        tokens.append(world.get())
    assert tokens == ["t1", "t1", "t2"]


def test_a_token_that_cannot_be_renewed_is_used_until_it_ends() -> None:
    world = Tokens()
    world.get()
    world.issuer.error = ApiUnreachable("no answer")
    world.issuer.now += 900
    assert world.get() == "t1"
    world.issuer.now += 100
    with pytest.raises(ObjectFault, match="token of shop/sa expired and refresh failed: no answer"):
        world.get()


def test_a_refused_token_is_told_and_a_forgotten_one_asked_for_again() -> None:
    world = Tokens()
    world.issuer.error = ApiError(404, "NotFound", 'serviceaccounts "sa" not found')
    with pytest.raises(ObjectFault, match='failed to fetch token: serviceaccounts "sa" not found'):
        world.get()
    world.issuer.error = None
    assert world.get() == "t2"
    world.tokens.keep([PodUid("u1")])
    assert world.get() == "t2"
    world.tokens.keep([])
    assert world.get() == "t3"


async def _gone(world: World) -> bool:
    try:
        await world.client.get_object(f"{CONFIG_MAPS}/cm")
    except ApiUnreachable:
        return True
    return False
