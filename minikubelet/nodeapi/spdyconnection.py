"""A SPDY session on a connection: streams that can be read and written by tasks.

Belongs here: joining the session to a `ByteLink`, buffers and their bounds. May not be here: frames
(`spdysession`), or what streams are for. A stream whose reader is slow holds the whole connection back
once its buffer is full, as upstream's peers do: they keep no windows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from minikubelet.nodeapi.bytelink import ByteLink
from minikubelet.nodeapi.remotecommand import beating
from minikubelet.nodeapi.spdyevents import (
    DataReceived,
    GoneAway,
    HeadersReceived,
    ResetStatus,
    SpdyEvent,
    SpdyFault,
    StreamOpened,
    StreamReset,
)
from minikubelet.nodeapi.spdysession import SpdySession

MOST_WAITING: Final = 256 * 1024
"""Bytes of one stream that are kept for its reader."""

_PING: Final = 2  # even, as a server's are; the answers are all alike


class SpdyStream:
    """One stream. Reading and writing end quietly when the peer resets it or goes."""

    def __init__(self, connection: SpdyConnection, number: int, headers: Mapping[str, str]) -> None:
        self.number = number
        self.headers = headers
        self.lost = asyncio.Event()
        """set when the peer gave the stream up, or is gone"""
        self._connection = connection
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self.ended = False
        self._unwanted = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def read(self) -> bytes:
        """The next bytes, empty at the end."""
        while not self._waiting:
            if self.ended:
                return b""
            self._news.clear()
            await self._news.wait()
        data = self._waiting.popleft()
        self._size -= len(data)
        if self._size <= MOST_WAITING // 2:
            self._room.set()
        await self._connection.consumed(self.number, len(data))
        return data

    async def write(self, data: bytes) -> None:
        """Send; ConnectionError when the peer is gone, nothing when the stream is."""
        await self._connection.send(self.number, data)

    async def finish(self) -> None:
        """Say that nothing more will be sent."""
        await self._connection.send(self.number, b"", fin=True)

    async def give_up(self, status: ResetStatus = ResetStatus.CANCEL) -> None:
        """Reset the stream."""
        self.ignore()
        await self._connection.reset(self.number, status)

    def ignore(self) -> None:
        """Nobody will read any more: drop what is there and what comes."""
        self._unwanted = True
        self._waiting.clear()
        self._size = 0
        self._room.set()

    def feed(self, data: bytes, *, fin: bool) -> None:
        """Called by the connection."""
        if data and not self._unwanted:
            self._waiting.append(data)
            self._size += len(data)
            if self._size > MOST_WAITING:
                self._room.clear()
        self.ended = self.ended or fin
        self._news.set()

    def end(self, *, reset: bool) -> None:
        """Called by the connection: the peer is done with the stream, or gone."""
        if reset:
            self.lost.set()
        self.ended = True
        self._news.set()

    async def room(self) -> None:
        """Wait until the reader has taken enough."""
        await self._room.wait()


class SpdyConnection:
    """The accepting end. `run` it in a task; it ends when the peer goes or breaks the protocol."""

    def __init__(self, link: ByteLink, session: SpdySession | None = None) -> None:
        self._link = link
        self._session = session or SpdySession()
        self._streams: dict[int, SpdyStream] = {}
        self._opened: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Read until the end, and tell streams and `accept` of it."""
        try:
            async with beating(self._beat):
                await self._read()
        except SpdyFault:
            with suppress(ConnectionError):
                await self._flush()
        except ConnectionError:
            return
        finally:
            for stream in self._streams.values():
                stream.end(reset=True)
            self._opened.put_nowait(None)

    async def _read(self) -> None:
        while data := await self._link.read():
            for event in self._session.receive(data):
                await self._handle(event)
            await self._flush()

    async def _beat(self) -> None:
        self._session.ping(_PING)
        await self._flush()

    async def accept(self) -> SpdyStream | None:
        """The next stream that the peer opened, already replied to; None when there will be none."""
        return await self._opened.get()

    async def send(self, number: int, data: bytes, *, fin: bool = False) -> None:
        """Send on a stream."""
        self._session.send(number, data, fin=fin)
        if fin and (stream := self._streams.get(number)) is not None and stream.ended:
            del self._streams[number]
        await self._flush()

    async def reset(self, number: int, status: ResetStatus) -> None:
        """Reset a stream."""
        self._streams.pop(number, None)
        self._session.reset(number, status)
        await self._flush()

    async def consumed(self, number: int, count: int) -> None:
        """Open the peer's window again; a peer that is gone needs none."""
        self._session.consumed(number, count)
        with suppress(ConnectionError):
            await self._flush()

    async def say_goodbye(self) -> None:
        """Tell the peer that this end is done."""
        self._session.go_away()
        with suppress(ConnectionError):
            await self._flush()

    async def _flush(self) -> None:
        async with self._writing:
            if data := self._session.data_to_send():
                await self._link.write(data)

    async def _handle(self, event: SpdyEvent) -> None:
        match event:
            case StreamOpened():
                stream = SpdyStream(self, event.stream_id, event.headers)
                self._streams[event.stream_id] = stream
                self._session.reply(event.stream_id)
                if event.fin:
                    stream.end(reset=False)
                self._opened.put_nowait(stream)
            case DataReceived() | HeadersReceived():
                if (found := self._streams.get(event.stream_id)) is not None:
                    found.feed(event.data if isinstance(event, DataReceived) else b"", fin=event.fin)
                    if event.fin and not self._session.can_send(event.stream_id):
                        del self._streams[event.stream_id]
                    await found.room()
            case StreamReset():
                if (lost := self._streams.pop(event.stream_id, None)) is not None:
                    lost.end(reset=True)
            case GoneAway():
                self._opened.put_nowait(None)
            case _:
                return
