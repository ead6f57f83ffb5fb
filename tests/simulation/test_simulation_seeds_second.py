"""Seeds run clean: the second quarter of those in the suite."""

import pytest

from tests.simulation.simulation_world import first_seeds, keep_every_promise


@pytest.mark.parametrize("first", first_seeds(1))
def test_seeds_keep_every_promise(first: int) -> None:
    keep_every_promise(first)
