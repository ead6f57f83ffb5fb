"""Upstream: the API server that an agent reports to: embedded, joined, or none.

Belongs here: starting the embedded one, making the client. May not be here: what is reported (`reporting`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

from minikubelet.agent.agentplan import AgentPlan, StartFault, Upstream
from minikubelet.agent.joining import USER_AGENT, Joining
from minikubelet.apiclient.apiconnection import Connection
from minikubelet.apiclient.apierrors import KubeconfigError
from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.apiclient.apirotation import Rotation
from minikubelet.stubapi.stubserver import StubServer

Tasks: TypeAlias = tuple[Callable[[], Coroutine[object, object, None]], ...]


class Reached(NamedTuple):
    """A client of the API server, None without one; the server itself where it is the embedded one."""

    client: ApiClient | None = None
    stub: StubServer | None = None
    tasks: Tasks = ()
    """what has to run until cancelled"""
    rotation: Rotation | None = None
    """what keeps the client's certificate fresh"""


@asynccontextmanager
async def reach_api(plan: AgentPlan) -> AsyncIterator[Reached]:
    """A client of the plan's API server, the embedded one started first; raises StartFault."""
    match plan.upstream:
        case Upstream.NONE:
            yield Reached()
        case Upstream.JOINED:
            joining = Joining(plan)
            try:
                connection = joining.connection()
            except (KubeconfigError, OSError) as error:
                which = "bootstrap-kubeconfig" if joining.bootstraps else "kubeconfig"
                raise StartFault(f"--{which}: {error}") from error
            async with _client(connection) as client:
                tasks = joining.tasks(client)
                yield Reached(client, tasks=tasks, rotation=joining.rotation)
        case Upstream.EMBEDDED:
            server = await _embedded(plan)
            try:
                async with _client(load_kubeconfig(plan.places.kubeconfig)) as client:
                    yield Reached(client, server)
            finally:
                await server.stop()


async def _embedded(plan: AgentPlan) -> StubServer:
    settings = plan.settings.agent.api_server
    server = StubServer(
        plan.places.stub,
        host=settings.address,
        port=settings.port,
        default_node=plan.node_name,
    )
    try:
        await server.start()
        server.write_kubeconfig(plan.places.kubeconfig)
    except OSError as error:
        await server.stop()
        where = f"{settings.address}:{settings.port}"
        raise StartFault(
            f"the embedded API server cannot start on {where}: {error.strerror or error}"
        ) from error
    return server


@asynccontextmanager
async def _client(connection: Connection) -> AsyncIterator[ApiClient]:
    try:
        client = ApiClient(connection, user_agent=USER_AGENT)
    except KubeconfigError as error:
        raise StartFault(f"--kubeconfig: {error}") from error
    try:
        yield client
    finally:
        await client.aclose()
