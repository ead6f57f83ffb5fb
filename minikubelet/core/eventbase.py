"""The base of all events, and what the kinds of them share.

Belongs here: the base alone. May not be here: any event (`events` has those
of pods, `nodeevents` the node's).
"""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", kw_only=True):
    """Base of all events."""

    v: int = 1
