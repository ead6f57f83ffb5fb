"""The judges can fail: every bug of `BUGS` is found when it is planted, and it is the bug that is found.

How many seeds each takes from the first, and how small its scenario becomes: `planted_table`.
"""

from collections.abc import Callable
from typing import Final

import pytest

from tests.simulation.planted import BUGS
from tests.simulation.planted_bounds import BOUND_BUGS
from tests.simulation.planted_probes import PROBE_BUGS
from tests.simulation.planted_table import breaks, find

FIRST: Final = {"start_up_is_asked_again_after_a_restart": 70}
"""Where to begin to look for what only few seeds show, so that the suite does not take for ever."""
MOST: Final = 60


@pytest.mark.parametrize("bug", [*BUGS, *PROBE_BUGS, *BOUND_BUGS], ids=lambda bug: str(bug.__name__))
def test_a_planted_bug_is_found(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    found = find(FIRST.get(bug.__name__, 0), MOST)
    assert found is not None
    monkeypatch.undo()
    assert not breaks(found.scenario)
