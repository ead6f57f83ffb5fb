"""The judges can fail: every bug of `IN_SUITE` is found when it is planted, and it is the bug that is found.

How many seeds each takes from the first, and how small its scenario becomes: `docs/planted.md`.
"""

from typing import Final

import pytest

from tests.simulation.planted import Plant
from tests.simulation.planted_table import EVERY, IN_SUITE, TABLE, breaks, find, spelled

FIRST: Final = {
    "final_status_comes_last": 100,
    "records_behind_the_snapshot_are_not_read": 100,
    "answers_that_come_too_late_do_not_count": 60,
    "start_up_is_asked_again_after_a_restart": 70,
    "sidecars_end_with_all_others": 60,
    "a_list_drops_nothing": 80,
    "back_off_is_too_long": 100,
    "answers_need_not_be_in_a_row": 45,
    "what_looks_as_before_is_not_told": 40,
}
"""Where to begin to look for what only few seeds show, so that the suite does not take for ever."""
MOST: Final = 60
NO_ORACLE: Final = ("no-crash", "no-error", "no-hang", "no-bug")
"""what is broken where the patch itself is, and no judge had to look"""


@pytest.mark.parametrize("bug", IN_SUITE, ids=lambda bug: str(bug.__name__))
def test_a_planted_bug_is_found(bug: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    found = find(FIRST.get(bug.__name__, 0), MOST)
    assert found is not None
    assert found.promise not in NO_ORACLE, found.promise
    monkeypatch.undo()
    assert not breaks(found.scenario)


def test_the_table_has_a_line_for_every_bug_and_for_no_other() -> None:
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")][1:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == [spelled(bug) for bug in EVERY]
