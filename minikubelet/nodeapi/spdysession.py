"""One SPDY/3.1 session, sans I/O: bytes in, events out, and bytes that are to be sent.

Belongs here: frames, stream states, what the protocol demands of an endpoint. May not be here: sockets,
tasks, or what streams are used for. The peers that matter (moby/spdystream, in kubectl and API servers)
never open their windows, so sending does not wait for window updates; TCP holds a fast writer back.
Source: draft-mbelshe-httpbis-spdy sections 2.2 to 2.6, and the 3.1 notes on flow control.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from minikubelet.nodeapi.spdyevents import (
    DataReceived,
    FrameType,
    GoneAway,
    HeadersReceived,
    PingAnswered,
    ResetStatus,
    SettingsReceived,
    SpdyEvent,
    SpdyFault,
    StreamOpened,
    StreamReset,
    WindowUpdated,
)
from minikubelet.nodeapi.spdyheaders import HeaderFault, HeaderPacker, HeaderUnpacker

MOST_STREAMS: Final = 1024
"""Open at once; more are refused."""
MOST_CONTROL_BYTES: Final = 64 * 1024
LARGEST_DATA: Final = 32 * 1024
"""Payload of one data frame that is sent, as upstream copies."""

_VERSION: Final = 3
_CONTROL: Final = 0x8000_0000
_ID: Final = 0x7FFF_FFFF
_FIN: Final = 1
_UNIDIRECTIONAL: Final = 2
_HEAD: Final = struct.Struct(">LL")
_ONE: Final = struct.Struct(">L")
_TWO: Final = struct.Struct(">LL")
_SYN: Final = struct.Struct(">LLH")


class _State:
    """Which directions of a stream are still open."""

    __slots__ = ("incoming", "outgoing")

    def __init__(self, *, incoming: bool, outgoing: bool) -> None:
        self.incoming = incoming
        self.outgoing = outgoing


class SpdySession:
    """One endpoint; `client` opens streams with odd numbers, the other with even ones."""

    def __init__(self, *, client: bool = False) -> None:
        self._next_id = 1 if client else 2
        self._parity = 0 if client else 1
        self._last_peer_id = 0
        self._streams: dict[int, _State] = {}
        self._packer = HeaderPacker()
        self._unpacker = HeaderUnpacker()
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._data: tuple[int, int, bool] | None = None
        self._over = False

    @property
    def open_streams(self) -> int:
        """How many streams are open in at least one direction."""
        return len(self._streams)

    def data_to_send(self) -> bytes:
        """What is to be sent since the last call."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def can_send(self, stream_id: int) -> bool:
        """Whether the stream takes data of ours."""
        state = self._streams.get(stream_id)
        return state is not None and state.outgoing

    def open_stream(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        """Open a stream; its id."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        self._streams[stream_id] = _State(incoming=True, outgoing=not fin)
        self._control(
            FrameType.SYN_STREAM, _SYN.pack(stream_id, 0, 0) + self._packer.pack(headers), _FIN if fin else 0
        )
        return stream_id

    def reply(self, stream_id: int, headers: Mapping[str, str] | None = None) -> None:
        """Accept a stream of the peer's."""
        self._control(FrameType.SYN_REPLY, _ONE.pack(stream_id) + self._packer.pack(headers or {}))

    def send(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        """Send data; `fin` ends our direction. On a stream that is closed nothing is sent."""
        if not self.can_send(stream_id):
            return
        view = memoryview(data)
        while len(view) > LARGEST_DATA:
            self._frame(stream_id, 0, view[:LARGEST_DATA])
            view = view[LARGEST_DATA:]
        if len(view) or fin:
            self._frame(stream_id, _FIN if fin else 0, view)
        if fin:
            self._close(stream_id, outgoing=True)

    def consumed(self, stream_id: int, count: int) -> None:
        """So many received bytes have been taken: the peer's window opens by them."""
        if count and stream_id in self._streams:
            self._control(FrameType.WINDOW_UPDATE, _TWO.pack(stream_id, count))

    def reset(self, stream_id: int, status: ResetStatus) -> None:
        """Give a stream up."""
        self._streams.pop(stream_id, None)
        self._control(FrameType.RST_STREAM, _TWO.pack(stream_id, status))

    def ping(self, ping_id: int) -> None:
        """Ask for a sign of life; ids of a client are odd, of a server even."""
        self._control(FrameType.PING, _ONE.pack(ping_id))

    def go_away(self, status: int = 0) -> None:
        """Say that no stream will be taken any more."""
        self._control(FrameType.GOAWAY, _TWO.pack(self._last_peer_id, status))

    def receive(self, data: bytes) -> list[SpdyEvent]:
        """Take bytes in; raises SpdyFault, after which nothing is taken any more."""
        if self._over:
            return []
        self._incoming += data
        events: list[SpdyEvent] = []
        try:
            events.extend(self._read())
        except (HeaderFault, SpdyFault) as fault:
            self._over = True
            self._incoming.clear()
            self.go_away(status=1)
            raise SpdyFault(str(fault)) from None
        return events

    def _read(self) -> Iterator[SpdyEvent]:
        while True:
            if self._data is not None:
                piece = self._piece(*self._data)
                if piece is None:
                    return
                yield from self._take_data(piece)
                continue
            if len(self._incoming) < _HEAD.size:
                return
            first, second = _HEAD.unpack_from(self._incoming)
            flags, length = second >> 24, second & 0xFF_FFFF
            if not first & _CONTROL:
                del self._incoming[: _HEAD.size]
                self._data = (first & _ID, length, bool(flags & _FIN))
                continue
            if length > MOST_CONTROL_BYTES:
                raise SpdyFault(f"a control frame of {length} bytes")
            if len(self._incoming) < _HEAD.size + length:
                return
            body = bytes(self._incoming[_HEAD.size : _HEAD.size + length])
            del self._incoming[: _HEAD.size + length]
            yield from self._take_control(first >> 16 & 0x7FFF, first & 0xFFFF, flags, body)

    def _piece(self, stream_id: int, left: int, fin: bool) -> DataReceived | None:
        """What is there of the data frame that is being read; None to wait for more."""
        data = bytes(self._incoming[:left])
        if left and not data:
            return None
        del self._incoming[: len(data)]
        left -= len(data)
        self._data = (stream_id, left, fin) if left else None
        return DataReceived(stream_id, data, fin and not left)

    def _take_data(self, event: DataReceived) -> Iterator[SpdyEvent]:
        state = self._streams.get(event.stream_id)
        if state is None:
            # One that was closed or reset a moment ago may still be on its way.
            if event.stream_id > max(self._last_peer_id, self._next_id):
                self.reset(event.stream_id, ResetStatus.INVALID_STREAM)
            return
        if not state.incoming:
            self.reset(event.stream_id, ResetStatus.PROTOCOL_ERROR)
            yield StreamReset(event.stream_id, ResetStatus.PROTOCOL_ERROR)
            return
        if event.data or event.fin:
            yield event
        if event.fin:
            self._close(event.stream_id, incoming=True)

    def _take_control(self, version: int, kind: int, flags: int, body: bytes) -> Iterator[SpdyEvent]:
        if version != _VERSION:
            raise SpdyFault(f"SPDY version {version} instead of {_VERSION}")
        match kind:
            case FrameType.SYN_STREAM:
                yield from self._opened(flags, body)
            case FrameType.SYN_REPLY | FrameType.HEADERS:
                yield from self._headed(flags, body)
            case FrameType.SETTINGS:
                yield SettingsReceived(_settings(body))
            case FrameType.GOAWAY:
                yield GoneAway(*_exactly(_TWO, body))
            case FrameType.WINDOW_UPDATE:
                stream_id, delta = _exactly(_TWO, body)
                yield WindowUpdated(stream_id & _ID, delta & _ID)
            case FrameType.RST_STREAM | FrameType.PING:
                yield from self._signalled(kind, body)
            case _:
                return  # unknown control frames are to be ignored

    def _signalled(self, kind: int, body: bytes) -> Iterator[SpdyEvent]:
        if kind == FrameType.RST_STREAM:
            stream_id, status = _exactly(_TWO, body)
            if self._streams.pop(stream_id & _ID, None) is not None:
                yield StreamReset(stream_id & _ID, status)
            return
        (ping_id,) = _exactly(_ONE, body)
        if ping_id & 1 == self._parity:
            self._control(FrameType.PING, body)
        else:
            yield PingAnswered(ping_id)

    def _opened(self, flags: int, body: bytes) -> Iterator[SpdyEvent]:
        if len(body) < _SYN.size:
            raise SpdyFault("a SYN_STREAM frame is too short")
        stream_id = _SYN.unpack_from(body)[0] & _ID
        headers = self._unpacker.unpack(body[_SYN.size :])
        if stream_id <= self._last_peer_id or stream_id & 1 != self._parity:
            raise SpdyFault(f"a stream was opened under the number {stream_id}")
        self._last_peer_id = stream_id
        if len(self._streams) >= MOST_STREAMS:
            self.reset(stream_id, ResetStatus.REFUSED_STREAM)
            return
        fin = bool(flags & _FIN)
        self._streams[stream_id] = _State(incoming=not fin, outgoing=not flags & _UNIDIRECTIONAL)
        yield StreamOpened(stream_id, headers, fin)
        self._forget(stream_id)

    def _headed(self, flags: int, body: bytes) -> Iterator[SpdyEvent]:
        if len(body) < _ONE.size:
            raise SpdyFault("a frame with headers is too short")
        stream_id = _ONE.unpack_from(body)[0] & _ID
        headers = self._unpacker.unpack(body[_ONE.size :])
        if stream_id in self._streams:
            yield HeadersReceived(stream_id, headers, bool(flags & _FIN))
            if flags & _FIN:
                self._close(stream_id, incoming=True)

    def _close(self, stream_id: int, *, incoming: bool = False, outgoing: bool = False) -> None:
        state = self._streams.get(stream_id)
        if state is not None:
            state.incoming = state.incoming and not incoming
            state.outgoing = state.outgoing and not outgoing
            self._forget(stream_id)

    def _forget(self, stream_id: int) -> None:
        state = self._streams.get(stream_id)
        if state is not None and not state.incoming and not state.outgoing:
            del self._streams[stream_id]

    def _frame(self, stream_id: int, flags: int, payload: memoryview) -> None:
        self._outgoing += _HEAD.pack(stream_id, flags << 24 | len(payload)) + payload

    def _control(self, kind: FrameType, body: bytes, flags: int = 0) -> None:
        self._outgoing += _HEAD.pack(_CONTROL | _VERSION << 16 | kind, flags << 24 | len(body)) + body


def _exactly(form: struct.Struct, body: bytes) -> tuple[int, ...]:
    if len(body) != form.size:
        raise SpdyFault(f"a control frame of {len(body)} bytes instead of {form.size}")
    return form.unpack(body)


def _settings(body: bytes) -> dict[int, int]:
    if len(body) < _ONE.size or len(body) != _ONE.size + _TWO.size * _ONE.unpack_from(body)[0]:
        raise SpdyFault("a SETTINGS frame holds another number of values than it says")
    return {key & 0xFF_FFFF: value for key, value in _TWO.iter_unpack(body[_ONE.size :])}
