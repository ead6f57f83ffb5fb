"""Following the Node at the API server: which labels and taints it has.

Belongs here: watching one object. May not be here: what labels and taints decide (`core`), or the node's own
part of the object (`noderegistrar`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from minikubelet.apiclient.apipaths import nodes_path
from minikubelet.core.events import NodeSeen
from minikubelet.core.nodefacts import Taint
from minikubelet.ports.apiport import Api, Changed, ChangeType, JsonObject, Listed


class NodeWatch:
    """Tells `told` of labels and taints of the Node `name` whenever they have changed."""

    def __init__(self, api: Api, name: str, told: Callable[[NodeSeen], None]) -> None:
        self._api = api
        self._name = name
        self._told = told
        self._last: NodeSeen | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        params = {"fieldSelector": f"metadata.name={self._name}"}
        async with aclosing(self._api.list_watch(nodes_path(), params=params)) as items:
            async for item in items:
                match item:
                    case Listed():
                        for node in item.items:
                            self._see(node)
                    case Changed() if item.type is not ChangeType.DELETED:
                        self._see(item.object)
                    case _:
                        pass

    def _see(self, node: JsonObject) -> None:
        labels = (node.get("metadata") or {}).get("labels") or {}
        taints = (node.get("spec") or {}).get("taints") or ()
        found = (
            Taint(str(t.get("key", "")), str(t.get("effect", "")), str(t.get("value") or "")) for t in taints
        )
        seen = NodeSeen(
            labels=tuple(sorted((str(key), str(value)) for key, value in labels.items())),
            taints=tuple(sorted(found, key=lambda t: (t.key, t.effect, t.value))),
        )
        if seen != self._last:
            self._last = seen
            self._told(seen)
