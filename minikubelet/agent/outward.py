"""Outward: what others see of the agent, brought up beside its loop, so that no container waits for it.

Belongs here: the order in which local API, API server and node API come up, and the line that says where
the API server is. May not be here: anything that a container needs to start. Most of the agent's libraries
hang on this module; `lifetime` has a thread import it.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import NamedTuple

import structlog

from minikubelet.agent.agentlogging import unfailing
from minikubelet.agent.agentplan import AgentPlan, StartFault, Upstream
from minikubelet.agent.assembly import Parts
from minikubelet.agent.laterapi import LaterApi
from minikubelet.agent.nodewiring import serve_node
from minikubelet.agent.reports import Reports
from minikubelet.agent.runtimechoice import Choice
from minikubelet.agent.upstream import reach_api
from minikubelet.model.settings import LogFormat
from minikubelet.nodeapi.localapi import serve_local
from minikubelet.nodeapi.nodeserver import DECLARED_FEATURES

_log = structlog.get_logger()


class Inside(NamedTuple):
    """What there is already: the agent behind its loop, and the API server that its parts wait for."""

    parts: Parts
    choice: Choice
    reports: Reports
    api: LaterApi | None


async def live_outward(plan: AgentPlan, inside: Inside, stack: AsyncExitStack) -> None:
    """Bring all of it up and run it until cancelled; raises StartFault. What is open is left to the stack."""
    try:
        await stack.enter_async_context(serve_local(plan.places.socket, inside.parts.view))
    except OSError as error:
        raise StartFault(
            f"the socket {plan.places.socket} cannot be made: {error}; name another, shorter path with "
            "--root-dir"
        ) from error
    reached = await stack.enter_async_context(reach_api(plan))
    if inside.api is not None and reached.client is not None:
        inside.api.reached(reached.client)
    node = await stack.enter_async_context(serve_node(plan, inside.parts, inside.choice, reached))
    _say_where(plan)
    async with asyncio.TaskGroup() as group:
        for task in inside.reports.tasks(inside.parts.health, node.port, DECLARED_FEATURES):
            group.create_task(task)
        for start in (*reached.tasks, *node.tasks):
            group.create_task(start())


def _say_where(plan: AgentPlan) -> None:
    if plan.upstream is Upstream.EMBEDDED:
        command = f"kubectl --kubeconfig {plan.places.kubeconfig} get pods -A"
        if plan.logging.format == LogFormat.JSON:
            _log.info("API server", kubectl=command)
        else:
            print(command, file=unfailing(sys.stdout), flush=True)
