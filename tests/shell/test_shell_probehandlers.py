"""Handlers of probes: real servers on loopback, a refusal, a silence, and a runtime that is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from minikubelet.model.pod import (
    Container,
    ContainerPort,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    Probe,
    TCPSocketAction,
)
from minikubelet.ports.runtimeport import ExecResult, RuntimeFault, RuntimeInfo
from minikubelet.shell import probehandlers
from minikubelet.shell.probehandlers import Answer, Outcome, ProbeHandlers, Target
from tests.running import run
from tests.shell.shell_world import FakeRuntime

HERE = "127.0.0.1"
PATIENT = 60
"""seconds of a probe that is to be answered, on however slow a machine"""


class ExecRuntime(FakeRuntime):
    """Answers commands as a test says."""

    def __init__(self, answer: ExecResult | RuntimeFault | None = None) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[str, Sequence[str], float]] = []

    async def exec_sync(self, container_id: str, command: Sequence[str], seconds: float) -> ExecResult:
        self.asked.append((container_id, command, seconds))
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, RuntimeFault):
            raise self.answer
        assert self.answer is not None
        return self.answer


def target(address: str = HERE, **ports: int) -> Target:
    made = tuple(ContainerPort(name=name, container_port=port) for name, port in ports.items())
    return Target(Container(name="main", ports=made), "c1", address)


async def ask(probe: Probe, asked: Target | None = None, runtime: FakeRuntime | None = None) -> Answer:
    handlers = ProbeHandlers(runtime or ExecRuntime())
    try:
        return await handlers.ask(probe, asked or target())
    finally:
        await handlers.aclose()


class Site:
    """A web server that does what each path says, and remembers the requests."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.redirects: dict[str, str] = {}
        self.silent = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.path in self.redirects:
            raise web.HTTPFound(self.redirects[request.path])
        if request.path == "/silent":
            await self.silent.wait()
        if request.path == "/endless":
            response = web.StreamResponse()
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await response.write(b"x" * 4096)
            return response
        return web.Response(status=int(request.query.get("status", "200")), text="hello")

    @contextlib.asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HERE, 0, ssl_context=tls)
            await site.start()
            yield runner.addresses[0][1]
        finally:
            self.silent.set()
            await runner.cleanup()


def http(port: int | str, path: str = "/", **fields: Any) -> Probe:
    return Probe(http_get=HTTPGetAction(port=port, path=path, **fields), timeout_seconds=PATIENT)


def on_site(*paths: str, redirects: dict[str, str] | None = None) -> tuple[list[Answer], Site]:
    async def main() -> tuple[list[Answer], Site]:
        site = Site()
        async with site.open() as port:
            site.redirects = {
                key: value.replace("PORT", str(port)) for key, value in (redirects or {}).items()
            }
            return [await ask(http(port, path)) for path in paths], site

    return run(main())


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, Outcome.PASSED), (204, Outcome.PASSED), (302, Outcome.PASSED), (399, Outcome.PASSED),
     (400, Outcome.FAILED), (404, Outcome.FAILED), (500, Outcome.FAILED)],
)  # fmt: skip
def test_an_http_status_from_200_to_399_passes(status: int, outcome: Outcome) -> None:
    answers, _ = on_site(f"/healthz?status={status}")
    assert answers[0].outcome is outcome
    if outcome is Outcome.FAILED:
        assert answers[0].message == f"HTTP probe failed with statuscode: {status}"


def test_headers_are_sent_as_given_and_upstreams_own_are_added() -> None:
    async def main() -> Site:
        site = Site()
        given = (HTTPHeader(name="Host", value="a.example"), HTTPHeader(name="X-A", value="1"),
                 HTTPHeader(name="X-A", value="2"))  # fmt: skip
        async with site.open() as port:
            assert (await ask(http(port, http_headers=given))).outcome is Outcome.PASSED
            own = (HTTPHeader(name="User-Agent", value="mine"), HTTPHeader(name="Accept", value="text/plain"))
            assert (await ask(http(port, http_headers=own))).outcome is Outcome.PASSED
        return site

    first, second = run(main()).requests
    assert first.headers.getall("Host") == ["a.example"]
    assert first.headers.getall("X-A") == ["1", "2"]
    assert first.headers.getall("User-Agent") == ["kube-probe/1.36"]
    assert first.headers.getall("Accept") == ["*/*"]
    assert "Accept-Encoding" not in first.headers
    assert (second.headers["User-Agent"], second.headers["Accept"]) == ("mine", "text/plain")


def test_a_path_keeps_its_query_and_odd_characters_are_escaped() -> None:
    answers, site = on_site("healthz?status=200&b=c%20d", "/a b/%41/ü", "")
    assert [answer.outcome for answer in answers] == [Outcome.PASSED] * 3
    assert [request.raw_path for request in site.requests] == [
        "/healthz?status=200&b=c%20d", "/a%20b/%41/%C3%BC", "/",
    ]  # fmt: skip


def test_redirects_on_the_same_host_are_followed_and_judged_by_their_end() -> None:
    answers, _ = on_site(
        "/a", "/c", redirects={"/a": "/b", "/b": f"http://{HERE}:PORT/ok", "/c": "/gone?status=404"}
    )
    assert [answer.outcome for answer in answers] == [Outcome.PASSED, Outcome.FAILED]


def test_a_redirect_to_another_host_is_not_followed_and_passes_with_a_warning() -> None:
    answers, _ = on_site("/a", redirects={"/a": "http://elsewhere.invalid/"})
    assert answers[0].outcome is Outcome.WARNED
    assert answers[0].message.startswith("Probe terminated redirects")


def test_a_circle_of_redirects_fails() -> None:
    answers, site = on_site("/a", redirects={"/a": "/a"})
    assert answers[0].outcome is Outcome.FAILED
    assert "stopped after 10 redirects" in answers[0].message
    assert len(site.requests) == 10


def test_a_body_without_end_is_not_read_to_its_end() -> None:
    answers, _ = on_site("/endless")
    assert answers[0].outcome is Outcome.PASSED


def test_a_server_that_stays_silent_fails_in_time() -> None:
    async def main() -> Answer:
        site = Site()
        async with site.open() as port:
            action = HTTPGetAction(port=port, path="/silent")
            return await ask(Probe(http_get=action, timeout_seconds=1))

    assert run(main()).outcome is Outcome.FAILED


def test_https_is_not_verified(tmp_path: Path) -> None:
    async def main() -> tuple[Answer, Answer]:
        site = Site()
        async with site.open(await _tls(tmp_path)) as port:
            return await ask(http(port, scheme="HTTPS")), await ask(http(port))

    secure, plain = run(main())
    assert secure.outcome is Outcome.PASSED
    assert plain.outcome is Outcome.FAILED


async def _tls(directory: Path) -> ssl.SSLContext:
    files = [str(directory / name) for name in ("key.pem", "cert.pem")]
    made = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", "/CN=nobody", "-keyout", files[0], "-out", files[1],
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await made.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    return context


def test_ports_are_found_by_name_and_hosts_may_be_given() -> None:
    async def main() -> list[Answer]:
        site = Site()
        async with site.open() as port:
            named = target("", web=port)
            tcp = TCPSocketAction(port="web", host=HERE)
            unknown = Probe(tcp_socket=TCPSocketAction(port="other"))
            return [
                await ask(http("web", host=HERE), named),
                await ask(Probe(tcp_socket=tcp, timeout_seconds=PATIENT), named),
                await ask(http(str(port))),
                await ask(unknown),
                await ask(http(port), named),
                await ask(Probe(tcp_socket=TCPSocketAction(port=port)), named),
            ]

    answers = run(main())
    assert [one.outcome for one in answers] == [Outcome.PASSED] * 3 + [Outcome.UNKNOWN] * 3
    assert answers[3].message == "container main has no port named 'other'"
    assert answers[4].message == "the pod has no address yet"


def test_a_refused_connection_fails_with_upstreams_words() -> None:
    async def main() -> list[Answer]:
        with socket.socket() as bound:
            bound.bind((HERE, 0))
            port = bound.getsockname()[1]
            tcp = Probe(tcp_socket=TCPSocketAction(port=port), timeout_seconds=PATIENT)
            return [await ask(http(port)), await ask(tcp)]

    for answer in run(main()):
        assert answer.outcome is Outcome.FAILED
        assert "dial tcp 127.0.0.1:" in answer.message
        assert answer.message.endswith("connection refused")


def test_a_host_that_makes_no_url_fails() -> None:
    answer = run(ask(http(80, host="a b/c")))
    assert answer.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ExecResult(0, b"fine"), Answer(Outcome.PASSED)),
        (ExecResult(1, b"no such file\n"), Answer(Outcome.FAILED, "no such file")),
        (ExecResult(3), Answer(Outcome.FAILED, "command exited with 3")),
        (RuntimeFault("DeadlineExceeded", "x"), Answer(Outcome.FAILED, "command timed out after 2s")),
        (RuntimeFault("ContainerNotRunning", "it is gone"), Answer(Outcome.UNKNOWN, "it is gone")),
        (
            RuntimeFault("DeadlineExceeded", "no engine", unreachable=True),
            Answer(Outcome.UNKNOWN, "no engine"),
        ),
    ],
)
def test_a_command_passes_with_exit_code_0(result: ExecResult | RuntimeFault, expected: Answer) -> None:
    runtime = ExecRuntime(result)
    probe = Probe(exec=ExecAction(command=("cat", "/x")), timeout_seconds=2)
    assert run(ask(probe, runtime=runtime)) == expected
    assert runtime.asked == [("c1", ("cat", "/x"), 2.0)]


def test_an_engine_that_hangs_says_nothing_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probehandlers, "ENGINE_SECONDS", 0.01)
    answer = run(ask(Probe(exec=ExecAction(command=("x",)), timeout_seconds=1), runtime=ExecRuntime()))
    assert answer.outcome is Outcome.UNKNOWN


def test_a_probe_without_a_handler_says_nothing() -> None:
    assert run(ask(Probe())).outcome is Outcome.UNKNOWN


def test_a_grpc_probe_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    answer = run(ask(Probe(grpc=GRPCAction(port=1))))
    assert answer.outcome is Outcome.UNKNOWN
    assert "pip install 'minikubelet[grpc]'" in answer.message


def test_a_grpc_probe_needs_an_address() -> None:
    assert run(ask(Probe(grpc=GRPCAction(port=1)), target(""))).outcome is Outcome.UNKNOWN


def test_a_simulated_runtime_is_asked_instead_of_a_network_that_is_not_there() -> None:
    runtime = ExecRuntime(ExecResult(0))
    runtime.info = RuntimeInfo("simulated", "1", simulated=True)
    assert run(ask(http(80), target("192.0.2.1"), runtime)).outcome is Outcome.PASSED
    assert runtime.asked == [("c1", ("true",), float(PATIENT))]


def test_what_no_library_takes_is_an_answer_and_not_the_end_of_the_agent() -> None:
    class Odd(ExecRuntime):
        async def exec_sync(self, container_id: str, command: Sequence[str], seconds: float) -> ExecResult:
            raise ValueError("embedded null byte")

    answer = run(ask(Probe(exec=ExecAction(command=("a\0b",))), runtime=Odd()))
    assert answer == Answer(Outcome.UNKNOWN, "ValueError: embedded null byte")
    broken = (HTTPHeader(name="X", value="a\r\nb"),)
    assert run(ask(http(80, http_headers=broken))).outcome is not Outcome.PASSED
