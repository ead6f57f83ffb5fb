"""Reports: what an agent with an API server tells it, put together.

Belongs here: wiring of outbox, node and lease. May not be here: what is told (`reporting`).
"""

from __future__ import annotations

from collections.abc import Coroutine

import msgspec

from minikubelet.agent.upstream import NoUpstream
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.ports.outboxport import Outbox
from minikubelet.reporting.outbox import ApiOutbox
from minikubelet.shell.vault import Vault


class Reports(msgspec.Struct, frozen=True):
    """The outbox, and what runs for it until cancelled."""

    outbox: Outbox
    running: tuple[Coroutine[object, object, None], ...] = ()


def reporting(client: ApiClient | None, vault: Vault) -> Reports:
    """What is told to the API server of `client`; nothing without one."""
    if client is None:
        return Reports(NoUpstream())
    outbox = ApiOutbox(client, full_pod=vault.get, node_uid=lambda: "")
    return Reports(outbox, (outbox.run(),))
