"""Recovery: the state at a journal's end, and a start all the same where that cannot be worked out."""

from __future__ import annotations

import msgspec
import pytest

from minikubelet.core.events import AgentStarted, RuntimeListed
from minikubelet.core.reducer import Reducer
from minikubelet.journal.memoryjournal import MemoryJournal
from minikubelet.ports.journalport import OpenedJournal, Record, RecordKind, Snapshot, Survey
from minikubelet.shell.recovery import recover
from minikubelet.wire.records import encode_event

EVENTS = (
    AgentStarted(node="n", boot="b", sources=(), has_api=False, runtime="docker"),
    RuntimeListed(pods=0),
)


def opened(*bodies: bytes, snapshot: Snapshot | None = None) -> OpenedJournal:
    """A journal that holds events with these bodies."""
    records = [Record(seq, RecordKind.EVENT, seq, msgspec.Raw(body)) for seq, body in enumerate(bodies, 1)]
    return OpenedJournal(MemoryJournal(), Survey(), snapshot, iter(records))


def test_events_lead_to_the_state_that_they_led_to() -> None:
    recovered = recover(opened(*(encode_event(event) for event in EVENTS)))
    assert (recovered.reducer.node.runtime, recovered.reducer.node.listed) == ("docker", True)
    assert (recovered.events, recovered.damage) == (2, ())


@pytest.mark.parametrize("body", [b'{"kind":"FromTheFuture"}', b'{"kind":"RuntimeListed","pods":"x"}'])
def test_a_record_that_cannot_be_read_is_said_and_the_state_begins_anew(body: bytes) -> None:
    recovered = recover(opened(encode_event(EVENTS[0]), body))
    assert (recovered.reducer.node.runtime, recovered.events) == ("", 0)
    assert "rebuilt from what runs" in recovered.damage[0]


def test_a_snapshot_that_cannot_be_read_is_said_and_the_state_begins_anew() -> None:
    recovered = recover(opened(encode_event(EVENTS[0]), snapshot=Snapshot(0, b"{}")))
    assert recovered.reducer.seq == 0
    assert "snapshot cannot be read" in recovered.damage[0]


def test_a_bug_in_the_core_does_not_keep_the_agent_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same history would end it again at each start."""

    def broken(_: Reducer, seq: int, at: int, event: object) -> None:
        raise KeyError(f"{seq} {at} {event}")

    monkeypatch.setattr(Reducer, "decide", broken)
    recovered = recover(opened(encode_event(EVENTS[0])))
    assert (recovered.reducer.seq, recovered.events) == (0, 0)
    assert "please report it: KeyError" in recovered.damage[0]
