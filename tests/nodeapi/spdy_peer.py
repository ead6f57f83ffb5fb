"""A client that speaks SPDY over TLS to the node API, as kubectl does, but as slowly as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from minikubelet.nodeapi.spdyevents import DataReceived, SpdyEvent, StreamReset
from minikubelet.nodeapi.spdysession import SpdySession
from tests.nodeapi.served_world import Served


class SpdyPeer:
    """An upgraded connection; `status` and `headers` of its answer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int, headers: str
    ) -> None:
        self.status = status
        self.headers = headers
        self.session = SpdySession(client=True)
        self.data: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: set[int] = set()
        self._reader = reader
        self._writer = writer

    async def open(self, **headers: str) -> int:
        """Open a stream; its number."""
        number = self.session.open_stream(headers)
        await self.flush()
        return number

    async def send(self, number: int, data: bytes, *, fin: bool = False) -> None:
        self.session.send(number, data, fin=fin)
        await self.flush()

    async def flush(self) -> None:
        self._writer.write(self.session.data_to_send())
        await self._writer.drain()

    async def take(self) -> bool:
        """Take a piece of what has come; False at the end of the connection."""
        data = await self._reader.read(16384)
        for event in self.session.receive(data):
            self._note(event)
        return bool(data)

    def _note(self, event: SpdyEvent) -> None:
        if isinstance(event, DataReceived):
            self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data
            if event.fin:
                self.ended.add(event.stream_id)
        elif isinstance(event, StreamReset):
            self.reset.add(event.stream_id)

    async def until_ended(self, *numbers: int) -> None:
        """Take until these streams have ended or were reset."""
        while not set(numbers) <= self.ended | self.reset:
            assert await self.take(), f"the connection ended, but not streams {numbers}"

    async def until_closed(self) -> None:
        while await self.take():
            pass


@asynccontextmanager
async def spdy_peer(
    node: Served, path: str, *protocols: str, method: str = "POST", upgrade: str = "SPDY/3.1"
) -> AsyncIterator[SpdyPeer]:
    """Connect and upgrade."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", node.node.port, ssl=node.node.client_context(), limit=1 << 16
    )
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: node",
        f"Authorization: Bearer {node.node.token}",
        "Connection: Upgrade",
        f"Upgrade: {upgrade}",
        *(f"X-Stream-Protocol-Version: {each}" for each in protocols),
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    try:
        yield SpdyPeer(reader, writer, int(head.split()[1]), head)
    finally:
        writer.close()
