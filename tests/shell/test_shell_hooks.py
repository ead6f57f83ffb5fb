"""Hooks: within which time they run, what a failure leads to, and what cuts them short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from minikubelet.core.commands import Reason, StartContainer, StopContainer
from minikubelet.core.events import (
    AnyEvent,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopped,
    ResultEvent,
)
from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.observed import ObservedPod
from minikubelet.model.pod import (
    EnvVar,
    ExecAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    SleepAction,
    TCPSocketAction,
)
from minikubelet.ports.runtimeport import ExecResult, ImageInfo, RuntimeFault, RuntimeInfo
from minikubelet.shell.effects import Effects
from minikubelet.shell.hooks import LEAST_GRACE, Hooks
from minikubelet.shell.images import Images
from minikubelet.shell.limiter import Limiter
from minikubelet.shell.podconfig import NodeSide, PodConfigMaker
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.proberwords import HttpAnswer, HttpFault
from minikubelet.shell.pullwaits import PullWaits
from minikubelet.shell.systemclock import SystemClock
from minikubelet.shell.vault import Vault
from minikubelet.shell.volumes import Volumes
from tests.core.core_world import SLOT, World, container, static_pod
from tests.running import eventually, run
from tests.shell.shell_world import FakeRuntime, exited, running

UID = PodUid("a")
DONE = ExecResult(0)
EXEC = LifecycleHandler(exec=ExecAction(command=("do", "it")))
START = StartContainer(
    slot=SLOT, reason=Reason.NEXT_IN_ORDER, uid=UID, container="web", attempt=0, sandbox_id="s1"
)


def stop(grace: int) -> StopContainer:
    return StopContainer(
        slot=SLOT, reason=Reason.POD_REMOVED, uid=UID, container="web", container_id="c1", grace=grace
    )


class HookRuntime(FakeRuntime):
    """Runs commands as a test says; None hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.images["web:1"] = ImageInfo("sha256:1")
        self.result: ExecResult | RuntimeFault | None = ExecResult(0)
        self.seconds: list[float] = []

    async def exec_sync(self, container_id: str, command: Sequence[str], seconds: float) -> ExecResult:
        self._called("exec_sync", f"{container_id} {' '.join(command)}")
        self.seconds.append(seconds)
        if self.result is None:
            await asyncio.Event().wait()
        if isinstance(self.result, RuntimeFault):
            raise self.result
        assert self.result is not None
        return self.result

    def done(self) -> list[str]:
        """The calls that hooks are about."""
        return [call for call in self.calls if call.startswith(("exec", "start_c", "stop_c"))]


class HttpDouble:
    """Answers as a test says, and remembers where it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.fault: HttpFault | None = None

    async def get(self, action: HTTPGetAction, host: str, port: int) -> HttpAnswer:
        self.asked.append((host, port))
        if self.fault is not None:
            raise self.fault
        return HttpAnswer(500, "")


class WorldClock(SystemClock):
    """The world's time; it sleeps as the system does."""

    def __init__(self, world: World) -> None:
        self.world = world

    def now(self) -> int:
        return self.world.now


class HookWorld(World):
    """One pod whose container has hooks, known to the reducer and to the vault."""

    def __init__(self, directory: Path, lifecycle: Lifecycle) -> None:
        super().__init__()
        self.engine, self.http = HookRuntime(), HttpDouble()
        self.told: list[tuple[str, str]] = []
        self.paths = PodPaths(directory / "state", directory / "logs")
        self.vault = Vault(self.paths)
        self.pod = static_pod(
            container(lifecycle=lifecycle, env=(EnvVar(name="P", value="hunter22"),)),
            termination_grace_period_seconds=60,
        )
        self.hooks: Hooks | None = None
        self.engine.shown[UID] = ObservedPod(UID, "kube-system", "web-node", (), (running("c1", "web"),))

    async def open(self) -> Effects:
        await self.vault.store(self.pod)
        self.offer(self.pod)
        self.run_until_idle()
        http: Any = self.http
        hooks = Hooks(self.engine, self.vault, self.reducer, http, WorldClock(self), told=self._tell)
        self.hooks = hooks
        return Effects(
            self.engine,
            PodConfigMaker(NodeSide(name="n", ips=("10.0.0.1",)), self.paths, Volumes(self.paths)),
            Images(self.engine, 1), vault=self.vault, paths=self.paths,
            limiter=Limiter(2, 2, lambda: 0.0), waits=PullWaits(Reducer()), hooks=hooks,
        )  # fmt: skip

    def feed(self, event: AnyEvent) -> Any:
        commands = super().feed(event)
        hooks = getattr(self, "hooks", None)
        if hooks is not None:
            hooks.seen()
        return commands

    def _tell(self, slot: SlotKey, uid: PodUid, name: str, reason: str, message: str) -> None:
        self.told.append((reason, message))


def with_hooks(
    directory: Path,
    main: Callable[[HookWorld, Effects], Awaitable[ResultEvent]],
    post_start: LifecycleHandler | None = None,
    pre_stop: LifecycleHandler | None = None,
) -> tuple[HookWorld, ResultEvent]:
    async def whole() -> tuple[HookWorld, ResultEvent]:
        world = HookWorld(directory, Lifecycle(post_start=post_start, pre_stop=pre_stop))
        return world, await main(world, await world.open())

    return run(whole())


def starts(directory: Path, hook: LifecycleHandler, result: Any = DONE) -> tuple[HookWorld, Any]:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.engine.result = result
        return await effects.carry_out(START)

    return with_hooks(directory, main, post_start=hook)


def stops(
    directory: Path, hook: LifecycleHandler | None, grace: int = 60, result: Any = DONE
) -> tuple[HookWorld, Any]:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.engine.result = result
        return await effects.carry_out(stop(grace))

    return with_hooks(directory, main, pre_stop=hook)


def test_post_start_runs_after_the_start_and_before_it_is_told(tmp_path: Path) -> None:
    world, event = starts(tmp_path, EXEC)
    assert isinstance(event, ContainerStarted)
    assert world.engine.done() == ["start_container c-web-0", "exec_sync c-web-0 do it"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (ExecResult(7, b"hunter22 is wrong"), "the command exited with 7: [redacted] is wrong"),
        (RuntimeFault("ExecFailed", "no such command"), "no such command"),
    ],
)
def test_a_container_whose_post_start_fails_is_ended_within_the_pods_grace(
    tmp_path: Path, result: Any, words: str
) -> None:
    world, event = starts(tmp_path, EXEC, result)
    assert isinstance(event, ContainerStartFailed)
    assert (event.reason, event.message) == ("PostStartHookError", words)
    assert (event.container_id, event.exit_code, event.image_id) == ("c-web-0", 137, "sha256:1")
    assert world.engine.done()[-1] == "stop_container c-web-0 60"
    assert world.told == [("FailedPostStartHook", f"PostStartHook failed: {words}")]


def test_a_post_start_that_hangs_is_cut_short_when_its_pod_is_to_end(tmp_path: Path) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.engine.result = None
        task = asyncio.create_task(effects.carry_out(START))
        await eventually(lambda: world.engine.seconds, "the hook to run")
        world.withdraw(world.pod)
        return await task

    world, event = with_hooks(tmp_path, main, post_start=EXEC)
    assert isinstance(event, ContainerStartFailed)
    assert event.message == "the pod ended before the hook did"
    assert world.hooks is not None
    assert not world.hooks._starting


def test_a_post_start_does_not_begin_for_a_pod_that_ends(tmp_path: Path) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.withdraw(world.pod)
        return await effects.carry_out(START)

    world, event = with_hooks(tmp_path, main, post_start=EXEC)
    assert isinstance(event, ContainerStartFailed)
    assert not world.engine.seconds


def test_events_of_other_pods_cut_nothing_short(tmp_path: Path) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.engine.result = None
        task = asyncio.create_task(effects.carry_out(START))
        await eventually(lambda: world.engine.seconds, "the hook to run")
        other = static_pod(uid="b", name="other-node")
        world.offer(other)
        world.withdraw(other)
        world.judge()
        await asyncio.sleep(0)
        assert not task.done()
        world.withdraw(world.pod)
        return await task

    with_hooks(tmp_path, main, post_start=EXEC)


def test_pre_stop_runs_before_the_stop_and_within_its_grace(tmp_path: Path) -> None:
    world, event = stops(tmp_path, EXEC)
    assert isinstance(event, ContainerStopped)
    asked, stopped = world.engine.done()
    assert asked == "exec_sync c1 do it"
    left = float(stopped.removeprefix("stop_container c1 "))
    assert LEAST_GRACE <= left <= 60
    assert world.engine.seconds[0] <= 60
    assert world.told == []


def test_a_pre_stop_that_fails_is_told_and_the_stop_goes_on(tmp_path: Path) -> None:
    world, event = stops(tmp_path, EXEC, result=ExecResult(1, b"no"))
    assert isinstance(event, ContainerStopped)
    assert world.told == [("FailedPreStopHook", "PreStopHook failed: the command exited with 1: no")]


def test_a_pre_stop_that_hangs_leaves_the_container_a_moment_to_end(tmp_path: Path) -> None:
    world, _ = stops(tmp_path, EXEC, grace=1, result=None)
    assert world.engine.done()[-1] == "stop_container c1 2"
    assert world.told[0][0] == "FailedPreStopHook"


def test_without_a_hook_or_without_grace_the_stop_is_as_ordered(tmp_path: Path) -> None:
    world, _ = stops(tmp_path / "a", None, grace=7)
    assert world.engine.done() == ["stop_container c1 7"]
    world, _ = stops(tmp_path / "b", EXEC, grace=0)
    assert world.engine.done() == ["stop_container c1 0"]


def test_no_pre_stop_runs_in_a_container_that_is_dead(tmp_path: Path) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.engine.shown[UID] = ObservedPod(UID, "kube-system", "web-node", (), (exited("c1", 3, "web"),))
        return await effects.carry_out(stop(9))

    world, event = with_hooks(tmp_path, main, pre_stop=EXEC)
    assert isinstance(event, ContainerStopped)
    assert event.exit_code == 3
    assert world.engine.done() == ["stop_container c1 9"]


@pytest.mark.parametrize("grace", [0, 1])
def test_a_shorter_grace_cuts_a_pre_stop_short_that_runs(tmp_path: Path, grace: int) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.engine.result = None
        first = asyncio.create_task(effects.carry_out(stop(100_000)))
        await eventually(lambda: world.engine.seconds, "the hook to run")
        last = await effects.carry_out(stop(grace))
        await first
        return last

    world, event = with_hooks(tmp_path, main, pre_stop=EXEC)
    assert isinstance(event, ContainerStopped)
    assert len(world.engine.seconds) == 1
    stopped = [call for call in world.engine.done() if call.startswith("stop")]
    assert sorted(stopped) == sorted(
        ["stop_container c1 2", "stop_container c1 0" if grace == 0 else "stop_container c1 2"]
    )


def test_http_hooks_ask_the_pods_address_and_any_answer_will_do(tmp_path: Path) -> None:
    hook = LifecycleHandler(http_get=HTTPGetAction(port=8080))
    world, event = starts(tmp_path, hook)
    assert isinstance(event, ContainerStarted)
    assert world.http.asked == [("10.0.0.1", 8080)]


def test_http_hooks_may_name_a_host_and_fail_without_an_answer(tmp_path: Path) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.http.fault = HttpFault("nobody listens")
        return await effects.carry_out(START)

    hook = LifecycleHandler(http_get=HTTPGetAction(port=80, host="h"))
    world, event = with_hooks(tmp_path, main, post_start=hook)
    assert isinstance(event, ContainerStartFailed)
    assert (event.message, world.http.asked) == ("nobody listens", [("h", 80)])


def test_a_hook_waits_for_an_address_that_is_not_there_and_fails(tmp_path: Path) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.lose_sandbox()
        return await effects.carry_out(START)

    _, event = with_hooks(tmp_path, main, post_start=LifecycleHandler(http_get=HTTPGetAction(port=80)))
    assert isinstance(event, ContainerStartFailed)
    assert event.message == "the pod has no address"


def test_sleep_sleeps_and_anything_else_is_refused_by_name(tmp_path: Path) -> None:
    _, event = starts(tmp_path / "a", LifecycleHandler(sleep=SleepAction(seconds=0)))
    assert isinstance(event, ContainerStarted)
    _, event = starts(tmp_path / "b", LifecycleHandler(tcp_socket=TCPSocketAction(port=1)))
    assert isinstance(event, ContainerStartFailed)
    assert event.message == "only exec, httpGet and sleep are carried out as hooks"


def test_what_no_library_takes_fails_the_hook_alone(tmp_path: Path) -> None:
    class Odd(HookRuntime):
        async def exec_sync(self, container_id: str, command: Sequence[str], seconds: float) -> ExecResult:
            raise ValueError("embedded null byte")

    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        assert world.hooks is not None
        world.hooks._runtime = Odd()
        world.hooks._runtime.shown = world.engine.shown
        return await effects.carry_out(stop(9))

    world, event = with_hooks(tmp_path, main, pre_stop=EXEC)
    assert isinstance(event, ContainerStopped)
    assert world.told == [("FailedPreStopHook", "PreStopHook failed: ValueError: embedded null byte")]


def test_a_simulated_runtime_needs_no_listener_for_an_http_hook(tmp_path: Path) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        world.engine.info = RuntimeInfo("simulated", "1", simulated=True)
        return await effects.carry_out(START)

    hook = LifecycleHandler(http_get=HTTPGetAction(port=80))
    world, event = with_hooks(tmp_path, main, post_start=hook)
    assert isinstance(event, ContainerStarted)
    assert world.http.asked == []


def test_a_sidecars_pre_stop_runs_beside_those_of_the_main_containers_and_only_once(tmp_path: Path) -> None:
    async def main(world: HookWorld, effects: Effects) -> ResultEvent:
        proxy = container("proxy", restart_policy="Always", lifecycle=Lifecycle(pre_stop=EXEC))
        pod = static_pod(uid="b", name="side-node", init=[proxy])
        await world.vault.store(pod)
        world.offer(pod)
        world.run_until_idle()
        side = world.generation("b").containers["proxy"]
        slot, uid = SlotKey("kube-system/side-node"), PodUid("b")
        shown = running(side.id, "proxy")
        world.engine.shown[uid] = ObservedPod(uid, "kube-system", "side-node", (), (shown,))
        assert world.hooks is not None
        holder = asyncio.create_task(world.hooks.run())
        await asyncio.sleep(0)
        world.withdraw(pod)
        first = replace(stop(30), slot=slot, uid=uid, container_id="w")
        await effects.carry_out(first)
        asked = f"exec_sync {side.id} do it"
        await eventually(lambda: asked in world.engine.calls, "the hook")
        event = await effects.carry_out(replace(first, container="proxy", container_id=side.id))
        assert world.engine.calls.count(asked) == 1
        holder.cancel()
        await asyncio.wait([holder])
        return event

    world, event = with_hooks(tmp_path, main)
    assert isinstance(event, ContainerStopped)
    assert world.hooks is not None
    assert world.hooks._early == {}
