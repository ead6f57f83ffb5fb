"""A shrunk history as a pytest: events and decisions as they stand, nothing else needed.

Belongs here: the text of the test. May not be here: shrinking.
"""

from __future__ import annotations

from collections.abc import Sequence

from minikubelet.core.reducer import Snapshot as State
from minikubelet.replay.replayhistory import Step
from minikubelet.replay.shrinking import EMPTY
from minikubelet.wire.records import encode_snapshot

_HEAD = '''"""{about}"""

from minikubelet.core.reducer import Reducer
from minikubelet.wire.records import decode_command, decode_event{more}

# fmt: off
STATE = {state}
STEPS = [
{steps}
]
# fmt: on


def {name}() -> None:
    reducer = Reducer({begin})
    for seq, at, event, expected in STEPS:
        decided = [(d.command, d.causes) for d in reducer.decide(seq, at, decode_event(event))]
        recorded = [(decode_command(body), causes) for body, causes in expected]
        assert decided == recorded, f"event {{seq}}"
'''


def test_text(state: State, steps: Sequence[Step], *, shows_bug: bool) -> str:
    """The module's text; with `shows_bug` the last decisions are the recorded ones, not those of now."""
    empty = state == EMPTY
    about = (
        "A history that once led to other decisions than it does now."
        if shows_bug
        else "A history, cut down to what leads to one decision."
    )
    return _HEAD.format(
        about=about,
        more="" if empty else ", decode_snapshot",
        state="None" if empty else repr(encode_snapshot(state)),
        steps="\n".join(_step(step) for step in steps),
        name="test_recorded_decisions_are_made_again" if shows_bug else "test_the_decision_is_made",
        begin="" if empty else "decode_snapshot(STATE)",
    )


def _step(step: Step) -> str:
    lines = [f"    ({step.event.seq}, {step.event.at}, {bytes(step.event.body)!r}, ["]
    lines += [f"        ({bytes(record.body)!r}, {record.causes!r})," for record in step.commands]
    return "\n".join([*lines, "    ]),"])
