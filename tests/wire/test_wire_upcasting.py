"""Older forms of records are read as today's: pure steps, one form after the other."""

from typing import Any, get_args

import msgspec
import pytest

from minikubelet.core.commands import AnyCommand, StopContainer
from minikubelet.core.events import AgentStarted, AnyEvent, Event, SandboxStopped
from minikubelet.wire import records


@pytest.fixture
def _older_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """SandboxStopped once had `box`, and before that `place/box`; StopContainer had no grace."""

    def second(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "v": -1, "box": fields["box"].rpartition("/")[2]}

    def today(fields: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in fields.items() if key != "box"}
        return {**rest, "v": 1, "sandbox_id": fields["box"]}

    def grace(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "v": 1, "grace": 30}

    steps = {("SandboxStopped", -2): second, ("SandboxStopped", -1): today, ("StopContainer", 0): grace}
    monkeypatch.setattr(records, "UPCASTERS", steps)


@pytest.mark.usefixtures("_older_forms")
@pytest.mark.parametrize(("form", "box"), [(-2, "here/b1"), (-1, "b1")])
def test_an_event_of_an_older_form_is_read_as_todays(form: int, box: str) -> None:
    body = {"kind": "SandboxStopped", "v": form, "slot": "a/b", "uid": "u", "box": box}
    read = records.decode_event(msgspec.json.encode(body))
    assert isinstance(read, SandboxStopped)
    assert (read.v, read.sandbox_id) == (1, "b1")
    assert records.decode_event(records.encode_event(read)) == read


@pytest.mark.usefixtures("_older_forms")
def test_a_command_of_an_older_form_is_read_as_todays_and_others_are_left_alone() -> None:
    body = {
        "kind": "StopContainer",
        "v": 0,
        "slot": "a/b",
        "reason": "PodRemoved",
        "uid": "u",
        "container": "c",
    }
    read = records.decode_command(msgspec.json.encode({**body, "container_id": "i"}))
    assert isinstance(read, StopContainer)
    assert read.grace == 30
    started = AgentStarted(node="n", boot="b", sources=(), has_api=False)
    assert records.decode_event(records.encode_event(started)) == started


@pytest.mark.usefixtures("_older_forms")
def test_what_no_step_reads_names_the_field() -> None:
    with pytest.raises(records.UnknownRecord, match="sandbox_id"):
        records.decode_event(b'{"kind":"SandboxStopped","slot":"a/b","uid":"u","box":"b1"}')


def test_a_raised_form_is_written_down() -> None:
    """Defaults are left out, and what tells no form is of the first: a later one may be no mere default."""

    class Raised(Event, tag=True, frozen=True, kw_only=True):
        v: int = msgspec.field(default_factory=lambda: 2)

    assert msgspec.json.encode(Raised()) == b'{"kind":"Raised","v":2}'
    for kind in (*get_args(AnyEvent), *get_args(AnyCommand)):
        (form,) = [field for field in msgspec.structs.fields(kind) if field.name == "v"]
        assert form.default in (1, msgspec.NODEFAULT), f"{kind.__name__}: see CONTRIBUTING, Adding an event"


def test_fields_that_a_later_version_adds_are_passed_over() -> None:
    """An agent that is set back to an older release goes on with the journal that it finds."""
    read = records.decode_event(b'{"kind":"RuntimeListed","pods":3,"since":7}')
    assert records.encode_event(read) == b'{"kind":"RuntimeListed","pods":3}'
