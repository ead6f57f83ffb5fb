"""`kill -9` in the middle of writes: what was answered with success is there afterwards."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest
import yaml

from tests.stubapi.stubapi_world import PATIENCE, World, run

if TYPE_CHECKING:
    from pathlib import Path

MAPS = "/api/v1/namespaces/default/configmaps"
SERVE = (
    "import asyncio, pathlib, sys\n"
    "from minikubelet.stubapi.stubalone import serve_alone\n"
    "where = pathlib.Path(sys.argv[1])\n"
    "asyncio.run(serve_alone(where / 'state', '127.0.0.1', 0, where / 'kubeconfig',\n"
    "    on_started=lambda server: print(server.url, flush=True)))\n"
)


async def _write_until_it_dies(directory: Path, process: subprocess.Popen[str], kill_after: int) -> set[str]:
    """Names whose creation was answered with success before the server was gone."""
    config = yaml.safe_load((directory / "kubeconfig").read_text())
    url = config["clusters"][0]["cluster"]["server"]
    trust = ssl.create_default_context(cafile=str(directory / "state" / "ca.crt"))
    headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
    made: set[str] = set()

    async def write(session: aiohttp.ClientSession, writer: int) -> None:
        for number in range(100_000):
            name = f"c{writer}-{number}"
            try:
                async with session.post(url + MAPS, json={"metadata": {"name": name}}, ssl=trust) as answer:
                    assert answer.status == 201
            except aiohttp.ClientError:
                return
            made.add(name)
            if len(made) == kill_after:
                process.kill()

    async with asyncio.timeout(2 * PATIENCE), aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*(write(session, writer) for writer in range(8)))
    return made


@pytest.mark.parametrize("kill_after", [1, 20, 50])
def test_no_answered_write_is_lost_by_kill_nine(tmp_path: Path, kill_after: int) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("https://")
        made = asyncio.run(_write_until_it_dies(tmp_path, process, kill_after))
    assert len(made) >= kill_after

    async def check(world: World) -> None:
        listed = await world.good("GET", MAPS)
        assert made <= {item["metadata"]["name"] for item in listed["items"]}
        versions = [int(item["metadata"]["resourceVersion"]) for item in listed["items"]]
        assert len(set(versions)) == len(versions)
        assert max(versions) <= int(listed["metadata"]["resourceVersion"])

    run(tmp_path / "state", check)
