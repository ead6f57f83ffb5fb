"""Who gets in, and what for: every endpoint against every kind of caller."""

from __future__ import annotations

import datetime as dt
import ssl
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minikubelet.apiclient.apierrors import ApiUnreachable
from minikubelet.model.settings import (
    AnonymousSettings,
    AuthenticationSettings,
    AuthorizationSettings,
    KubeletSettings,
    TokenWebhookSettings,
    X509Settings,
)
from minikubelet.nodeapi.nodecerts import CertificateFault, ensure_certificate, serving_files
from minikubelet.nodeapi.nodeidentity import Caller, Identities
from minikubelet.nodeapi.nodepermission import Permissions, attributes
from minikubelet.nodeapi.noderoutes import NodeApiSetup
from minikubelet.nodeapi.nodeserver import serve_node_api
from minikubelet.ports.apiport import JsonObject
from tests.nodeapi.served_world import FakeApi, every_route, served
from tests.running import run

QUERY = "cmd=true&command=true&output=1&pod=default/web"
EVERY_ROUTE = every_route()
EVERY_PATH = [(method, f"{path}?{QUERY}") for method, path in EVERY_ROUTE] + [("GET", "/nowhere")]
NOBODY = (401, '"reason":"Unauthorized"')


def reviews(name: str, spec: JsonObject) -> JsonObject:
    """The token `good` is alice's; she may read everything, and nobody else anything."""
    if name == "tokenreviews":
        if spec["token"] != "good":
            return {"authenticated": False}
        return {"authenticated": True, "user": {"username": "alice", "groups": ["staff"], "uid": "1"}}
    return {"allowed": spec["user"] == "alice" and spec["resourceAttributes"]["verb"] == "get"}


def allow_all(**authentication: Any) -> KubeletSettings:
    return KubeletSettings(
        authentication=AuthenticationSettings(**authentication),
        authorization=AuthorizationSettings(mode="AlwaysAllow"),
    )


@pytest.mark.parametrize("token", ["", "wrong", "goodx", "x" * 5000])
def test_nobody_gets_in_anywhere(state_dir: Path, token: str) -> None:
    """Without a token, and with one that is nobody's, at every endpoint and at what is none."""

    async def main() -> None:
        async with served(state_dir, kubelet=allow_all(), api=FakeApi(reviews)) as node:
            for method, path in EVERY_PATH:
                code, body = await node.ask(method, path, token=token)
                told = NOBODY[1] in body or method == "HEAD"
                assert (code, told) == (401, True), path
            assert node.streams.calls == []

    run(main())


def test_the_local_token_opens_everything_and_is_another_each_time(state_dir: Path) -> None:
    async def main() -> None:
        tokens = []
        for _ in range(2):
            async with served(state_dir) as node:
                tokens.append(node.node.token)
                assert await node.ask("GET", "/healthz") == (200, "ok")
                assert (await node.ask("GET", "/pods"))[0] == 200
                assert node.node.token not in repr(node.node)
        assert tokens[0] != tokens[1]

    run(main())


def test_a_token_is_reviewed_once_and_permissions_are_asked(state_dir: Path) -> None:
    async def main() -> None:
        api = FakeApi(reviews)
        async with served(state_dir, api=api) as node:
            for _ in range(3):
                assert (await node.ask("GET", "/pods", token="good"))[0] == 200
            assert [name for name, _ in api.asked] == ["tokenreviews", "subjectaccessreviews"]
            asked = api.asked[1][1]
            assert (asked["user"], asked["groups"], asked["uid"]) == ("alice", ["staff"], "1")
            assert asked["resourceAttributes"] == {
                "verb": "get",
                "version": "v1",
                "resource": "nodes",
                "subresource": "pods",
                "name": "node1",
            }
            assert (await node.ask("GET", "/metrics", token="good"))[0] == 200
            code, body = await node.ask("POST", "/run/default/web/main?cmd=true", token="good")
            assert code == 403
            assert "alice" in body

    run(main())


def test_leave_to_read_is_no_leave_to_reach_into_containers(state_dir: Path) -> None:
    """A WebSocket begins with GET, and yet is `create` on nodes/proxy."""

    async def main() -> None:
        async with served(state_dir, api=FakeApi(reviews)) as node, node.session("good") as session:
            for path in ("exec/default/web/main?command=a&output=1", "attach/default/web/main?output=1"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(f"{node.url}/{path}", protocols=["v5.channel.k8s.io"])
                assert refused.value.status == 403
            assert node.streams.calls == []

    run(main())


def test_an_api_server_out_of_reach_lets_nobody_in(state_dir: Path) -> None:
    def unreachable(name: str, spec: JsonObject) -> JsonObject:
        raise ApiUnreachable("cannot reach it")

    async def main() -> None:
        async with served(state_dir, api=FakeApi(unreachable)) as node:
            code, body = await node.ask("GET", "/pods", token="good")
            assert code == 503
            assert "try again later" in body
            assert (await node.ask("GET", "/pods"))[0] == 200

    run(main())


def test_without_anyone_to_ask_only_the_local_token_counts(state_dir: Path) -> None:
    kubelet = KubeletSettings(
        authentication=AuthenticationSettings(anonymous=AnonymousSettings(enabled=True))
    )

    async def main() -> None:
        async with served(state_dir, kubelet=kubelet) as node:
            assert (await node.ask("GET", "/pods", token="good"))[0] == 401
            assert (await node.ask("GET", "/pods", token=""))[0] == 403
            assert (await node.ask("GET", "/pods"))[0] == 200

    run(main())


def test_anonymous_callers_get_in_only_when_told_so(state_dir: Path) -> None:
    async def main() -> None:
        kubelet = allow_all(anonymous=AnonymousSettings(enabled=True))
        async with served(state_dir, kubelet=kubelet) as node:
            assert (await node.ask("GET", "/pods", token=""))[0] == 200
            assert (await node.ask("GET", "/pods", token="wrong"))[0] == 401

    run(main())


def authority(directory: Path, name: str) -> tuple[Path, Path]:
    """A client authority, and a certificate with its key of alice of staff."""
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    person = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "staff"),
            x509.NameAttribute(NameOID.COMMON_NAME, "alice"),
        ]
    )
    made = []
    for number, who in enumerate((subject, person)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(who)
            .issuer_name(subject)
            .public_key(keys[number].public_key())
            .serial_number(number + 1)
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
        )
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / f"{name}.crt").write_bytes(made[0])
    (directory / f"{name}-alice.pem").write_bytes(made[1] + key)
    return directory / f"{name}.crt", directory / f"{name}-alice.pem"


def test_client_certificates_of_the_authority_and_no_other(state_dir: Path) -> None:
    async def main() -> None:
        ca, alice = authority(state_dir, "ours")
        _, impostor = authority(state_dir, "theirs")
        kubelet = KubeletSettings(
            authentication=AuthenticationSettings(x509=X509Settings(client_ca_file=str(ca)))
        )
        api = FakeApi(reviews)
        async with served(state_dir, kubelet=kubelet, api=api) as node:

            def shows(file: Path) -> ssl.SSLContext:
                context = node.node.client_context()
                context.load_cert_chain(file)
                return context

            assert (await node.ask("GET", "/pods", token="", context=shows(alice)))[0] == 200
            assert api.asked[0][1]["groups"] == ["staff", "system:authenticated"]
            assert (await node.ask("GET", "/pods", token=""))[0] == 401
            assert (await node.ask("GET", "/pods", token="wrong", context=shows(alice)))[0] == 401
            with pytest.raises((aiohttp.ClientError, OSError)):
                await node.ask("GET", "/pods", token="", context=shows(impostor))

    run(main())


def test_reviews_may_be_switched_off(state_dir: Path) -> None:
    async def main() -> None:
        api = FakeApi(reviews)
        kubelet = allow_all(webhook=TokenWebhookSettings(enabled=False))
        async with served(state_dir, kubelet=kubelet, api=api) as node:
            assert (await node.ask("GET", "/pods", token="good"))[0] == 401
            assert api.asked == []

    run(main())


def test_answers_are_forgotten_in_time() -> None:
    """And a refusal sooner than a permission."""
    now = [0.0]

    async def main() -> None:
        api = FakeApi(reviews)
        identities = Identities(AuthenticationSettings(), api, "local", lambda: now[0])
        permissions = Permissions(AuthorizationSettings(), api, "node1", lambda: now[0])
        for moment, asked in ((0.0, 1), (119.0, 1), (121.0, 2)):
            now[0] = moment
            caller = await identities.identify(None, "Bearer good")
            assert caller is not None
            assert len(api.asked) == asked
        alice = Caller(name="alice")
        api.asked.clear()
        for moment, asked in ((200.0, 2), (229.0, 2), (231.0, 3), (501.0, 5)):
            now[0] = moment
            assert await permissions.allows(alice, "GET", "/metrics")
            assert not await permissions.allows(alice, "DELETE", "/metrics")
            assert len(api.asked) == asked

    run(main())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, None),
        ({}, None),
        ({"authenticated": "yes", "user": {"username": "a"}}, None),
        ({"authenticated": True}, None),
        ({"authenticated": True, "user": {"username": ""}}, None),
        ({"authenticated": True, "user": {"username": "a", "groups": "b"}}, None),
        ({"authenticated": True, "user": {"username": "a", "groups": None}}, "a"),
    ],
)
def test_odd_reviews_are_no_identity(status: Any, expected: str | None) -> None:
    async def main() -> None:
        identities = Identities(AuthenticationSettings(), FakeApi(lambda *_: status), "local")
        caller = await identities.identify(None, "bearer some")
        assert (caller.name if caller else None) == expected

    run(main())


def test_requests_in_the_words_of_the_api() -> None:
    assert attributes("GET", "/stats/summary") == ("get", ("stats",))
    assert attributes("GET", "/metrics/resource") == ("get", ("metrics",))
    assert attributes("GET", "/healthz") == ("get", ("healthz", "proxy"))
    assert attributes("GET", "/containerLogs/a/b/c") == ("get", ("proxy",))
    assert attributes("GET", "/exec/a/b/c") == ("create", ("proxy",))
    assert attributes("POST", "/portForward/a/b") == ("create", ("proxy",))
    assert attributes("PURGE", "/odd") == ("purge", ("proxy",))


def test_the_serving_certificate_is_private_kept_and_renewed(tmp_path: Path) -> None:
    files = serving_files(tmp_path / "pki", "", "")
    now = dt.datetime.now(dt.UTC)
    ensure_certificate(files, ("node1", "10.0.0.1"), now)
    first = files.certificate.read_bytes()
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.key.parent.stat().st_mode) == 0o700
    ensure_certificate(files, ("node1", "10.0.0.1"), now)
    assert files.certificate.read_bytes() == first
    ensure_certificate(files, ("node1", "10.0.0.2"), now)
    second = files.certificate.read_bytes()
    assert second != first
    ensure_certificate(files, ("node1", "10.0.0.2"), now + dt.timedelta(days=340))
    assert files.certificate.read_bytes() != second
    files.key.write_bytes(b"garbage")
    ensure_certificate(files, ("node1",), now)
    assert b"PRIVATE KEY" in files.key.read_bytes()


def test_a_configured_certificate_is_served_and_a_broken_one_named(state_dir: Path) -> None:
    made = serving_files(state_dir / "mine", "", "")
    ensure_certificate(made, ("elsewhere",), dt.datetime.now(dt.UTC))
    kubelet = KubeletSettings(tls_cert_file=str(made.certificate), tls_private_key_file=str(made.key))

    async def main() -> None:
        async with served(state_dir, kubelet=kubelet) as node:
            assert await node.ask("GET", "/healthz") == (200, "ok")
            assert not (state_dir / "pki").exists()

    run(main())
    made.key.write_bytes(b"")

    async def broken() -> None:
        async with served(state_dir, kubelet=kubelet):
            pytest.fail("it was served")

    with pytest.raises(CertificateFault, match="cannot be used as serving certificate"):
        run(broken())


def test_a_busy_port_is_an_error_or_passed_over(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as first:
            setup = NodeApiSetup(
                node_name="node2",
                node_ips=(),
                directory=state_dir / "pki2",
                logs=state_dir,
                kubelet=KubeletSettings(),
                port=first.node.port,
                any_port=True,
            )
            runtime = first.runtime
            async with serve_node_api(
                setup, first.view, runtime, None, api=None, insight=first.insight
            ) as second:
                assert second.port not in (0, first.node.port)
            strict = NodeApiSetup(
                node_name="node2",
                node_ips=(),
                directory=state_dir / "pki2",
                logs=state_dir,
                kubelet=KubeletSettings(),
                port=first.node.port,
            )
            with pytest.raises(OSError, match="in use"):
                async with serve_node_api(strict, first.view, runtime, None, api=None, insight=first.insight):
                    pytest.fail("it was served")

    run(main())
