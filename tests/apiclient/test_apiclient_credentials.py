"""Who the server takes us for: tokens, certificates, plugins, and all of them changing on the way."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from minikubelet.apiclient.apiconnection import Connection, ExecPlugin, Material
from minikubelet.apiclient.apicredentials import Identity, WatchedFile
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apiexec import PluginRunner
from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apipaths import pods_path
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.apiclient.apitls import TlsContexts
from tests.apiclient.apiclient_world import authority, caller_of, serving
from tests.running import eventually, run

V1 = "client.authentication.k8s.io/v1"
PRINTER = """\
import json, os, sys
with open(sys.argv[1], "a") as calls:
    calls.write(os.environ["KUBERNETES_EXEC_INFO"] + "\\n")
print(open(sys.argv[2]).read())
"""


async def whoami(request: web.Request) -> web.Response:
    return web.json_response({"caller": caller_of(request)})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class PluginWorld:
    """A plugin that prints a file and notes each call."""

    def __init__(self, folder: Path) -> None:
        self._script, self._calls, self._answer = folder / "p.py", folder / "calls", folder / "answer"
        self._script.write_text(PRINTER)
        self._calls.touch()
        args = (str(self._script), str(self._calls), str(self._answer))
        self.plugin = ExecPlugin(V1, sys.executable, args, cluster_info={"server": "https://api"})

    def prints(self, api_version: str = V1, **status: str) -> None:
        self.prints_text(json.dumps({"apiVersion": api_version, "kind": "ExecCredential", "status": status}))

    def prints_text(self, text: str) -> None:
        self._answer.write_text(text)

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._calls.read_text().splitlines()]


def replace(path: Path, content: str | bytes) -> None:
    """Put new content where the old was, as rotation does it: by renaming."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content.encode() if isinstance(content, str) else content)
    fresh.rename(path)


def callers(folder: Path, **connection: Any) -> str:
    """Who the server sees behind one request with this connection."""
    seen: list[str] = []

    async def main() -> None:
        async with (
            serving(whoami, folder) as server,
            aclosing(ApiClient(server.connection(**connection))) as api,
        ):
            seen.append((await api.get_object(pods_path()))["caller"])

    run(main())
    return seen[0]


def test_nobody_a_token_and_a_client_certificate(tmp_path: Path) -> None:
    assert callers(tmp_path) == "nobody"
    assert callers(tmp_path, token="t-1") == "t-1"
    me = authority().issue("system:node:n1")
    pair = {
        "certificate": Material("client-certificate", inline=me.certificate),
        "key": Material("client-key", inline=me.key),
    }
    assert callers(tmp_path, **pair) == "certificate system:node:n1"


def test_a_kubeconfig_on_disk_reaches_the_server(tmp_path: Path) -> None:
    me = authority().issue("system:node:n2")
    for name, content in (("ca.crt", authority().pem), ("me.crt", me.certificate), ("me.key", me.key)):
        (tmp_path / name).write_bytes(content)

    async def main() -> None:
        async with serving(whoami, tmp_path) as server:
            cluster = {"server": server.url, "certificate-authority": "ca.crt"}
            document = {
                "current-context": "x",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"client-certificate": "me.crt", "client-key": "me.key"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            }
            (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
            async with aclosing(ApiClient(load_kubeconfig(tmp_path / "kubeconfig"))) as api:
                answer = await api.get_object(pods_path())
        assert answer["caller"] == "certificate system:node:n2"

    run(main())


def test_a_rotated_token_file_is_used_soon_and_survives_its_absence(tmp_path: Path) -> None:
    token, clock = tmp_path / "token", Clock()
    token.write_text("one\n")

    async def main() -> None:
        async with serving(whoami, tmp_path) as server:
            connection = server.connection(token="fallback", token_file=token)
            async with aclosing(ApiClient(connection, clock=clock)) as api:
                seen = [(await api.get_object(pods_path()))["caller"]]
                replace(token, "two")
                seen.append((await api.get_object(pods_path()))["caller"])
                clock.now += 60
                seen.append((await api.get_object(pods_path()))["caller"])
                token.unlink()
                clock.now += 60
                seen.append((await api.get_object(pods_path()))["caller"])
        assert seen == ["one", "one", "two", "two"]

    run(main())


def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    token, seen = tmp_path / "token", list[str]()
    token.write_text("old")

    async def picky(request: web.Request) -> web.Response:
        seen.append(caller_of(request))
        replace(token, "new")
        return web.json_response({}, status=200 if seen[-1] == "new" else 401)

    async def main() -> None:
        async with serving(picky, tmp_path) as server:
            async with aclosing(ApiClient(server.connection(token_file=token), clock=Clock())) as api:
                assert await api.get_object(pods_path()) == {}
            async with aclosing(ApiClient(server.connection(token="wrong"))) as api:
                with pytest.raises(ApiError) as raised:
                    await api.get_object(pods_path())
        assert raised.value.unauthorized
        assert seen == ["old", "new", "wrong"]

    run(main())


def test_rotated_certificates_make_new_connections_even_one_file_after_the_other(tmp_path: Path) -> None:
    first, second, clock = authority().issue("first"), authority().issue("second"), Clock()
    certificate, key = tmp_path / "me.crt", tmp_path / "me.key"
    certificate.write_bytes(first.certificate)
    key.write_bytes(first.key)

    async def main() -> None:
        async with serving(whoami, tmp_path) as server:
            connection = server.connection(
                certificate=Material("client-certificate", path=certificate),
                key=Material("client-key", path=key),
            )
            async with aclosing(ApiClient(connection, clock=clock)) as api:
                seen = [(await api.get_object(pods_path()))["caller"]]
                replace(certificate, second.certificate)
                clock.now += 60
                seen.append((await api.get_object(pods_path()))["caller"])
                replace(key, second.key)
                clock.now += 60
                seen.append((await api.get_object(pods_path()))["caller"])
        assert seen == ["certificate first", "certificate first", "certificate second"]

    run(main())


def test_key_files_are_private_and_gone_after_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    me = authority().issue("me")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    writing = Path.write_bytes

    def watching(path: Path, content: bytes) -> int:
        written = writing(path, content)
        seen.append((path.name, stat.S_IMODE(path.stat().st_mode)))
        seen.append(("folder", stat.S_IMODE(path.parent.stat().st_mode)))
        return written

    monkeypatch.setattr(Path, "write_bytes", watching)
    old = os.umask(0)
    try:
        TlsContexts(Connection("https://api")).context(Identity(None, me.certificate, me.key))
    finally:
        os.umask(old)
    assert seen == [("certificate", 0o600), ("folder", 0o700), ("key", 0o600), ("folder", 0o700)]
    assert list(tmp_path.iterdir()) == []


def test_unusable_pairs_are_explained_without_their_content() -> None:
    one, two = authority().issue("one"), authority().issue("two")
    contexts = TlsContexts(Connection("https://api", origin="kubeconfig x"))
    with pytest.raises(ApiUnreachable, match="kubeconfig x: the client certificate and its key do not"):
        contexts.context(Identity(None, one.certificate, two.key))
    with pytest.raises(ApiUnreachable, match="are not a certificate and a plain key in PEM"):
        contexts.context(Identity(None, one.certificate, b"secret"))


def test_a_plugin_is_asked_once_until_its_credential_expires(tmp_path: Path) -> None:
    world, clock = PluginWorld(tmp_path), Clock()
    world.prints(token="early", expirationTimestamp="1970-01-01T01:00:00Z")

    async def main() -> None:
        runner = PluginRunner(world.plugin, now=clock)
        assert (await runner.credential()).token == "early"
        world.prints(token="late")
        clock.now = 3599
        assert (await runner.credential()).token == "early"
        clock.now = 3600
        assert (await runner.credential()).token == "late"
        clock.now = 1e9
        assert (await runner.credential()).token == "late"

    run(main())
    spec = {"interactive": False, "cluster": {"server": "https://api"}}
    assert world.calls() == [{"apiVersion": V1, "kind": "ExecCredential", "spec": spec}] * 2


def test_a_plugin_is_asked_again_when_its_token_is_refused(tmp_path: Path) -> None:
    world = PluginWorld(tmp_path)
    world.prints(token="revoked")

    async def picky(request: web.Request) -> web.Response:
        fine = caller_of(request) == "fresh"
        world.prints(token="fresh")
        return web.json_response({"fine": fine}, status=200 if fine else 401)

    async def main() -> None:
        async with (
            serving(picky, tmp_path) as server,
            aclosing(ApiClient(server.connection(exec_plugin=world.plugin))) as api,
        ):
            assert await api.get_object(pods_path()) == {"fine": True}

    run(main())
    assert len(world.calls()) == 2


def test_a_plugin_may_give_a_certificate(tmp_path: Path) -> None:
    world, me = PluginWorld(tmp_path), authority().issue("by-plugin")
    world.prints(clientCertificateData=me.certificate.decode(), clientKeyData=me.key.decode())
    assert callers(tmp_path, exec_plugin=world.plugin) == "certificate by-plugin"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("token: secret", "did not print an ExecCredential as JSON"),
        ("[]", "did not print an ExecCredential as JSON"),
        (json.dumps({"apiVersion": V1, "kind": "Pod"}), f"printed {V1} Pod, not {V1} ExecCredential"),
        (
            json.dumps({"apiVersion": V1, "kind": "ExecCredential"}),
            "neither a token nor a client certificate",
        ),
        (
            json.dumps(
                {"apiVersion": V1, "kind": "ExecCredential", "status": {"clientKeyData": "secret"}},
            ),
            "only one of",
        ),
    ],
)
def test_what_a_plugin_prints_wrongly_is_said_but_not_shown(tmp_path: Path, text: str, what: str) -> None:
    world = PluginWorld(tmp_path)
    world.prints_text(text)

    async def main() -> None:
        with pytest.raises(ApiUnreachable) as raised:
            await PluginRunner(world.plugin).credential()
        assert what in str(raised.value)
        assert "secret" not in str(raised.value)

    run(main())


def test_a_missing_a_failing_and_a_hanging_plugin_are_explained() -> None:
    async def main() -> None:
        missing = ExecPlugin(V1, "/nowhere/login", install_hint="see the handbook")
        with pytest.raises(ApiUnreachable, match="cannot be started: No such file or directory; see the"):
            await PluginRunner(missing).credential()
        failing = ExecPlugin(V1, "sh", ("-c", "echo first >&2; echo no session >&2; exit 3"))
        with pytest.raises(ApiUnreachable, match="'sh' failed with exit code 3: no session"):
            await PluginRunner(failing).credential()
        hanging = ExecPlugin(V1, "sh", ("-c", "sleep 1000 & sleep 1000"))
        with pytest.raises(ApiUnreachable, match=r"did not end within 0.2 s"):
            await PluginRunner(hanging, deadline_seconds=0.2).credential()

    run(main())


def test_a_cancelled_plugin_leaves_no_children(tmp_path: Path) -> None:
    async def main() -> None:
        noted = tmp_path / "pid"
        script = f"sleep 1000 & echo $! > {noted}.new; mv {noted}.new {noted}; wait"
        task = asyncio.create_task(PluginRunner(ExecPlugin(V1, "sh", ("-c", script))).credential())
        await eventually(noted.exists, "the plugin to start")
        child = noted.read_text().strip()
        assert alive(child)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await eventually(lambda: not alive(child), "the end of the plugin's child")

    run(main())


def test_a_plugin_cancelled_while_it_starts_leaves_no_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine its children may be there before asyncio has handed the process over."""
    noted, real = tmp_path / "pid", asyncio.create_subprocess_exec

    async def slow(*words: Any, **options: Any) -> asyncio.subprocess.Process:
        process = await real(*words, **options)
        await eventually(noted.exists, "the plugin's child")
        handing_over.set()
        await asyncio.sleep(0)
        return process

    handing_over = asyncio.Event()
    monkeypatch.setattr(asyncio, "create_subprocess_exec", slow)

    async def main() -> None:
        script = f"sleep 1000 & echo $! > {noted}.new; mv {noted}.new {noted}; wait"
        task = asyncio.create_task(PluginRunner(ExecPlugin(V1, "sh", ("-c", script))).credential())
        await handing_over.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        child = noted.read_text().strip()
        await eventually(lambda: not alive(child), "the end of the plugin's child")

    run(main())


def alive(pid: str) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_file_that_never_was_is_an_error_and_recovers(tmp_path: Path) -> None:
    file = WatchedFile(tmp_path / "later", clock=Clock())
    with pytest.raises(ApiUnreachable, match="later, which the connection needs"):
        file.content()
    (tmp_path / "later").write_text("here")
    assert file.content() == b"here"
