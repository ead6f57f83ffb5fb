"""The node's own API in the life of an agent: which streams, which API server, and who is told of it.

Belongs here: wiring, and faults of the start in words. May not be here: what the API serves (`nodeapi`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple

import structlog

from minikubelet.agent.agentplan import AgentPlan, StartFault, Upstream
from minikubelet.agent.assembly import Parts
from minikubelet.agent.insight import Insight
from minikubelet.agent.runtimechoice import Choice
from minikubelet.agent.upstream import Reached, Tasks
from minikubelet.apiclient.apicertstore import PairStore
from minikubelet.apiclient.apicertwish import serving_wish
from minikubelet.apiclient.apirotation import Rotation
from minikubelet.model.settings import KubeletSettings
from minikubelet.nodeapi.nodecerts import CertificateFault
from minikubelet.nodeapi.nodemetrics import CertificateFigures
from minikubelet.nodeapi.noderoutes import NodeApiSetup
from minikubelet.nodeapi.nodeserver import serve_node_api
from minikubelet.stubapi.stubnodelinks import NodeLink

SERVING_STORE: Final = "kubelet-server"
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound to


class Serving(NamedTuple):
    """Where the node API listens, and what has to run until cancelled besides."""

    port: int
    tasks: Tasks


_log = structlog.get_logger()


@asynccontextmanager
async def serve_node(
    plan: AgentPlan, parts: Parts, choice: Choice, reached: Reached
) -> AsyncIterator[Serving]:
    """Serve the node API for as long as the block runs; raises StartFault.

    A default port that is busy is no reason not to start: the Node says which one it is.
    """
    kubelet = plan.settings.kubelet
    store = PairStore(plan.cert_dir, SERVING_STORE)
    rotations = {"client": reached.rotation} if reached.rotation is not None else {}
    setup = NodeApiSetup(
        node_name=plan.node_name,
        node_ips=plan.node_ips,
        directory=plan.cert_dir,
        issued=store.path if kubelet.server_tls_bootstrap and _is_usable(store) else None,
        logs=plan.places.logs,
        kubelet=kubelet,
        any_port=kubelet.port == KubeletSettings().port,
        certificates=lambda: [
            CertificateFigures(use, each.seconds_to_live(), each.errors) for use, each in rotations.items()
        ],
    )
    insight = Insight(parts.view, plan.places.journal, parts.wired.prober)
    async with AsyncExitStack() as stack:
        if choice.streams is not None:
            stack.push_async_callback(choice.streams.aclose)
        try:
            node = await stack.enter_async_context(
                serve_node_api(
                    setup, parts.view, choice.runtime, choice.streams, api=reached.client, insight=insight
                )
            )
        except CertificateFault as fault:
            raise StartFault(str(fault)) from fault
        except OSError as error:
            raise StartFault(
                f"the node API cannot listen on {kubelet.address}:{kubelet.port}: {error}; "
                "set address and port in the configuration file"
            ) from error
        _log.info("node API", address=node.address, port=node.port)
        if plan.upstream is Upstream.JOINED and ipaddress.ip_address(node.address).is_loopback:
            hint = "an API server on another machine reaches it only with `address` set (such as 0.0.0.0)"
            _log.info("the node API listens on loopback alone", hint=hint)
        if reached.stub is not None:
            host = _REACHED_AT.get(node.address, node.address)
            reached.stub.nodes.add(plan.node_name, NodeLink(host, node.port, node.token, node.client_context))
            stack.callback(reached.stub.nodes.remove, plan.node_name)
        if kubelet.server_tls_bootstrap and reached.client is not None:
            wish = serving_wish(plan.node_name, (plan.node_name, *plan.node_ips))
            told = partial(node.use_certificate, store.path)
            rotations["server"] = Rotation(reached.client, store, wish, told=told)
        yield Serving(node.port, (rotations["server"].run,) if "server" in rotations else ())


def _is_usable(store: PairStore) -> bool:
    pair = store.load()
    return pair is not None and not pair.is_over(datetime.now(UTC))
