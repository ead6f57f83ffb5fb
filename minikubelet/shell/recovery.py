"""Recovery: from a journal to the state it leads to.

Belongs here: snapshot and records folded by the reducer. May not be here: what a journal looks like on a
disk. The agent always starts: what cannot be read is said, and the state is then rebuilt from the sources
and the runtime.
"""

from __future__ import annotations

import msgspec

from minikubelet.core.reducer import Reducer
from minikubelet.ports.journalport import OpenedJournal, RecordKind
from minikubelet.wire.records import UnknownRecord, decode_event, decode_snapshot


class Recovered(msgspec.Struct, frozen=True):
    """The reducer at the journal's end, how many events it took, and what went wrong on the way."""

    reducer: Reducer
    events: int
    damage: tuple[str, ...]


def recover(opened: OpenedJournal) -> Recovered:
    """Fold an opened journal; on a record that cannot be read, begin anew after saying so."""
    damage = list(opened.survey.damage)
    events = 0
    try:
        snapshot = decode_snapshot(opened.snapshot.body) if opened.snapshot else None
        reducer = Reducer(snapshot)
        for record in opened.records:
            if record.kind is RecordKind.EVENT:
                reducer.decide(record.seq, record.at, decode_event(record.body))
                events += 1
    except UnknownRecord as error:
        return _anew(damage, str(error))
    except Exception as error:  # noqa: BLE001 - a bug in the core must not keep the agent from starting for ever
        return _anew(damage, f"a bug, please report it: {type(error).__name__}: {error}")
    return Recovered(reducer, events, tuple(damage))


def _anew(damage: list[str], problem: str) -> Recovered:
    damage.append(f"the journal's state was set aside and is rebuilt from what runs: {problem}")
    return Recovered(Reducer(), 0, tuple(damage))
