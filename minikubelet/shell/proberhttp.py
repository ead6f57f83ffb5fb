"""HTTP requests of probes and hooks: GET, bounded, unverified, redirects on the same host alone.

Belongs here: how upstream asks (pkg/probe/http). May not be here: what an answer means for a container.
"""

from __future__ import annotations

import urllib.parse
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from minikubelet.model.pod import HTTPGetAction
from minikubelet.shell.proberwords import USER_AGENT, HttpAnswer, HttpFault, dial_error

BODY_BYTES: Final = 10 * 1024
MOST_REDIRECTS: Final = 10
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_UNTOUCHED: Final = "/?&=%:@!$'()*+,;~[]"


class ProbeHttp:
    """Asks; one connection for each request, none kept."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Let go of what is open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, action: HTTPGetAction, host: str, port: int) -> HttpAnswer:
        """Make the request at a host's port; raises HttpFault. Bounded by its caller's timeout alone."""
        url = _url(action, host, port)
        headers = _headers(action)
        first = url.host
        for _ in range(MOST_REDIRECTS):
            answer, location = await self._once(url, headers)
            if location is None:
                return answer
            target = _join(url, location)
            if target is None or target.host != first:
                return answer._replace(elsewhere=True)
            if target.authority != url.authority:
                headers.popall("Host", None)
            url = target
        raise HttpFault(f'Get "{url}": stopped after {MOST_REDIRECTS} redirects')

    async def _once(self, url: URL, headers: CIMultiDict[str]) -> tuple[HttpAnswer, str | None]:
        try:
            async with self._opened().get(
                url, headers=headers, allow_redirects=False, skip_auto_headers=("Accept", "Accept-Encoding")
            ) as response:
                body = await _beginning(response.content)
                status = response.status
                location = response.headers.get("Location") if status in _REDIRECTS else None
                return HttpAnswer(status, body), location
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HttpFault(f'Get "{url}": {_why(error)}') from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=False, force_close=True, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


async def _beginning(content: aiohttp.StreamReader) -> str:
    """The first bytes; the rest is dropped with the connection."""
    found = bytearray()
    while len(found) < BODY_BYTES:
        data = await content.read(BODY_BYTES - len(found))
        if not data:
            break
        found += data
    return found.decode(errors="replace")


def _url(action: HTTPGetAction, host: str, port: int) -> URL:
    """The URL; what the path holds beside ordinary characters is escaped, its query is kept."""
    path, _, query = action.path.partition("#")[0].partition("?")
    quoted = urllib.parse.quote(path if path.startswith("/") else f"/{path}", safe=_UNTOUCHED)
    asked = urllib.parse.quote(query, safe=_UNTOUCHED)
    scheme = (action.scheme or "HTTP").lower()
    try:
        return URL.build(scheme=scheme, host=host, port=port, path=quoted, query_string=asked, encoded=True)
    except ValueError as error:
        raise HttpFault(f"no request can be made to host {host!r}: {error}") from error


def _join(url: URL, location: str) -> URL | None:
    try:
        return url.join(URL(location))
    except ValueError:
        return None


def _headers(action: HTTPGetAction) -> CIMultiDict[str]:
    """The given headers; an empty `Accept` or `User-Agent` sends none."""
    headers: CIMultiDict[str] = CIMultiDict((one.name, one.value) for one in action.http_headers)
    for name, value in (("User-Agent", USER_AGENT), ("Accept", "*/*")):
        if name not in headers:
            headers[name] = value
    return headers


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return dial_error(str(error.host), error.port or 0, error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(error) or type(error).__name__
