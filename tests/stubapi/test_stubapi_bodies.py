"""What clients send: formats, sizes, nonsense; each answered with a Status and never with a 500."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stubapi.stubapi_world import PODS, World, pod, run

if TYPE_CHECKING:
    from pathlib import Path

MERGE = "application/merge-patch+json"


def test_yaml_is_read_as_json_would_be(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        text = (
            b"metadata: {name: web, annotations: {day: 2026-01-01}}\n"
            b"spec: {containers: [{name: a, image: b}]}\n"
        )
        created = await world.good("POST", PODS, text, content="application/yaml")
        assert created["metadata"]["annotations"] == {"day": "2026-01-01"}

    run(tmp_path, check)


BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("content", "body", "code"),
    [
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ("application/json", b"[]", 400),
        ("application/json", b'"x"', 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"[" * 100_000, 400),
        ("application/json", b'{"metadata": {"name": "x"}, "more": ' + b"[" * 900 + b"]" * 900 + b"}", 422),
        ("application/json", b'{"metadata": {"name": "x"}, "more": 18446744073709551616}', 422),
        ("application/json", b'{"metadata": "x"}', 400),
        ("application/json", b'{"kind": "Node", "metadata": {"name": "x"}}', 400),
        ("application/json", b'{"apiVersion": "v2", "metadata": {"name": "x"}}', 400),
        ("application/json", b'{"metadata": {"name": "x", "namespace": "other"}}', 400),
        ("application/json", b'{"metadata": {"name": "x"}, "spec": {"containers": [7]}}', 400),
        ("application/json", b'{"metadata": {"name": "x"}, "spec": {"containers": [{}]}}', 422),
        ("application/json", b'{"metadata": {"name": "x"}, "spec": null}', 422),
        ("application/yaml", BOMB, 400),
        ("application/yaml", b"a: [", 400),
        ("application/yaml", b"- " * 5000 + b"x", 400),
        ("application/vnd.kubernetes.protobuf", b"k8s\x00", 400),
        ("text/plain", b"{}", 415),
        ("application/json", b" " * (4 * 1024 * 1024), 413),
    ],
)
def test_a_body_that_is_no_pod_is_refused(tmp_path: Path, content: str, body: bytes, code: int) -> None:
    async def check(world: World) -> None:
        assert (await world.refused("POST", PODS, body, content=content))[0] == code
        assert (await world.good("GET", PODS))["items"] == []

    run(tmp_path, check)


def test_apply_patches_are_not_supported_and_say_which_are(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod())
        code, reason, message = await world.refused(
            "PATCH", f"{PODS}/web", b"{}", content="application/apply-patch+yaml"
        )
        assert (code, reason) == (415, "UnsupportedMediaType")
        assert "application/strategic-merge-patch+json" in message
        for body in (b"[]", b"7", b"{"):
            assert (await world.refused("PATCH", f"{PODS}/web", body, content=MERGE))[0] == 400
        assert (await world.refused("PATCH", f"{PODS}/absent", b"{}", content=MERGE))[0] == 404
        renamed = {"metadata": {"name": "other"}}
        assert (await world.refused("PATCH", f"{PODS}/web", renamed, content=MERGE))[0] == 400

    run(tmp_path, check)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/pods"),
        ("PUT", PODS),
        ("POST", f"{PODS}/web"),
        ("DELETE", "/api/v1/pods"),
        ("DELETE", f"{PODS}/web/status"),
        ("PUT", f"{PODS}/web/log"),
    ],
)
def test_a_verb_a_path_does_not_have_is_a_405(tmp_path: Path, method: str, path: str) -> None:
    async def check(world: World) -> None:
        assert (await world.refused(method, path, pod()))[:2] == (405, "MethodNotAllowed")

    run(tmp_path, check)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "x"},
        {"limit": "-1"},
        {"continue": "???"},
        {"resourceVersion": "new"},
        {"watch": "1", "timeoutSeconds": "soon"},
        {"fieldSelector": "spec.nothing=1"},
        {"labelSelector": "a in"},
    ],
)
def test_a_query_that_makes_no_sense_is_a_bad_request(tmp_path: Path, query: dict[str, str]) -> None:
    async def check(world: World) -> None:
        assert (await world.refused("GET", PODS, **query))[:2] == (400, "BadRequest")

    run(tmp_path, check)


def test_a_client_that_takes_no_json_is_told_so(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        headers = {"Accept": "application/vnd.kubernetes.protobuf"}
        async with world.session.get(world.server.url + PODS, headers=headers) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (406, "NotAcceptable")

    run(tmp_path, check)
