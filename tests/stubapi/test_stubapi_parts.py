"""The smaller parts: certificates, kubeconfig, discovery, defaults, quality of service, logs, binding."""

from __future__ import annotations

import base64
import os
import signal
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web
from cryptography import x509

from minikubelet.stubapi.stubcerts import ensure_identity, ensure_token
from minikubelet.stubapi.stubdiscovery import OPENAPI_PROTOBUF_TYPE
from minikubelet.stubapi.stubnames import check_meta
from minikubelet.stubapi.stubpoddefaults import default_pod, qos_class, quantity
from minikubelet.stubapi.stubpodrules import check_new_pod
from minikubelet.stubapi.stubresources import CONFIGMAPS, SECRETS
from minikubelet.stubapi.stubshapes import check_shape
from minikubelet.stubapi.stubstatus import ApiError
from tests.stubapi.stubapi_world import PODS, World, pod, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def _cert(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_certificates_are_kept_then_renewed_before_they_end(tmp_path: Path) -> None:
    first = ensure_identity(tmp_path, "127.0.0.1", NOW)
    ca, cert = _cert(first.ca_file), _cert(first.cert_file)
    ensure_identity(tmp_path, "127.0.0.1", NOW + timedelta(days=300))
    assert (_cert(first.ca_file), _cert(first.cert_file)) == (ca, cert)
    ensure_identity(tmp_path, "127.0.0.1", NOW + timedelta(days=340))
    renewed = _cert(first.cert_file)
    assert _cert(first.ca_file) == ca
    assert renewed.not_valid_after_utc > cert.not_valid_after_utc
    renewed.verify_directly_issued_by(ca)
    ensure_identity(tmp_path, "127.0.0.1", NOW + timedelta(days=3600))
    assert _cert(first.ca_file) != ca
    _cert(first.cert_file).verify_directly_issued_by(_cert(first.ca_file))


def test_another_address_or_a_damaged_file_makes_a_new_certificate(tmp_path: Path) -> None:
    identity = ensure_identity(tmp_path, "127.0.0.1", NOW)
    cert = _cert(identity.cert_file)
    ensure_identity(tmp_path, "10.1.2.3", NOW)
    names = _cert(identity.cert_file).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "10.1.2.3" in [str(address) for address in names.value.get_values_for_type(x509.IPAddress)]
    identity.cert_file.write_bytes(b"rubbish")
    identity.ca_file.write_bytes(b"rubbish")
    ensure_identity(tmp_path, "127.0.0.1", NOW)
    assert _cert(identity.cert_file) != cert
    assert identity.server_context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_token_is_kept_and_made_anew_when_lost(tmp_path: Path) -> None:
    token = ensure_token(tmp_path)
    assert ensure_token(tmp_path) == token
    (tmp_path / "token").write_bytes(b"\xff\n")
    assert len(ensure_token(tmp_path)) >= 40


def test_the_kubeconfig_holds_all_a_client_needs(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        path = tmp_path / "made" / "kubeconfig"
        world.server.write_kubeconfig(path)
        world.server.write_kubeconfig(path)
        config = yaml.safe_load(path.read_text())
        cluster = config["clusters"][0]["cluster"]
        assert cluster["server"] == world.server.url
        assert base64.b64decode(cluster["certificate-authority-data"]) == world.server.ca_file.read_bytes()
        assert config["users"][0]["user"] == {"token": world.server.token}
        assert config["current-context"] == config["contexts"][0]["name"]

    run(tmp_path / "state", check)


def test_discovery_names_groups_and_resources(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        assert (await world.good("GET", "/api"))["versions"] == ["v1"]
        groups = (await world.good("GET", "/apis"))["groups"]
        assert [group["name"] for group in groups] == [
            "apps",
            "coordination.k8s.io",
            "certificates.k8s.io",
            "rbac.authorization.k8s.io",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "metrics.k8s.io",
        ]
        reviews = await world.good("GET", "/apis/authentication.k8s.io/v1")
        assert [(each["name"], each["verbs"]) for each in reviews["resources"]] == [
            ("tokenreviews", ["create"])
        ]
        core = await world.good("GET", "/api/v1")
        names = {entry["name"]: entry for entry in core["resources"]}
        assert {"pods", "pods/status", "pods/log", "nodes", "nodes/status", "events"} <= set(names)
        assert names["pods"]["shortNames"] == ["po"]
        assert "watch" in names["pods"]["verbs"]
        leases = await world.good("GET", "/apis/coordination.k8s.io/v1")
        assert leases["groupVersion"] == "coordination.k8s.io/v1"
        assert (await world.refused("GET", "/apis/none"))[0] == 404

    run(tmp_path, check)


def test_the_openapi_document_comes_in_both_forms(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        assert (await world.good("GET", "/openapi/v2"))["swagger"] == "2.0"
        headers = {"Accept": OPENAPI_PROTOBUF_TYPE}
        async with world.session.get(world.server.url + "/openapi/v2", headers=headers) as answer:
            assert (await answer.read()).startswith(b"\x0a\x032.0\x12")

    run(tmp_path, check)


def test_defaults_reach_into_containers_probes_and_volumes() -> None:
    body: dict[str, Any] = {
        "spec": {
            "hostNetwork": True,
            "containers": [
                {
                    "name": "a",
                    "image": "registry:5000/x",
                    "ports": [{"containerPort": 80}],
                    "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 3},
                    "resources": {"limits": {"cpu": "1"}},
                }
            ],
            "volumes": [
                {"name": "e"},
                {"name": "h", "hostPath": {"path": "/x"}},
                {"name": "c", "configMap": {}},
            ],
        }
    }
    default_pod(body)
    container, spec = body["spec"]["containers"][0], body["spec"]
    assert container["imagePullPolicy"] == "Always"
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP", "hostPort": 80}]
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert container["livenessProbe"]["periodSeconds"] == 3
    assert container["livenessProbe"]["failureThreshold"] == 3
    assert container["livenessProbe"]["httpGet"] == {"port": 80, "path": "/", "scheme": "HTTP"}
    assert container["resources"]["requests"] == {"cpu": "1"}
    assert spec["volumes"][0]["emptyDir"] == {}
    assert spec["volumes"][1]["hostPath"] == {"path": "/x", "type": ""}
    assert spec["volumes"][2]["configMap"] == {"defaultMode": 420}
    again = yaml.safe_load(yaml.safe_dump(body))
    default_pod(again)
    assert again == body


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "0"}}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        (
            [{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}],
            "Guaranteed",
        ),
        ([{"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "0.5"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
    ],
)
def test_the_quality_of_service_class(resources: list[dict[str, Any]], qos: str) -> None:
    assert qos_class({"containers": [{"resources": entry} for entry in resources]}) == qos


def test_quantities() -> None:
    assert quantity("1500m") == quantity("1.5") == quantity(1.5)
    assert quantity("1Ki") == 1024
    assert quantity("1e3") == quantity("1k") == 1000
    assert [quantity(text) for text in ("", "x", "1Q", "nan", "1e100000000", None)] == [None] * 6


def test_a_default_node_takes_pods_that_name_none(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        bound = await world.good("POST", PODS, pod())
        assert bound["spec"]["nodeName"] == "here"
        assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
        named = await world.good("POST", PODS, pod("other", nodeName="there"))
        assert named["spec"]["nodeName"] == "there"

    run(tmp_path, check, default_node="here")


def test_a_binding_puts_a_pod_on_a_node_once(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod())
        body = {"kind": "Binding", "apiVersion": "v1", "target": {"kind": "Node", "name": "n"}}
        assert (await world.good("POST", f"{PODS}/web/binding", body))["status"] == "Success"
        assert (await world.good("GET", f"{PODS}/web"))["spec"]["nodeName"] == "n"
        assert (await world.refused("POST", f"{PODS}/web/binding", body))[0] == 409
        assert (await world.refused("POST", f"{PODS}/web/binding", {"target": 3}))[0] == 400

    run(tmp_path, check)


def test_logs_come_from_the_handler_or_are_said_to_be_missing(tmp_path: Path) -> None:
    async def answer(
        request: web.Request, namespace: str, name: str, params: Mapping[str, str]
    ) -> web.StreamResponse:
        return web.Response(text=f"{request.method} {namespace}/{name} {params['container']}\n")

    async def check(world: World) -> None:
        assert (await world.refused("GET", f"{PODS}/web/log"))[:2] == (404, "NotFound")
        await world.good("POST", PODS, pod())
        url = f"{world.server.url}{PODS}/web/log"
        async with world.session.get(url, params={"container": "main"}) as got:
            assert await got.text() == "GET default/web main\n"

    async def without(world: World) -> None:
        await world.good("POST", PODS, pod())
        assert (await world.refused("GET", f"{PODS}/web/log"))[:2] == (501, "NotImplemented")

    run(tmp_path / "with", check, log_handler=answer)
    run(tmp_path / "without", without)


def test_old_events_are_forgotten(tmp_path: Path) -> None:
    path = "/api/v1/namespaces/default/events"
    later = NOW + timedelta(hours=2)

    async def first(world: World) -> None:
        for name, when in (("old", NOW), ("new", later)):
            stamp = when.strftime("%Y-%m-%dT%H:%M:%SZ")
            await world.good("POST", path, {"metadata": {"name": name}, "lastTimestamp": stamp})

    async def second(world: World) -> None:
        async with world.watching(path) as watch:
            seen = [await watch.brief()]
            while seen[-1] != ("DELETED", "old"):
                if seen == [("ADDED", "new")]:
                    break
                seen.append(await watch.brief())
        names = [event["metadata"]["name"] for event in (await world.good("GET", path))["items"]]
        assert names == ["new"]

    run(tmp_path, first, clock=lambda: NOW)
    run(tmp_path, second, clock=lambda: later)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serving_alone_ends_cleanly_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from minikubelet.stubapi.stubalone import serve_alone\n"
        "where = pathlib.Path(sys.argv[1])\n"
        "asyncio.run(serve_alone(where / 'state', '127.0.0.1', 0, where / 'kubeconfig',\n"
        "    on_started=lambda server: print(server.url, flush=True)))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=os.environ
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"https://127.0.0.1:")
        assert (tmp_path / "kubeconfig").exists()
        process.send_signal(number)
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("container", "field", "reason"),
    [
        ({"resources": {"requests": {"cpu": "abc"}}}, "resources.requests.cpu", "FieldValueInvalid"),
        ({"readinessProbe": {"periodSeconds": 5}}, "readinessProbe", "FieldValueRequired"),
        ({"imagePullPolicy": "Maybe"}, "imagePullPolicy", "FieldValueNotSupported"),
        ({"tty": "often"}, "tty", "FieldValueTypeInvalid"),
    ],
)
def test_values_that_a_node_could_not_use_are_refused(
    container: dict[str, Any], field: str, reason: str
) -> None:
    """By the rules of a manifest; a quantity that nobody can read would stop every client that lists pods."""
    wanted = pod("web")
    wanted["spec"]["containers"][0] |= container
    default_pod(wanted)
    causes = [(cause.field, cause.reason) for cause in check_new_pod(wanted)]
    assert causes == [(f"spec.containers[0].{field}", reason)]


def test_data_has_keys_that_can_be_files_and_values_that_are_text() -> None:
    """Anything else could be mounted by no node, or decoded by no client."""
    meta = {"name": "a"}
    keys = {"a.b-c_D": "", "a/b": "", "..": "", "a b": ""}
    for resource, field in ((CONFIGMAPS, "data"), (CONFIGMAPS, "binaryData"), (SECRETS, "stringData")):
        causes = [cause.field for cause in check_meta(resource, {"metadata": meta, field: keys})]
        assert causes == [f"{field}[a/b]", f"{field}[..]", f"{field}[a b]"]
    with pytest.raises(ApiError, match="data"):
        check_shape(CONFIGMAPS, {"metadata": meta, "data": {"a": 1}})
