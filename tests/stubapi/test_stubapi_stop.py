"""A server that has stopped answers nobody."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from tests.stubapi.stubapi_world import PODS, World, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_connection_whose_handshake_outlives_the_server_is_not_served(state_dir: Path) -> None:
    async def test(world: World) -> None:
        host, _, port = world.server.url.removeprefix("https://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await world.good("GET", PODS)  # connections are accepted in their order: the one above is by now
        await world.server.stop()
        try:
            await writer.start_tls(
                ssl.create_default_context(cafile=str(world.server.ca_file)), server_hostname=host
            )
            ask = f"GET {PODS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {world.server.token}\r\n\r\n"
            writer.write(ask.encode())
            answer = await reader.read()
        except OSError:
            answer = b""
        assert answer == b""
        writer.close()

    run(state_dir, test)
