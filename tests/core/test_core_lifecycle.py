"""Lifecycle: how a container's record moves on."""

from __future__ import annotations

import pytest

from minikubelet.core import lifecycle
from minikubelet.core.state import ContainerRecord, Life, Moment


@pytest.mark.parametrize(
    ("record", "dead"),
    [
        (ContainerRecord("web"), ()),
        (ContainerRecord("web", life=Life.EXITED, id="web_0", attempt=0, dead=("old",)), ("old", "web_0")),
        (ContainerRecord("web", life=Life.EXITED, id="web_0", attempt=0, dead=("web_1",)), ("web_0",)),
    ],
    ids=["the first", "another", "one whose id a crash had left half made"],
)
def test_a_new_instance_leaves_the_one_before_to_be_removed_but_never_itself(
    record: ContainerRecord, dead: tuple[str, ...]
) -> None:
    begun = lifecycle.begun(
        record, container_id="web_1", attempt=1, sandbox_id="s", made_from="h", now=Moment(9, 9)
    )
    assert begun.dead == dead
