"""An engine that is away, breaks off, hangs or refuses: one plain fault each, and never a leaked error."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from minikubelet.ports.runtimeport import RegistryAuth, RuntimeFault
from minikubelet.runtimes.docker import DockerRuntime
from minikubelet.runtimes.docker.dockerengine import Engine
from minikubelet.runtimes.docker.dockerlifecycle import Lifecycle
from minikubelet.runtimes.docker.dockerlogs import LogKeeper
from minikubelet.runtimes.docker.dockerobserver import Observer
from tests.running import run
from tests.runtimes.contract.contract_world import connected, sandbox_of
from tests.runtimes.docker.docker_world import DockerWorld
from tests.runtimes.docker.fake_engine import fake_engine, refusal


def runtime_at(host: str, folder: Path) -> DockerRuntime:
    return DockerRuntime(host, node="n", state_dir=folder)


@pytest.mark.parametrize("host", ["unix:///no/such/docker.sock", "tcp://127.0.0.1:1"])
def test_an_engine_that_is_not_there_is_unreachable(host: str, state_dir: Path) -> None:
    async def main() -> None:
        runtime = runtime_at(host, state_dir)
        with pytest.raises(RuntimeFault) as caught:
            await runtime.connect()
        assert caught.value.unreachable
        assert host in caught.value.message
        with pytest.raises(RuntimeFault) as caught:
            await runtime.list_pods()
        assert caught.value.unreachable
        await runtime.aclose()
        await runtime.aclose()

    run(main())


def test_an_address_of_another_kind_is_named(state_dir: Path) -> None:
    with pytest.raises(RuntimeFault, match="'ssh://host' is no Docker endpoint: write unix:///path"):
        run(runtime_at("ssh://host", state_dir).connect())


def test_before_connecting_nothing_answers(state_dir: Path) -> None:
    with pytest.raises(RuntimeFault, match="the driver is not connected"):
        run(runtime_at("unix:///no/such", state_dir).remove_image("a"))


def test_an_answer_that_breaks_off_is_unreachable(state_dir: Path) -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"[")
        assert request.transport is not None
        request.transport.close()
        return answer

    async def main() -> None:
        async with (
            fake_engine(state_dir, breaks_off) as (_, host),
            connected(runtime_at(host, state_dir)) as it,
        ):
            with pytest.raises(RuntimeFault) as caught:
                await it.list_pods()
            assert caught.value.unreachable

    run(main())


def test_an_engine_that_hangs_is_given_up(state_dir: Path) -> None:
    async def main() -> None:
        released = asyncio.Event()

        async def hangs(request: web.Request) -> web.StreamResponse:
            await released.wait()
            return web.Response()

        async with fake_engine(state_dir, hangs) as (_, host):
            runtime = runtime_at(host, state_dir)
            async with connected(runtime):
                runtime._engine.call_seconds = 0.05
                with pytest.raises(RuntimeFault, match="gave no answer to GET containers/json") as caught:
                    await runtime.list_pods()
                assert caught.value.unreachable
            released.set()

    run(main())


def test_a_pull_without_progress_is_given_up(state_dir: Path) -> None:
    """Its pod can neither be removed nor replaced as long as the pull goes on."""

    async def main() -> None:
        released = asyncio.Event()

        async def registry(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            await answer.prepare(request)
            await answer.write(b'{"status": "Downloading"}\n')
            await released.wait()
            return answer

        async with fake_engine(state_dir, registry) as (_, host):
            runtime = runtime_at(host, state_dir)
            async with connected(runtime):
                runtime._images.silence_seconds = 0.05
                with pytest.raises(RuntimeFault, match="pull of a made no progress for"):
                    await runtime.pull_image("a")
            released.set()

    run(main())


def test_what_is_no_docker_engine_is_unreachable(state_dir: Path) -> None:
    async def another(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>hello</html>")

    async def main() -> None:
        async with fake_engine(state_dir, another) as (_, host), connected(runtime_at(host, state_dir)) as it:
            for call in (it.list_pods, it.list_images, lambda: it.pull_image("a")):
                with pytest.raises(RuntimeFault, match="speaks another language") as caught:
                    await call()
                assert caught.value.unreachable

    run(main())


def test_events_end_with_a_fault_when_the_engine_goes(state_dir: Path) -> None:
    """Half a line at the end of the stream is no event."""

    async def one_event(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        actor = {"ID": "c", "Attributes": {"io.kubernetes.pod.uid": "u1"}}
        line = msgspec.json.encode({"Action": "die", "Actor": actor}) + b"\n"
        await answer.write(line + line[:10])
        return answer

    async def main() -> None:
        async with (
            fake_engine(state_dir, one_event) as (_, host),
            connected(runtime_at(host, state_dir)) as it,
        ):
            found = []
            with pytest.raises(RuntimeFault) as caught:
                async for event in it.events():
                    found += [event.uid]
            assert found == ["", "u1"]
            assert caught.value.unreachable

    run(main())


def test_a_refusal_is_one_line_of_the_engines_words(state_dir: Path) -> None:
    async def refuses(request: web.Request) -> web.StreamResponse:
        return refusal(500, "no space\n  left on device")

    async def main() -> None:
        async with fake_engine(state_dir, refuses) as (_, host), connected(runtime_at(host, state_dir)) as it:
            for call, reason in (
                (it.list_pods, "ListPods"),
                (lambda: it.container_status("c"), "ContainerStatus"),
                (it.list_images, "ListImages"),
                (lambda: it.image_status("a"), "ImageStatus"),
                (lambda: it.remove_image("a"), "RemoveImage"),
                (lambda: it.pull_image("a"), "ErrImagePull"),
                (lambda: it.container_stats("c"), "ContainerStatus"),
                (lambda: it.exec_sync("c", ["true"], 60), "ContainerStatus"),
                (lambda: anext(it.events()), "Events"),
            ):
                with pytest.raises(RuntimeFault) as caught:
                    await call()
                assert (caught.value.reason, caught.value.message) == (reason, "no space left on device")
                assert not caught.value.unreachable

    run(main())


def test_a_pull_sends_credentials_and_asks_for_one_tag(state_dir: Path) -> None:
    seen: list[tuple[dict[str, str], Any]] = []

    async def registry(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.json_response({"Id": "sha256:1", "RepoTags": ["r.example/a:latest"], "Size": 5})
        header = request.headers.get("X-Registry-Auth", "")
        seen.append((dict(request.query), msgspec.json.decode(base64.urlsafe_b64decode(header) or b"null")))
        return web.Response(body=b'{"status":"Pulling"}\r\n{"status":"Done"}\r\n')

    async def main() -> None:
        async with (
            fake_engine(state_dir, registry) as (_, host),
            connected(runtime_at(host, state_dir)) as it,
        ):
            auth = RegistryAuth("me", "pa ss", "r.example")
            assert await it.pull_image("r.example/a", auth) == "sha256:1"
            await it.pull_image("r.example:5000/a:2")
            await it.pull_image("a@sha256:12", RegistryAuth(identity_token="t"))

    run(main())
    assert seen == [
        (
            {"fromImage": "r.example/a", "tag": "latest"},
            {"username": "me", "password": "pa ss", "serveraddress": "r.example"},
        ),
        ({"fromImage": "r.example:5000/a:2"}, None),
        ({"fromImage": "a@sha256:12"}, {"serveraddress": "", "identitytoken": "t"}),
    ]


def test_an_error_in_the_midst_of_a_pull_is_the_pulls_error(state_dir: Path) -> None:
    async def fails(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"status":"Pulling"}\r\n{"errorDetail":{},"error":"manifest unknown"}\r\n')

    async def main() -> None:
        async with fake_engine(state_dir, fails) as (_, host), connected(runtime_at(host, state_dir)) as it:
            with pytest.raises(RuntimeFault) as caught:
                await it.pull_image("a:1")
            assert (caught.value.reason, caught.value.message) == ("ErrImagePull", "manifest unknown")

    run(main())


@pytest.mark.parametrize("name", ["", "a b", "../etc", "a?b=c", "-a"])
def test_what_is_no_name_of_an_image_never_reaches_the_engine(name: str, state_dir: Path) -> None:
    async def nothing(request: web.Request) -> web.StreamResponse:
        return web.json_response({})

    async def main() -> None:
        async with fake_engine(state_dir, nothing) as (engine, host):
            async with connected(runtime_at(host, state_dir)) as it:
                with pytest.raises(RuntimeFault, match="InvalidImageName"):
                    await it.pull_image(name)
                assert await it.image_status(name) is None
            assert engine.asked == []

    run(main())


def test_a_name_that_stays_taken_is_not_looped_on(state_dir: Path) -> None:
    """Its holder is gone whenever it is looked for, as while it is being removed: two tries, then a fault."""

    async def taken(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/create"):
            return refusal(409, 'Conflict. The container name "/k8s" is already in use')
        if "/images/" in request.path:
            return web.json_response({"Id": "sha256:1"})
        return refusal(404, "no such container")

    async def main() -> None:
        async with fake_engine(state_dir, taken) as (engine, host):
            async with connected(runtime_at(host, state_dir)) as it:
                with pytest.raises(RuntimeFault, match="CreatePodSandboxError: Conflict"):
                    await it.run_pod_sandbox(sandbox_of(DockerWorld(host, "i", "ns", state_dir)))
            assert engine.asked.count("POST /containers/create") == 2

    run(main())


def test_what_the_driver_has_just_made_is_its_own_without_a_look(state_dir: Path) -> None:
    async def creates(_: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": "c1"}, status=201)

    async def main() -> None:
        async with fake_engine(state_dir, creates) as (it, host):
            engine = Engine(host)
            await engine.open()
            observer = Observer(engine, "n", LogKeeper(engine))
            made = await Lifecycle(engine, observer).create("a", {}, "CreateContainerError", lambda _: False)
            assert await observer.is_ours(made)
            await engine.close()
            assert it.asked == ["POST /containers/create"]

    run(main())


@pytest.mark.parametrize(
    ("options", "lacks"),
    [
        (["name=seccomp,profile=builtin"], True),
        (["name=apparmor", "name=seccomp,profile=builtin"], False),
        ([], True),
        (None, False),
    ],
)
def test_an_engine_lacks_apparmor_only_where_it_says_so(
    state_dir: Path, options: list[str] | None, *, lacks: bool
) -> None:
    async def nothing(_: web.Request) -> web.Response:
        return web.json_response([])

    async def body() -> None:
        async with fake_engine(state_dir, nothing) as (engine, host):
            engine.info["SecurityOptions"] = options
            async with connected(runtime_at(host, state_dir)) as runtime:
                assert runtime.info.lacks_apparmor is lacks

    run(body())
