"""The SPDY session: what one endpoint sends the other understands; garbage harms nobody."""

from __future__ import annotations

import hashlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from minikubelet.nodeapi.spdyevents import (
    DataReceived,
    GoneAway,
    HeadersReceived,
    PingAnswered,
    ResetStatus,
    SpdyEvent,
    SpdyFault,
    StreamOpened,
    StreamReset,
    WindowUpdated,
)
from minikubelet.nodeapi.spdyheaders import DICTIONARY, HeaderFault, HeaderPacker, HeaderUnpacker
from minikubelet.nodeapi.spdysession import LARGEST_DATA, MOST_STREAMS, SpdySession

HEADERS = some.dictionaries(
    some.text(some.sampled_from("abcxyz-:_09~"), min_size=1),
    some.text(some.characters(max_codepoint=255)),
    max_size=6,
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The bytes in pieces of these sizes, the rest at the end."""
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def joined(events: list[SpdyEvent]) -> list[SpdyEvent]:
    """Events with neighbouring data of one stream put together: pieces may come in any size."""
    found: list[SpdyEvent] = []
    for event in events:
        last = found[-1] if found else None
        if (
            isinstance(event, DataReceived)
            and isinstance(last, DataReceived)
            and last.stream_id == event.stream_id
        ):
            found[-1] = DataReceived(event.stream_id, last.data + event.data, event.fin)
        else:
            found.append(event)
    return found


def control(kind: int, body: bytes, *, version: int = 3, flags: int = 0) -> bytes:
    return struct.pack(">HHL", 0x8000 | version, kind, flags << 24 | len(body)) + body


def test_the_dictionary_is_the_specification_s() -> None:
    """Its checksum is in every block that a peer packs: one wrong byte and nothing unpacks."""
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)
    digest = "51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02"
    assert hashlib.sha256(DICTIONARY).hexdigest() == digest


@given(some.lists(HEADERS, max_size=5))
def test_headers_go_round(blocks: list[dict[str, str]]) -> None:
    packer, unpacker = HeaderPacker(), HeaderUnpacker()
    assert [unpacker.unpack(packer.pack(block)) for block in blocks] == blocks


def test_a_block_that_grows_huge_is_refused() -> None:
    """A few hundred bytes must not become megabytes."""
    packed = HeaderPacker().pack({"a": "x" * 1_000_000})
    assert len(packed) < 10_000
    with pytest.raises(HeaderFault, match="larger than"):
        HeaderUnpacker().unpack(packed)


@given(some.binary(max_size=200))
def test_garbage_for_a_block_is_a_fault(data: bytes) -> None:
    with pytest.raises(HeaderFault):
        HeaderUnpacker().unpack(data)


ACTIONS = some.lists(
    some.one_of(
        some.tuples(some.just("open"), HEADERS, some.booleans()),
        some.tuples(some.just("send"), some.integers(0, 5), some.binary(max_size=2000), some.booleans()),
        some.tuples(some.just("reset"), some.integers(0, 5)),
        some.tuples(some.just("ping"), some.integers(0, 1000)),
        some.tuples(some.just("window"), some.integers(0, 5), some.integers(1, 2**31 - 1)),
    ),
    max_size=20,
)


@given(ACTIONS, some.lists(some.integers(0, 40), max_size=60))
def test_what_a_client_does_its_peer_sees(actions: list[tuple[object, ...]], sizes: list[int]) -> None:
    """Whatever the pieces in which the bytes arrive."""
    client, server = SpdySession(client=True), SpdySession()
    expected: list[SpdyEvent] = []
    opened: list[int] = []
    for action in actions:
        match action:
            case ("open", dict() as headers, bool() as fin):
                opened.append(client.open_stream(headers, fin=fin))
                expected.append(StreamOpened(opened[-1], headers, fin))
            case ("send", int() as which, bytes() as data, bool() as fin) if which < len(opened):
                if client.can_send(opened[which]) and (data or fin):
                    expected.append(DataReceived(opened[which], data, fin))
                client.send(opened[which], data, fin=fin)
            case ("reset", int() as which) if which < len(opened) and client.can_send(opened[which]):
                client.reset(opened[which], ResetStatus.CANCEL)
                expected.append(StreamReset(opened[which], ResetStatus.CANCEL))
            case ("window", int() as which, int() as delta) if which < len(opened):
                if client.can_send(opened[which]):
                    client.consumed(opened[which], delta)
                    expected.append(WindowUpdated(opened[which], delta))
            case ("ping", int() as number):
                client.ping(2 * number + 1)
            case _:
                continue
    pings = sum(action[0] == "ping" for action in actions)
    seen = [event for piece in cut(client.data_to_send(), sizes) for event in server.receive(piece)]
    assert joined(seen) == joined(expected)
    answered = client.receive(server.data_to_send())
    assert [type(event) for event in answered] == [PingAnswered] * pings


@given(some.binary(max_size=400), some.lists(some.integers(0, 40), max_size=20))
def test_garbage_ends_in_a_fault_or_in_silence(data: bytes, sizes: list[int]) -> None:
    session = SpdySession()
    try:
        for piece in cut(data, sizes):
            session.receive(piece)
    except SpdyFault:
        assert session.receive(b"more") == []
        assert session.data_to_send()[-16:-8] == struct.pack(">HHL", 0x8003, 7, 8)


@given(some.data())
def test_a_torn_or_twisted_conversation_is_survived(data: some.DataObject) -> None:
    """One byte of a good conversation changed: events, a fault, never another exception."""
    client = SpdySession(client=True)
    for _ in range(3):
        stream = client.open_stream({"streamtype": "data", "port": "80"})
        client.send(stream, b"hello", fin=True)
    good = bytearray(client.data_to_send())
    good[data.draw(some.integers(0, len(good) - 1))] ^= data.draw(some.integers(1, 255))
    session = SpdySession()
    try:
        events = session.receive(bytes(good))
    except SpdyFault:
        return
    assert all(isinstance(event, tuple) for event in events)


def test_a_reply_reaches_the_client_and_both_ends_close_a_stream() -> None:
    client, server = SpdySession(client=True), SpdySession()
    stream = client.open_stream({"streamType": "error"}, fin=True)
    assert server.receive(client.data_to_send()) == [StreamOpened(stream, {"streamtype": "error"}, True)]
    server.reply(stream)
    server.send(stream, b"done", fin=True)
    assert client.receive(server.data_to_send()) == [
        HeadersReceived(stream, {}, False),
        DataReceived(stream, b"done", True),
    ]
    assert (client.open_streams, server.open_streams) == (0, 0)
    server.send(stream, b"too late")
    assert server.data_to_send() == b""


def test_large_data_is_cut_into_frames() -> None:
    client, server = SpdySession(client=True), SpdySession()
    stream = client.open_stream({})
    client.send(stream, b"x" * (3 * LARGEST_DATA + 1))
    sent = client.data_to_send()
    assert sum(len(event.data) for event in server.receive(sent) if isinstance(event, DataReceived)) == (
        3 * LARGEST_DATA + 1
    )
    assert len(sent) > 3 * LARGEST_DATA + 1 + 4 * 8


def test_a_data_frame_is_given_before_it_is_whole() -> None:
    """A frame may say 16 MB; nothing waits for them in memory."""
    client, server = SpdySession(client=True), SpdySession()
    stream = client.open_stream({})
    server.receive(client.data_to_send())
    assert server.receive(struct.pack(">LL", stream, 1 << 24 | 10) + b"12345") == [
        DataReceived(stream, b"12345", False)
    ]
    assert server.receive(b"67890") == [DataReceived(stream, b"67890", True)]


@pytest.mark.parametrize(
    "sent",
    [
        control(1, b"\0\0", version=3),
        control(1, b"", version=2),
        control(6, b"\0\0\0"),
        control(7, b""),
        control(4, struct.pack(">L", 2) + b"\0" * 8),
        struct.pack(">HHL", 0x8003, 1, 0xFF_FFFF),
    ],
)
def test_broken_control_frames_end_the_session(sent: bytes) -> None:
    session = SpdySession()
    with pytest.raises(SpdyFault):
        session.receive(sent)


def test_stream_numbers_must_be_the_peer_s_and_rise() -> None:
    for first, second in ((2, 0), (3, 3), (5, 3)):
        session, packer = SpdySession(), HeaderPacker()
        with pytest.raises(SpdyFault, match="under the number"):
            for number in (first, second):
                session.receive(control(1, struct.pack(">LLH", number, 0, 0) + packer.pack({})))


def test_unknown_frames_and_settings_pass_by_and_unknown_streams_are_reset() -> None:
    session, client = SpdySession(), SpdySession(client=True)
    assert session.receive(control(99, b"whatever")) == []
    assert session.receive(struct.pack(">LL", 99, 3) + b"abc") == []
    assert client.receive(session.data_to_send()) == []
    assert session.receive(control(7, struct.pack(">LL", 0, 0))) == [GoneAway(0, 0)]


def test_too_many_streams_are_refused_one_by_one() -> None:
    client, server = SpdySession(client=True), SpdySession()
    for _ in range(MOST_STREAMS + 1):
        last = client.open_stream({"a": "b"})
    assert len(server.receive(client.data_to_send())) == MOST_STREAMS
    assert client.receive(server.data_to_send()) == [StreamReset(last, ResetStatus.REFUSED_STREAM)]
