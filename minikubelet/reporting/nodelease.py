"""The node's lease in kube-node-lease: the sign of life that a control plane looks for.

Belongs here: making and renewing it (upstream: component-helpers apimachinery/lease). May not be here: what
else is told of a node.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from minikubelet.apiclient.apibackoff import Backoff, BackoffPolicy
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apipaths import LEASE_NAMESPACE, lease_path, leases_path
from minikubelet.model.status import rfc3339_micro
from minikubelet.ports.apiport import Api, JsonObject

log = structlog.get_logger(__name__)

BACKOFF = BackoffPolicy(first_seconds=0.2, factor=2.0, most_seconds=7.0, jitter=0.5)


class NodeLease:
    """Renews the lease of `name` four times within its duration (seconds); `now` is µs since the epoch."""

    def __init__(
        self,
        api: Api,
        name: str,
        *,
        now: Callable[[], int],
        node_uid: Callable[[], str],
        duration: int = 40,
        rng: random.Random | None = None,
        backoff: BackoffPolicy = BACKOFF,
    ) -> None:
        self._api = api
        self._name = name
        self._now = now
        self._node_uid = node_uid
        self._duration = duration
        self._backoff = Backoff(backoff, rng or random.Random())  # noqa: S311 - jitter keeps no secret
        self._stored: JsonObject | None = None
        self._said = False

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            try:
                await self.renew()
            except (ApiError, ApiUnreachable) as error:
                if not self._said:
                    log.warning("the node's lease cannot be renewed", node=self._name, problem=str(error))
                self._said = True
                self._stored = None
                asked = error.retry_after if isinstance(error, ApiError) else None
                await asyncio.sleep(max(self._backoff.next_seconds(), asked or 0.0))
            else:
                self._said = False
                self._backoff.reset()
                await asyncio.sleep(self._duration / 4)

    async def renew(self) -> None:
        """Make or renew the lease once; raises ApiError and ApiUnreachable."""
        if self._stored is None:
            self._stored = await self._find()
        if self._stored is None:
            self._stored = await self._api.create_object(leases_path(), self._renewed({}))
        else:
            self._stored = await self._api.replace_object(lease_path(self._name), self._renewed(self._stored))

    async def _find(self) -> JsonObject | None:
        try:
            return await self._api.get_object(lease_path(self._name))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def _renewed(self, stored: JsonObject) -> JsonObject:
        metadata = {**(stored.get("metadata") or {}), "name": self._name, "namespace": LEASE_NAMESPACE}
        uid = self._node_uid()
        if uid:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": uid}
            metadata["ownerReferences"] = [owner]
        spec = {
            **(stored.get("spec") or {}),
            "holderIdentity": self._name,
            "leaseDurationSeconds": self._duration,
            "renewTime": rfc3339_micro(self._now()),
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
