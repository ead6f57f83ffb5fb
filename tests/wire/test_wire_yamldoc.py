"""Bytes to documents: meanings, places, encodings, limits."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from minikubelet.wire.fitting import plain_value
from minikubelet.wire.yamldoc import MAX_BYTES, MAX_DEPTH, Documents, Node, read_documents


def values(text: str | bytes) -> list[Any]:
    read = read_documents(text.encode() if isinstance(text, str) else text)
    assert read.fault is None, read.fault
    return [plain_value(node) for node in read.documents]


def fault(data: str | bytes) -> str:
    read = read_documents(data.encode() if isinstance(data, str) else data)
    assert read.fault is not None
    return str(read.fault)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("y", True), ("On", True), ("NO", False), ("n", False), ("tRue", "tRue"),
        ("~", None), ("Null", None), ("nUll", "nUll"),
        ("0644", 420), ("0o644", 420), ("0x1F", 31), ("0b101", 5), ("1_000", 1000), ("08", 8), ("-12", -12),
        ("1:30", "1:30"), ("8080:80", "8080:80"), ("2024-05-01", "2024-05-01"), ("1.36", 1.36), ("1.0", 1),
        (".5", 0.5), ("1e3", 1000), ("-", None), ("+", "+"), (".", "."), ("1.2.3", "1.2.3"), ("'5'", "5"),
        ("!!str 5", "5"), ("!!int 5", 5), ("!!float 5", 5), ("! 5", "5"), ("<<", "<<"), ("=", "="),
        ("9" * 400, "9" * 400),
    ],
)  # fmt: skip
def test_scalars_mean_what_they_mean_to_upstream(text: str, value: object) -> None:
    """The tables of goyaml.v2, not those of PyYAML."""
    if text == "-":
        assert values("- -") == [[[None]]]
        return
    result = values(f"[{text}]")[0][0]
    assert result == value
    assert type(result) is type(value)


def test_every_value_knows_its_line_and_that_of_its_key() -> None:
    """What is reported later stands on the line of the key."""
    read = read_documents(b"# top\na:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n---\ne: f\n")
    first, second = read.documents
    assert isinstance(first.value, dict)
    assert isinstance(second.value, dict)
    a = first.value["a"]
    assert (first.line, a.key_line, a.line) == (2, 2, 3)
    assert isinstance(a.value, dict)
    items = a.value["c"].value
    assert isinstance(items, list)
    assert [(one.line, one.column) for one in items] == [(5, 7), (6, 7)]
    assert second.value["e"].key_line == 8


def test_aliases_and_merges_are_resolved_and_what_is_written_wins() -> None:
    """Merge keys as in YAML 1.1: the nearest writing wins, then the first merge."""
    text = "x: &x {a: 1, b: 1}\ny: {<<: *x, a: 2}\nz: {<<: [*x, {b: 3, c: 3}]}\nw: [*x]\n"
    assert values(text) == [
        {"x": {"a": 1, "b": 1}, "y": {"a": 2, "b": 1}, "z": {"a": 1, "b": 1, "c": 3}, "w": [{"a": 1, "b": 1}]}
    ]


def test_anchors_end_with_their_document() -> None:
    """An alias to another document's anchor is a fault, as YAML says."""
    assert "nothing above is named &a" in fault("x: &a 1\n---\ny: *a\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_and_without_marks_are_read(encoding: str) -> None:
    """Editors of several systems write manifests."""
    assert values("a: grün 😀\n".encode(encoding)) == [{"a": "grün 😀"}]


_CHARACTERS = some.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff\u2028\u2029"
)
_JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | some.text(_CHARACTERS, max_size=20),
    lambda inner: (
        some.lists(inner, max_size=4) | some.dictionaries(some.text("abcd", min_size=1), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_JSON)
def test_json_is_read_as_json(value: object) -> None:
    """What JSON's own reader reads, this one reads alike, escaped halves of characters included."""
    for ascii_only in (True, False):
        text = json.dumps([value], ensure_ascii=ascii_only, indent="\t")
        assert values(text) == [[value]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\na: 2\n", "line 2, column 1: the key 'a' stands here and on line 1"),
        (b"a:\n\tb: 1\n", "line 2, column 1: a tab cannot indent YAML"),
        (b"a: \x00", "line 1, column 4: the character U+0000 may not be in a manifest"),
        (b"x\n\xff\n", "line 2, column 1: this is no UTF-8 text"),
        (b"\x7fELF\x02", "line 1, column 1: the character U+007F"),
        (b"a: [1,\nb: 2\n", "(while parsing a flow sequence that begins on line 1)"),
        (b"a: 'x", "quoted scalar that begins on line 1"),
        (b"a: b: c", "line 1, column 5"),
        (b"a: *x", "line 1, column 4: nothing above is named &x"),
        (b"a: &a [*a]", "line 1, column 8: the alias *a stands inside what it names"),
        (b"? [a]\n: b", "a key must be a plain word"),
        (b"&a x: 1\n*a : 2", "an alias cannot be a key"),
        (b"a: !!python/object/apply:os.system [ls]", "tags of lists and mappings are not supported"),
        (b"a: !!python/name:os.system x", "the tag !!python/name:os.system is not supported"),
        (b"a: !!binary aGVsbG8=", "the tag !!binary is not supported"),
        (b"a: !!int hunter2", "the value is not what its tag !!int says"),
        (b"a: .inf", "is not a number that can be used here"),
        (b"a: 1e400", "the number is too large"),
        (b"a: {<<: 5}", "<< merges mappings only"),
        (b"x" * (MAX_BYTES + 1), "the file has more than 10 MB"),
        (b"[" * 500, "nested deeper than 100 levels"),
        (b"[" * 5_000, "nested deeper than 100 levels"),
        (b"[" * 1_000_000, "nested deeper than 100 levels"),
        (b"a: " + b"{a: " * 5_000, "nested deeper than 100 levels"),
        (b"- " * 1_000_000, "nested deeper than 100 levels"),
        (b"- x\n" * 150_000, "more than 100000 values"),
        (b"--- 1\n" * 2_000, "more than 1000 documents"),
    ],
)
def test_a_fault_is_one_clear_sentence_with_its_place(data: bytes, message: str) -> None:
    """Nothing gets further than a limit, and nobody sees a parser's inside."""
    assert message in fault(data)
    assert "hunter2" not in fault(data)


def test_depth_may_be_used_up_to_its_limit() -> None:
    """The limit is 100 levels, not 99."""
    assert read_documents(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH).fault is None
    assert "nested deeper" in fault(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_a_bomb_of_aliases_is_counted_before_it_bursts() -> None:
    """Ten to the twelfth values from a few lines, and depth hidden behind aliases."""
    wide = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert "more than 100000 values, aliases counted as often as used" in fault(wide)
    merged = "a0: &a0 {a: [1,2,3]}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
    )
    assert "more than 100000 values" in fault(merged)
    deep = f"a0: &a0 {'[' * 90}{']' * 90}\n" + "".join(
        f"a{n}: &a{n} {'[' * 90}*a{n - 1}{']' * 90}\n" for n in range(1, 50)
    )
    assert "nested deeper than 100 levels" in fault(deep)


def test_documents_above_a_fault_are_kept() -> None:
    """A file that is being written yields what stands there already."""
    read = read_documents(b"a: 1\n---\nb: [\n")
    assert [plain_value(node) for node in read.documents] == [{"a": 1}]
    assert read.fault is not None
    assert read.fault.line == 4


def test_empty_documents_are_left_out() -> None:
    """A trailing `---` is no pod."""
    assert values("---\n---\n# nothing\n---\na: 1\n---\n") == [{"a": 1}]
    assert values(b"") == []


def _check(read: Documents) -> None:
    assert all(isinstance(node, Node) for node in read.documents)


@given(some.binary(max_size=200) | some.text(max_size=200).map(str.encode))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    _check(read_documents(data))


@given(some.lists(some.sampled_from(list("{}[]:,-?&*!|>%@`'\"#\n\t <=~ab1.")), max_size=80).map("".join))
def test_no_pile_of_yaml_signs_makes_it_raise(text: str) -> None:
    _check(read_documents(text.encode()))


def test_a_thousand_random_strings_do_no_harm() -> None:
    """As an operator might drop any file into the folder."""
    chance = random.Random(20260501)
    for _ in range(1_000):
        _check(read_documents(chance.randbytes(chance.randrange(400))))
