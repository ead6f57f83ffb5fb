"""Certificates by request: asked of a real stub over TLS, kept on disk, renewed in time."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from minikubelet.apiclient.apicertstore import PairStore
from minikubelet.apiclient.apicertwish import (
    CertificateRefused,
    CertificateWish,
    ask_certificate,
    client_wish,
    key_pem,
    new_key,
    serving_wish,
)
from minikubelet.apiclient.apiconnection import Material
from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.apiclient.apirotation import Rotation, RotationTimes
from minikubelet.ports.apiport import Changed, Disconnected, Listed
from minikubelet.stubapi.stubsecurity import SecuritySetup
from tests.running import eventually, run
from tests.stubapi.request_world import CSRS
from tests.stubapi.stubapi_world import World, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
APPROVES = SecuritySetup(approve_nodes=True)


@asynccontextmanager
async def administrator(world: World, folder: Path) -> AsyncIterator[ApiClient]:
    world.server.write_kubeconfig(folder / "admin.conf")
    client = ApiClient(load_kubeconfig(folder / "admin.conf"))
    try:
        yield client
    finally:
        await client.aclose()


async def approve(world: World, name: str, kind: str = "Approved") -> None:
    condition = {"type": kind, "status": "True", "reason": "Person", "message": "by a person"}
    await world.good(
        "PATCH",
        f"{CSRS}/{name}/approval",
        {"status": {"conditions": [condition]}},
        content="application/merge-patch+json",
    )


async def only_request(world: World) -> str:
    async def names() -> list[str]:
        return [each["metadata"]["name"] for each in (await world.good("GET", CSRS))["items"]]

    return str((await eventually(names, "a request"))[0])


def test_a_certificate_comes_when_a_person_approves(tmp_path: Path) -> None:
    """Asked twice with the same key, as after a restart, it is the same request."""

    async def main() -> None:
        async with running(tmp_path / "s") as world, administrator(world, tmp_path) as api:
            key, wish = new_key(), client_wish("n1")
            asks = [asyncio.create_task(ask_certificate(api, key, wish, once=True)) for _ in range(2)]
            await approve(world, await only_request(world))
            first, second = await asyncio.gather(*asks)
            assert first == second
            assert first.startswith(b"-----BEGIN CERTIFICATE-----")
            assert len((await world.good("GET", CSRS))["items"]) == 1

    run(main())


@pytest.mark.parametrize(
    ("what", "words"), [("Denied", "was denied: by a person"), ("", "was deleted before it was answered")]
)
def test_a_request_that_is_refused_or_gone_is_told_of(tmp_path: Path, what: str, words: str) -> None:
    async def main() -> None:
        async with running(tmp_path / "s") as world, administrator(world, tmp_path) as api:
            asking = asyncio.create_task(ask_certificate(api, new_key(), client_wish("n1")))
            name = await only_request(world)
            if what:
                await approve(world, name, what)
            else:
                await world.good("DELETE", f"{CSRS}/{name}")
            with pytest.raises(CertificateRefused, match=words):
                await asking

    run(main())


def test_a_wish_that_no_signer_grants_fails_with_the_signers_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path / "s") as world, administrator(world, tmp_path) as api:
            wish = CertificateWish(client_wish("n1").signer, "not-a-node", "client auth")
            asking = asyncio.create_task(ask_certificate(api, new_key(), wish))
            await approve(world, await only_request(world))
            with pytest.raises(CertificateRefused, match="failed: subject common name"):
                await asking

    run(main())


def test_a_renewed_certificate_is_used_at_once_and_what_was_connected_is_connected_anew(
    tmp_path: Path,
) -> None:
    """The watch that stood with the former certificate resumes with the new one and misses nothing."""

    async def main() -> None:
        time = [0.0]
        store = PairStore(tmp_path / "pki", "kubelet-client")
        async with (
            running(tmp_path / "s", security=APPROVES) as world,
            administrator(world, tmp_path) as admin,
        ):
            key = new_key()
            asked = asyncio.create_task(ask_certificate(admin, key, client_wish("n1")))
            await approve(world, await only_request(world))
            store.store(await asked, key_pem(key), datetime.now(UTC))
            material = Material("client-certificate", path=store.path)
            connection = replace(admin.connection, token=None, certificate=material, key=material)
            node = ApiClient(connection, clock=lambda: time[0])
            seen: asyncio.Queue[Any] = asyncio.Queue()

            async def follow() -> None:
                async for item in node.list_watch(CONFIGMAPS):
                    seen.put_nowait(item)

            following = asyncio.create_task(follow())
            assert isinstance(await seen.get(), Listed)
            before = store.load()
            await Rotation(node, store, client_wish("n1")).renew()
            after = store.load()
            assert before is not None
            assert after is not None
            assert before.certificate.serial_number != after.certificate.serial_number
            time[0] += 10
            await node.get_object("/api/v1/nodes")
            assert isinstance(await seen.get(), Disconnected)
            await world.good("POST", CONFIGMAPS, {"metadata": {"name": "new"}})
            while not isinstance(item := await seen.get(), Changed):
                pass
            assert item.object["metadata"]["name"] == "new"
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await node.aclose()

    run(main())


def test_a_certificate_is_due_between_70_and_90_percent_of_its_life(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path / "s", security=APPROVES) as world, administrator(world, tmp_path) as api:
            store, now = PairStore(tmp_path / "pki", "kubelet-server"), [datetime.now(UTC)]
            wish = serving_wish("n1", ("n1", "192.0.2.7"))
            asking = asyncio.create_task(ask_certificate(api, key := new_key(), wish))
            await approve(world, await only_request(world))
            store.store(await asking, key_pem(key), now[0])
            pair = store.load()
            assert pair is not None
            begins = pair.certificate.not_valid_before_utc
            life = pair.certificate.not_valid_after_utc - begins
            for seed in range(50):
                times = RotationTimes(now=lambda: now[0], rng=random.Random(seed))
                rotation = Rotation(api, store, wish, times=times)
                now[0] = begins + life * 0.69
                assert rotation.seconds_left(pair) > 0
                assert rotation.seconds_left(pair) == rotation.seconds_left(pair), "it is drawn once"
                now[0] = begins + life * 0.91
                assert rotation.seconds_left(pair) <= 0
                assert rotation.seconds_to_live() == pytest.approx((life * 0.09).total_seconds())
                now[0] = begins - timedelta(days=3)
                assert rotation.seconds_left(pair) > 0, "a clock that was set back makes no request"
            moved = Rotation(api, store, serving_wish("n1", ("n1", "192.0.2.8")), times=times)
            assert moved.seconds_left(pair) == 0, "a new address needs a new certificate"

    run(main())


def test_a_pair_lies_where_and_as_upstream_has_it(tmp_path: Path) -> None:
    """A directory with strange files in it, or a torn pair, gives none; the one before goes with its key."""

    def made(key: Any) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=1))
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    store = PairStore(tmp_path / "pki", "kubelet-client")
    assert store.load() is None
    for _ in range(3):
        key = new_key()
        store.store(made(key), key_pem(key), datetime.now(UTC))
    files = sorted((tmp_path / "pki").iterdir())
    assert len(files) == 2
    assert store.path.is_symlink()
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    assert (tmp_path / "pki").stat().st_mode & 0o777 == 0o700
    assert store.load() is not None
    store.path.resolve().write_bytes(made(new_key()) + key_pem(new_key()))
    assert store.load() is None
