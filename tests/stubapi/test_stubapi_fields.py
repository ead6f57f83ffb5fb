"""Fields that no object has: refused, warned of or ignored, as the request says, and never stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

from minikubelet.stubapi.stubfields import known_fields
from minikubelet.stubapi.stubresources import RESOURCES, Resource
from tests.stubapi.stubapi_world import PODS, World, pod, run
from tests.wire.fieldtable import VERSION, references

if TYPE_CHECKING:
    from collections.abc import Iterator

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
CONFIGS = "/api/v1/namespaces/default/configmaps"


def _misspelt() -> dict[str, Any]:
    body = pod(nodeNane="n")
    body["spec"]["containers"][0]["imagee"] = "x"
    body["metadata"]["lables"] = {}
    return body


FOUND = ["spec.containers[0].imagee", "spec.nodeNane", "metadata.lables"]


async def _warnings(world: World, method: str, path: str, body: Any, **query: str) -> list[str]:
    async with world.session.request(method, world.server.url + path, json=body, params=query) as answer:
        assert answer.status < 300, await answer.text()
        return answer.headers.getall("Warning", [])


def test_strict_refuses_and_names_every_field(tmp_path: Path) -> None:
    """400 for a whole object, 422 for what a patch leads to; nothing is changed."""

    async def check(world: World) -> None:
        code, reason, message = await world.refused("POST", PODS, _misspelt(), fieldValidation="Strict")
        assert (code, reason) == (400, "BadRequest")
        assert message.startswith('Pod in version "v1" cannot be handled as a Pod: strict decoding error: ')
        assert all(f'unknown field "{path}"' in message for path in FOUND)
        stored = await world.good("POST", PODS, pod(), fieldValidation="Strict")
        patch = {"spec": {"priorityy": 1}}
        for content in (MERGE, STRATEGIC):
            code, reason, message = await world.refused(
                "PATCH", f"{PODS}/web", patch, content=content, fieldValidation="Strict"
            )
            assert (code, reason) == (422, "Invalid")
            assert 'strict decoding error: unknown field "spec.priorityy"' in message
        wrong = {**stored, "extra": 1}
        assert (await world.refused("PUT", f"{PODS}/web", wrong, fieldValidation="Strict"))[0] == 400
        assert await world.good("GET", f"{PODS}/web") == stored

    run(tmp_path, check)


def test_unknown_fields_are_warned_of_by_default_and_left_out(tmp_path: Path) -> None:
    """Each field has its warning; a client that asks to ignore them gets none; neither stores them."""

    async def check(world: World) -> None:
        wanted = [f'299 - "unknown field \\"{path}\\""' for path in FOUND]
        assert sorted(await _warnings(world, "POST", PODS, _misspelt())) == sorted(wanted)
        stored = await world.good("GET", f"{PODS}/web")
        assert "imagee" not in stored["spec"]["containers"][0]
        assert "nodeNane" not in stored["spec"]
        body = {"metadata": {"name": "c"}, "data": {"any": "key"}, "Data": {}}
        assert await _warnings(world, "POST", CONFIGS, body, fieldValidation="Ignore") == []
        assert "Data" not in await world.good("GET", f"{CONFIGS}/c")
        assert await _warnings(world, "PUT", f"{CONFIGS}/c", body, fieldValidation="Warn") == [
            '299 - "unknown field \\"Data\\""'
        ]

    run(tmp_path, check)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (
            "application/json",
            b'{"metadata": {"name": "c"}, "data": {"a": "1", "b": "2", "a": "3"}, "x": [{"y": 1, "y": 2}]}',
            'duplicate field "data.a", duplicate field "x[0].y", unknown field "x"',
        ),
        (
            "application/yaml",
            b"metadata: {name: c}\ndata:\n  a: '1'\n  a: '3'\nlist: [{b: 1, b: 2}]\n",
            'line 4: key "a" already set in map, line 5: key "b" already set in map, unknown field "list"',
        ),
    ],
)
def test_keys_that_stand_twice_are_named(tmp_path: Path, kind: str, body: bytes, said: str) -> None:
    """As upstream: refused where the client is strict, warned of by default, and the last one counts."""

    async def check(world: World) -> None:
        async def post(directive: str) -> tuple[int, str, list[str]]:
            url = f"{world.server.url}{CONFIGS}?fieldValidation={directive}"
            headers = {"Content-Type": kind}
            async with world.session.post(url, data=body, headers=headers) as answer:
                return answer.status, await answer.text(), answer.headers.getall("Warning", [])

        code, text, _ = await post("Strict")
        assert code == 400
        assert f"strict decoding error: {said}" in json.loads(text)["message"]
        code, text, warnings = await post("Warn")
        assert (code, len(warnings)) == (201, said.count(",") + 1)
        assert json.loads(text)["data"]["a"] == "3"

    run(tmp_path, check)


def test_a_body_that_is_nested_deeply_is_refused(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        headers = {"Content-Type": "application/json"}
        for depth, status in ((100, 201), (100_000, 400)):
            body = b'{"metadata": {"name": "c"}, "x": ' + b'{"y": ' * depth + b"1" + b"}" * depth + b"}"
            url = f"{world.server.url}{CONFIGS}"
            async with world.session.post(url, data=body, headers=headers) as answer:
                assert answer.status == status, await answer.text()

    run(tmp_path, check)


def test_a_field_cannot_break_out_of_its_warning(tmp_path: Path) -> None:
    """Line ends, quotes and length of a name stay within bounds, and so do many of them."""

    async def check(world: World) -> None:
        body = {"metadata": {"name": "c"}, 'x\r\nSet-Cookie: a="b"': 1, "y" * 5000: 2}
        first, second = await _warnings(world, "POST", CONFIGS, body)
        assert first == '299 - "unknown field \\"x??Set-Cookie: a=?b?\\""'
        assert len(second) < 300
        many = {"metadata": {"name": "d"}, **{f"field{number}" * 20: number for number in range(1000)}}
        assert sum(len(each) for each in await _warnings(world, "POST", CONFIGS, many)) < 5000

    run(tmp_path, check)


@pytest.mark.parametrize(
    ("method", "path", "option"),
    [
        ("POST", PODS, "dryRun"),
        ("DELETE", f"{PODS}/web", "dryRun"),
        ("DELETE", f"{PODS}/web", "propagationPolicy"),
        ("PUT", f"{PODS}/web", "fieldValidation"),
        ("PATCH", f"{PODS}/web", "fieldValidation"),
    ],
)
def test_an_option_that_does_not_exist_is_invalid(
    tmp_path: Path, method: str, path: str, option: str
) -> None:
    """A misspelt `dryRun` must not delete anything."""

    async def check(world: World) -> None:
        await world.good("POST", PODS, pod())
        body = None if method == "DELETE" else pod("other")
        code, reason, message = await world.refused(method, path, body, **{option: "Some"})
        assert (code, reason) == (422, "Invalid")
        assert f'{option}: Unsupported value: "Some": supported values: "' in message
        assert len((await world.good("GET", PODS))["items"]) == 1

    run(tmp_path, check)


def test_owner_references_are_whole(tmp_path: Path) -> None:
    """An owner without uid, or two controllers, are refused with the field."""

    async def check(world: World) -> None:
        owner = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": True}
        for owners, field in (([{**owner, "uid": ""}], "[0].uid"), ([owner, owner], "")):
            body = {"metadata": {"name": "c", "ownerReferences": owners}}
            code, _, message = await world.refused("POST", CONFIGS, body)
            assert code == 422
            assert f"metadata.ownerReferences{field}: " in message

    run(tmp_path, check)


def _upstream() -> dict[str, dict[str, Any]]:
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    text = (folder / f"v{VERSION}.0-local-strict" / "_definitions.json").read_text(encoding="utf-8")
    definitions: dict[str, dict[str, Any]] = json.loads(text)["$defs"]
    return definitions


def _differences(
    known: Any, schema: dict[str, Any], path: str, types: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """Paths that one side has and the other has not, down to where any field may be."""
    properties = schema.get("properties", {})
    if known is None or not properties:
        return
    for name in sorted(set(known) ^ set(properties)):
        yield f"{path}.{name}"
    for name in set(known) & set(properties):
        for reference in references(properties[name]):
            yield from _differences(known[name], types[reference], f"{path}.{name}", types)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.storage)
def test_the_known_fields_are_upstreams(resource: Resource) -> None:
    """No field of upstream's is refused, and none is taken that upstream does not have."""
    types = _upstream()
    kinds = [
        schema
        for schema in types.values()
        if schema.get("properties", {}).get("kind", {}).get("enum") == [resource.kind]
        and schema["properties"]["apiVersion"].get("enum") == [resource.api_version]
    ]
    assert kinds
    assert sorted(_differences(known_fields(resource), kinds[0], resource.kind, types)) == []
