"""How the nodes' own APIs are reached: one in the same process, or one that has joined.

Belongs here: addresses, credentials and TLS of such a call. May not be here: what is called for.
"""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
from aiohttp import hdrs
from yarl import URL

from minikubelet.stubapi.stubcerts import ensure_client_pair
from minikubelet.stubapi.stubresources import NODES
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.stubapi.stubstore import Key, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

_FETCH_SECONDS: Final = 10.0


class NodeLink(msgspec.Struct, frozen=True):
    """How a node's API is called: `token` is a bearer token, `context` makes the TLS context."""

    host: str
    port: int
    token: str
    context: Callable[[], ssl.SSLContext]

    def __repr__(self) -> str:
        """Show no token."""
        return f"NodeLink({self.host}:{self.port})"


class NodeLinks:
    """The nodes that can be called, by name."""

    def __init__(self) -> None:
        self._links: dict[str, NodeLink] = {}
        self._joined: Callable[[str], NodeLink | None] = lambda _: None

    def look_up(self, joined: Callable[[str], NodeLink | None]) -> None:
        """How a node that nobody has added is found, if it is there."""
        self._joined = joined

    def knows(self, name: str) -> bool:
        """Whether the node can be called."""
        return name in self._links or self._joined(name) is not None

    def add(self, name: str, link: NodeLink) -> None:
        """A node's API is there from now on."""
        self._links[name] = link

    def remove(self, name: str) -> None:
        """A node's API is gone."""
        self._links.pop(name, None)

    def find(self, name: str) -> NodeLink:
        """The node of that name; raises ApiError."""
        link = self._links.get(name) or self._joined(name)
        if link is None:
            about = f'node "{name}"' if name else "this pod, which has no node yet,"
            message = f"{about} has no agent that this API server could ask for logs or streams"
            raise ApiError(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", message)
        return link


class JoinedNodes:
    """Nodes of other processes, called where their Node object says, as upstream's API server does.

    It shows a certificate of its own authority (group system:masters), which a node believes whose
    `clientCAFile` that authority is. What the node shows is not verified, as upstream by default.
    """

    def __init__(self, directory: Path, store: Store, clock: Callable[[], datetime]) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock

    def find(self, name: str) -> NodeLink | None:
        """The link to a node that has told its address and port."""
        stored = self._store.get(NODES, Key("", name))
        status = (stored.obj.get("status") or {}) if stored is not None else {}
        port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port")
        addresses = {each.get("type"): each.get("address") for each in status.get("addresses") or ()}
        host = addresses.get("InternalIP") or addresses.get("Hostname")
        if not isinstance(port, int) or not host:
            return None
        return NodeLink(str(host), port, "", self._context)

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(ensure_client_pair(self._directory, self._clock()))
        return context


async def fetch_json(link: NodeLink, path: str) -> Any:
    """What a node answers; raises aiohttp's errors, TimeoutError, and ValueError for what is no JSON."""
    connector = aiohttp.TCPConnector(ssl=link.context())
    async with (
        asyncio.timeout(_FETCH_SECONDS),
        aiohttp.ClientSession(connector=connector, raise_for_status=True) as session,
        session.get(link_url(link, path), headers=authorization(link), allow_redirects=False) as found,
    ):
        return msgspec.json.decode(await found.read())


def link_url(link: NodeLink, path: str) -> URL:
    """Where a path of the node's API is."""
    return URL(f"https://{bracketed(link.host)}:{link.port}{path}", encoded=True)


def authorization(link: NodeLink) -> dict[str, str]:
    """The header that shows the token, if there is one."""
    return {hdrs.AUTHORIZATION: f"Bearer {link.token}"} if link.token else {}


def bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
