"""A headless Chromium, driven over its DevTools protocol: pages, scripts, mouse and keys."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.engine.required import CHROMIUM
from tests.running import eventually

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--window-size=1280,800",
)  # fmt: skip


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.errors: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol; AssertionError where it refuses."""
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(str(message["params"]))
            if message.get("id") == number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result

    async def value(self, source: str) -> Any:
        """The value of a JavaScript expression."""
        result = await self.call("Runtime.evaluate", expression=source, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{source}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def click(self, x: float, y: float) -> None:
        """Move the mouse there, press and release."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def screenshot(self, path: Path) -> bytes:
        """Save what is shown."""
        shot = base64.b64decode((await self.call("Page.captureScreenshot"))["data"])
        await asyncio.to_thread(path.write_bytes, shot)
        return shot


@asynccontextmanager
async def open_page(file: Path, profile: Path) -> AsyncIterator[Page]:
    """Open a file in a browser of its own, with errors of its scripts collected."""
    if CHROMIUM is None:
        raise AssertionError("there is no chromium on PATH")
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank", stdin=quiet, stdout=quiet, stderr=quiet
    )  # fmt: skip
    try:
        port_file = profile / "DevToolsActivePort"
        lines = await eventually(lambda: _lines(port_file), "chromium's port")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
                targets = await answer.json()
            url = next(one["webSocketDebuggerUrl"] for one in targets if one["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                page = Page(socket)
                await page.call("Runtime.enable")
                await page.call("Page.enable")
                await page.call("Page.navigate", url=file.as_uri())
                await eventually(
                    lambda: page.value("document.body?.dataset.ready === 'yes'"), "the page to be ready"
                )
                yield page
    finally:
        process.kill()
        await process.wait()


def _lines(path: Path) -> list[str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return lines if len(lines) > 1 else []
