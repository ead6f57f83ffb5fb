"""Lifetime: one life of the agent, from its first line to its exit code.

Belongs here: order of start and end, signals, the lines that say where things are. May not be here: how
the parts are wired (`assembly`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from importlib import import_module

import structlog

from minikubelet.agent.agentlogging import configure_logging, unfailing
from minikubelet.agent.agentplan import AgentPlan, StartFault, Upstream, make_plan
from minikubelet.agent.assembly import History, Parts, assemble, left_behind, open_history
from minikubelet.agent.enginepaths import check_mounts
from minikubelet.agent.laterapi import LaterApi
from minikubelet.agent.livetable import LiveTable
from minikubelet.agent.nodename import claim_node
from minikubelet.agent.reports import Reports
from minikubelet.agent.runtimechoice import Choice, choose_runtime
from minikubelet.agent.startchecks import check_host_root, check_start
from minikubelet.model.settings import LogFormat, LoggingSettings
from minikubelet.ports.runtimeport import Runtime, RuntimeFault
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.systemclock import SystemClock
from minikubelet.shell.vault import Vault
from minikubelet.sources.apisource import ApiSource
from minikubelet.sources.filesource import FileSource
from minikubelet.sources.logindsource import LogindSource
from minikubelet.sources.manifestreading import manifest_reader

CONNECT_SECONDS = 10.0
"""how long a start waits for a runtime that hangs; signals wait with it"""

FIRST_SECONDS = 1.0
"""for how long what others see of the agent comes after its pods, where engine or folder do not answer"""

_log = structlog.get_logger()


def run(options: argparse.Namespace) -> int:
    """`minikubelet run`: 0 after a signal, 1 when the agent failed, 2 when it could not start as told."""
    json_lines = options.logging_format == LogFormat.JSON.value  # the file may say so too, once it is read
    if json_lines:
        configure_logging(LoggingSettings(format=LogFormat.JSON.value))
    try:
        plan = make_plan(options)
        configure_logging(plan.logging)
        json_lines = plan.logging.format == LogFormat.JSON
        return asyncio.run(_live(plan, json_lines=json_lines))
    except StartFault as fault:
        if json_lines:
            _log.error(str(fault))
        else:
            sys.stderr.write(f"minikubelet: {fault}\n")
        return 2
    except Exception:
        if not json_lines:
            raise
        _log.critical("the agent failed", exc_info=True)
        return 1


async def _live(plan: AgentPlan, *, json_lines: bool) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    _make_places(plan)
    check_start(plan)
    for warning in plan.warnings:
        _log.warning(warning)
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        history = open_history(plan, clock)
        stack.push_async_callback(history.journal.close)
        choice = choose_runtime(plan, clock, before=history.runtime)
        runtime = choice.runtime
        stack.push_async_callback(runtime.aclose)
        usable = partial(_usable, plan, choice)
        answers = await _connect(runtime, usable)
        check_host_root(plan)
        if runtime.info.name == "docker":
            stack.enter_context(claim_node(plan.node_name, runtime.info.name))
        _log.info("runtime chosen", runtime=runtime.info.name, version=runtime.info.version, why=choice.why)
        if sentence := left_behind(plan, history, runtime.info.name):
            _log.warning(sentence)
        vault = Vault(PodPaths(plan.places.root, plan.places.logs))
        vault.load()
        api = LaterApi() if plan.upstream is not Upstream.NONE else None
        reports = Reports(plan, api, vault, clock)
        parts = assemble(plan, history, runtime, reports, vault, clock=clock)
        stack.callback(parts.wired.timers.cancel_all)
        stack.push_async_callback(parts.wired.handlers.aclose)
        if not answers:
            parts.wired.observer.hold_until(usable)
        _announce(plan, history)
        tasks = _tasks(plan, parts, reports, vault, json_lines=json_lines)
        tasks.append(_outward(plan, (parts, choice, reports, api), stack))
        await _until(stopping, tasks)
    _log.info("stopped; containers go on")
    return 0


def _make_places(plan: AgentPlan) -> None:
    for directory in (plan.places.root, plan.places.root / "pods"):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartFault(
                f"the state directory {directory} cannot be made: {error.strerror}; "
                "name another with --root-dir"
            ) from error
    try:
        plan.places.root.chmod(0o700)
        plan.places.logs.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise StartFault(f"{error.filename} cannot be used: {error.strerror}") from error


async def _connect(runtime: Runtime, usable: Callable[[], Awaitable[None]]) -> bool:
    """Reach the engine once and check it; one that does not answer yet is tried again by the observer."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await runtime.connect()
            await usable()
    except TimeoutError:
        _log.warning("the container runtime does not answer yet", waited=f"{CONNECT_SECONDS:g} s")
        return False
    except RuntimeFault as fault:
        if not fault.unreachable:
            raise StartFault(f"the container runtime cannot be used: {fault.message}") from fault
        _log.warning("the container runtime does not answer yet", error=fault.message)
        return False
    return True


async def _usable(plan: AgentPlan, choice: Choice) -> None:
    """Whether paths and mounts mean the same to an engine that answers; raises RuntimeFault."""
    if choice.check is not None:
        await choice.check()
    if choice.runtime.info.name == "docker" and not choice.runtime.info.same_mounts:
        check_mounts(plan.places.root)


async def _outward(
    plan: AgentPlan, inside: tuple[Parts, Choice, Reports, LaterApi | None], stack: contextlib.AsyncExitStack
) -> None:
    """What others see of the agent; the libraries of it are read while the first containers start."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_SECONDS):
            await inside[0].at_work.wait()
    outward = await asyncio.to_thread(import_module, "minikubelet.agent.outward")
    await outward.live_outward(plan, outward.Inside(*inside), stack)


def _announce(plan: AgentPlan, history: History) -> None:
    for sentence in history.damage:
        _log.warning("journal", found=sentence)
    _log.info("journal", path=str(plan.places.journal), events=history.events)
    _log.info("manifests", path=str(plan.places.manifests) if plan.places.manifests else "none")
    _log.info("container logs", path=str(plan.places.logs))


def _tasks(
    plan: AgentPlan, parts: Parts, reports: Reports, vault: Vault, *, json_lines: bool
) -> list[Coroutine[object, object, None]]:
    tasks: list[Coroutine[object, object, None]] = [
        *parts.wired.tasks(),
        *parts.making.tasks(),
        *parts.measuring.tasks(),
    ]
    if parts.shutdown.seconds:
        tasks.append(LogindSource(parts.shutdown).run())
    if plan.places.manifests is not None:
        settings = plan.settings
        reader = manifest_reader(node_name=plan.node_name, namespace=settings.agent.static_pod_namespace)
        files = FileSource(
            plan.places.manifests,
            reader,
            now=SystemClock().now,
            frequency=settings.kubelet.file_check_frequency,
            first_seen=vault.first_seen(),
        )
        tasks.append(files.run(parts.wired.intake))
    if reports.client is not None:
        outbox = reports.outbox
        source = ApiSource(
            reports.client,
            plan.node_name,
            status_seen=outbox.status_seen,
            reachable=outbox.upstream_reachable,
        )
        tasks.append(source.run(parts.wired.intake))
    if sys.stdout.isatty() and not json_lines:
        tasks.append(LiveTable(parts.view.pods, unfailing(sys.stdout)).run())
    return tasks


async def _until(stopping: asyncio.Event, tasks: list[Coroutine[object, object, None]]) -> None:
    """Run all tasks until a signal; one that fails is a bug and ends the agent loudly.

    Raises StartFault where what others are to see of the agent cannot come up.
    """
    faults: list[BaseException] = []
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(task) for task in tasks]
            await stopping.wait()
            for task in running:
                task.cancel()
    except* StartFault as group_of_faults:
        faults += group_of_faults.exceptions
    if faults:
        raise faults[0]
