"""Lines come out whole however the chunks fall."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.apiclient.apiframes import LineSplitter, decode_json

LINES = st.lists(st.binary(min_size=1, max_size=40).filter(lambda line: b"\n" not in line and line.strip()))


@settings(deadline=None)
@given(lines=LINES, rest=st.binary(max_size=20).filter(lambda rest: b"\n" not in rest), data=st.data())
def test_any_cutting_gives_the_same_lines(lines: list[bytes], rest: bytes, data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    splitter = LineSplitter()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])
    assert found == lines
    assert splitter.pending_bytes == len(rest)


def test_a_line_of_megabytes_in_small_chunks_is_one_line() -> None:
    line = b"x" * 3_000_000
    splitter = LineSplitter()
    found = []
    stream = line + b"\nnext\n"
    for start in range(0, len(stream), 4096):
        found += splitter.feed(stream[start : start + 4096])
    assert found == [line, b"next"]


def test_empty_lines_are_dropped_and_carriage_returns_kept_for_json() -> None:
    assert LineSplitter().feed(b'\n\r\n{"a":1}\r\n\n') == [b'{"a":1}\r']
    assert decode_json(b'{"a":1}\r') == {"a": 1}


@pytest.mark.parametrize("chunks", [[b"123456"], [b"123", b"456"], [b"1\n123", b"45678\n"]])
def test_a_line_beyond_the_limit_is_refused(chunks: list[bytes]) -> None:
    splitter = LineSplitter(most_bytes=5)
    with pytest.raises(ValueError, match="longer than 5 bytes"):
        for chunk in chunks:
            splitter.feed(chunk)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\xff"', b"[" * 200_000, b"{} {}"])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_json(data)
