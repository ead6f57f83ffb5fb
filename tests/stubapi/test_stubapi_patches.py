"""The patch types: examples with upstream's outcome, and laws over generated documents."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.stubapi.stubpatches import json_patch, merge_patch, strategic_patch
from minikubelet.stubapi.stubstatus import ApiError

KEYS = st.sampled_from(["a", "b", "c/d", "e~f"])
VALUES = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)
PATHS = st.lists(KEYS | st.sampled_from(["0", "1", "-"]), max_size=3).map(
    lambda parts: "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
            "path": PATHS,
            "from": PATHS,
            "value": VALUES,
        }
    ),
    max_size=4,
)


def _difference(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    changed = {key: _difference(old.get(key), value) for key, value in new.items()}
    return {**changed, **{key: None for key in old if key not in new}}


@given(DOCUMENTS, DOCUMENTS)
def test_a_merge_patch_made_of_the_difference_makes_the_other(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    before = copy.deepcopy(old)
    assert merge_patch(old, _difference(old, new)) == new
    assert old == before


@given(DOCUMENTS, OPERATIONS)
def test_a_json_patch_works_or_is_refused_and_never_touches_the_original(
    document: dict[str, Any], operations: list[dict[str, Any]]
) -> None:
    before = copy.deepcopy(document)
    codes = []
    try:
        json_patch(document, operations)
    except ApiError as problem:
        codes.append(problem.code)
    assert codes in ([], [400], [422])
    assert document == before


@given(DOCUMENTS, KEYS, VALUES)
def test_json_patch_add_then_test_then_remove_is_nothing(
    document: dict[str, Any], key: str, value: Any
) -> None:
    path = "/" + key.replace("~", "~0").replace("/", "~1")
    without = {name: item for name, item in document.items() if name != key}
    operations = [
        {"op": "add", "path": path, "value": value},
        {"op": "test", "path": path, "value": value},
        {"op": "remove", "path": path},
    ]
    assert json_patch(without, operations) == without


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ({}, 400),
        ([1], 400),
        ([{"op": "add", "path": "/x"}], 400),
        ([{"op": "jump", "path": "/x", "value": 1}], 400),
        ([{"op": "add", "path": "x", "value": 1}], 400),
        ([{"op": "remove", "path": "/absent"}], 422),
        ([{"op": "replace", "path": "/absent", "value": 1}], 422),
        ([{"op": "test", "path": "/list", "value": []}], 422),
        ([{"op": "add", "path": "/list/9", "value": 1}], 422),
        ([{"op": "remove", "path": "/list/-"}], 422),
        ([{"op": "move", "from": "/map", "path": "/map/in"}], 422),
        ([{"op": "remove", "path": ""}], 422),
    ],
)
def test_a_json_patch_that_does_not_fit_says_so(operations: Any, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        json_patch({"list": [1, 2], "map": {}}, operations)
    assert refused.value.code == code


CONTAINERS = st.dictionaries(
    st.sampled_from("pqrs"),
    st.fixed_dictionaries({}, optional={"image": st.sampled_from("xyz"), "tty": st.booleans()}),
    max_size=4,
)


def _listed(by_name: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, **fields} for name, fields in by_name.items()]


@given(CONTAINERS, CONTAINERS, st.sets(st.sampled_from("pqrs")))
def test_a_strategic_patch_merges_containers_by_name(
    old: dict[str, dict[str, Any]], patch: dict[str, dict[str, Any]], gone: set[str]
) -> None:
    items = _listed({name: fields for name, fields in patch.items() if name not in gone})
    items += [{"name": name, "$patch": "delete"} for name in sorted(gone)]
    order = {"$setElementOrder/containers": [{"name": name} for name in old]}
    patched = strategic_patch({"containers": _listed(old)}, {"containers": items, **order})
    wanted = {
        name: {**old.get(name, {}), **patch.get(name, {})} for name in (*old, *patch) if name not in gone
    }
    assert patched == {"containers": _listed(wanted)}


@pytest.mark.parametrize(
    ("document", "patch", "wanted"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}, "d": 1}, {"a": {"$patch": "delete"}}, {"d": 1}),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
        ({"finalizers": ["a"]}, {"finalizers": ["a", "b"]}, {"finalizers": ["a", "b"]}),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        (
            {"conditions": [{"type": "Ready", "status": "False", "reason": "r"}]},
            {"conditions": [{"type": "Ready", "status": "True", "reason": None}, {"type": "X"}]},
            {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X"}]},
        ),
        (
            {"ports": [{"containerPort": 80, "name": "a"}]},
            {"ports": [{"containerPort": 80, "name": "b"}, {"containerPort": 81}]},
            {"ports": [{"containerPort": 80, "name": "b"}, {"containerPort": 81}]},
        ),
        (
            {"ports": [{"port": 80, "targetPort": 1}]},
            {"ports": [{"port": 80, "targetPort": 2}]},
            {"ports": [{"port": 80, "targetPort": 2}]},
        ),
        (
            {"volumeMounts": [{"mountPath": "/a", "name": "v"}]},
            {"volumeMounts": [{"mountPath": "/a", "readOnly": True}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "v", "readOnly": True}]},
        ),
        (
            {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]},
            {"volumes": [{"name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}]},
            {"volumes": [{"name": "v", "emptyDir": {}}]},
        ),
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"$patch": "replace"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "B", "value": "2"}]},
        ),
        (
            {"ownerReferences": [{"uid": "1", "name": "a"}]},
            {"ownerReferences": [{"uid": "1", "$patch": "delete"}]},
            {"ownerReferences": []},
        ),
        ({}, {"metadata": {"labels": {"a": "b", "c": None}}}, {"metadata": {"labels": {"a": "b"}}}),
    ],
)
def test_strategic_patches_end_as_upstreams_do(
    document: dict[str, Any], patch: dict[str, Any], wanted: dict[str, Any]
) -> None:
    before = copy.deepcopy(document)
    assert strategic_patch(document, patch) == wanted
    assert document == before


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "explode"},
        {"containers": [{"image": "x"}]},
        {"containers": ["x"]},
        {"$deleteFromPrimitiveList/finalizers": "a"},
        {"$retainKeys": "a"},
    ],
)
def test_a_strategic_patch_that_makes_no_sense_is_a_bad_request(patch: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        strategic_patch({"containers": [{"name": "a"}]}, patch)
    assert refused.value.code == 400
