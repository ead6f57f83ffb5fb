"""Names of things: pods, slots, sources, commands.

Belongs here: the types of identifiers and how they are spelt. May not be here: anything that makes
them up from a clock or from chance.
"""

from __future__ import annotations

from enum import Enum
from typing import NewType

PodUid = NewType("PodUid", str)
"""Identity of one pod; a static pod's is derived from node and content, so an edit is a new pod."""

SlotKey = NewType("SlotKey", str)
"""`namespace/name`: the place that pods of one name occupy one after the other."""


class Source(Enum):
    """Where a pod's definition comes from; the values of `kubernetes.io/config.source`."""

    FILE = "file"
    API = "api"


def slot_key(namespace: str, name: str) -> SlotKey:
    """Spell the slot of a pod: `namespace/name`."""
    return SlotKey(f"{namespace}/{name}")


def split_slot(slot: SlotKey) -> tuple[str, str]:
    """Namespace and name of a slot."""
    namespace, _, name = slot.partition("/")
    return namespace, name
