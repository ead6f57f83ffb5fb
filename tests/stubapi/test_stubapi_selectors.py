"""Selectors: the grammar, and that parsing agrees with a plain reading of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.stubapi.stubresources import CONFIGMAPS, EVENTS, NODES, PODS
from minikubelet.stubapi.stubselectors import parse_selector
from minikubelet.stubapi.stubstatus import ApiError

NAMES = st.sampled_from(["a", "b", "example.com/c"])
WORDS = st.sampled_from(["", "x", "y-1", "Z.2"])
LABELS = st.dictionaries(NAMES, WORDS, max_size=3)


def _labels(labels: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "n", "namespace": "ns", "labels": labels}}


def _select(selector: str, labels: dict[str, str]) -> bool:
    return parse_selector(PODS, {"labelSelector": selector}).matches(_labels(labels))


TERMS = st.one_of(
    st.tuples(NAMES, st.sampled_from(["=", "==", "!="]), WORDS),
    st.tuples(NAMES, st.sampled_from(["in", "notin"]), st.lists(WORDS, min_size=1, max_size=3)),
    st.tuples(NAMES, st.sampled_from(["", "!"]), st.just("")),
)


def _text(term: tuple[str, str, Any], space: str) -> str:
    key, op, value = term
    if op in ("in", "notin"):
        return f"{key} {op} ({(',' + space).join(value)})"
    return f"!{key}" if op == "!" else f"{key}{space}{op}{space}{value}"


def _holds(term: tuple[str, str, Any], labels: dict[str, str]) -> bool:
    key, op, value = term
    match op:
        case "=" | "==":
            return labels.get(key) == str(value)
        case "!=":
            return labels.get(key) != str(value)
        case "in":
            return key in labels and any(labels[key] == one for one in value)
        case "notin":
            return all(labels.get(key) != one for one in value)
        case _:
            return (key in labels) != (op == "!")


@given(st.lists(TERMS, max_size=4), st.sampled_from(["", " "]), LABELS)
def test_a_label_selector_means_what_it_says(
    terms: list[tuple[str, str, Any]], space: str, labels: dict[str, str]
) -> None:
    text = f",{space}".join(_text(term, space) for term in terms)
    assert _select(text, labels) == all(_holds(term, labels) for term in terms)


@pytest.mark.parametrize(
    "text", ["a=b=c", "a in x", "a in (x", "=x", "a,,b", "!!a", "a in (x;y)", "a b", "a>1x"]
)
def test_a_label_selector_that_is_none_is_a_bad_request(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        _select(text, {})
    assert refused.value.code == 400


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    codes = set()
    for name in ("labelSelector", "fieldSelector"):
        try:
            parse_selector(PODS, {name: text}).matches(_labels({}))
        except ApiError as problem:
            codes.add(problem.code)
    assert codes <= {400}


POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns"},
    "spec": {"nodeName": "n1"},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("metadata.name=p", True),
        ("metadata.name==p,metadata.namespace=ns", True),
        ("metadata.namespace!=ns", False),
        ("spec.nodeName=n1,status.phase!=Succeeded,status.phase!=Failed", True),
        ("spec.nodeName=", False),
        ("spec.hostNetwork=false", True),
        (r"metadata.name=a\,b", False),
    ],
)
def test_fields_of_pods_are_selected(text: str, selected: bool) -> None:
    assert parse_selector(PODS, {"fieldSelector": text}).matches(POD) is selected


def test_fields_of_events_and_nodes_are_selected() -> None:
    event = {
        "metadata": {"name": "e", "namespace": "ns"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "ns", "uid": "u"},
        "source": {"component": "kubelet"},
        "type": "Normal",
    }
    text = "involvedObject.name=p,involvedObject.namespace=ns,involvedObject.uid=u,source=kubelet"
    assert parse_selector(EVENTS, {"fieldSelector": text}).matches(event)
    assert not parse_selector(EVENTS, {"fieldSelector": "type=Warning"}).matches(event)
    node: dict[str, Any] = {"metadata": {"name": "n"}, "spec": {}}
    assert parse_selector(NODES, {"fieldSelector": "spec.unschedulable=false"}).matches(node)


@pytest.mark.parametrize("text", ["spec.nodeName=x", "nonsense", "data.key=1"])
def test_a_field_the_resource_does_not_have_is_a_bad_request(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_selector(CONFIGMAPS, {"fieldSelector": text})
    assert refused.value.code == 400
