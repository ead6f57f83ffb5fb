"""Whatever happens, in whatever order: the laws of the core hold, and it comes to rest where it should."""

import random

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.core.core_chaos import Chaos
from tests.laws.hashseeds import same_output

MOVES = st.lists(st.tuples(st.integers(0, 17), st.integers(0, 11)), max_size=60)

HISTORY = """
import random
from minikubelet.wire.records import encode_command, encode_event
from tests.core.core_chaos import Chaos
class Told(Chaos):
    def feed(self, event):
        print(encode_event(event).decode())
        commands = super().feed(event)
        for command in commands:
            print(encode_command(command).decode())
        return commands
drawn = random.Random(7)
world = Told()
for _ in range(400):
    world.move(drawn.randrange(18), drawn.randrange(12))
world.calm()
for decision in world.decisions:
    print(decision.causes)
"""


@hypothesis.given(MOVES)
def test_the_laws_hold_and_once_faults_end_everything_comes_to_rest(moves: list[tuple[int, int]]) -> None:
    world = Chaos()
    for kind, number in moves:
        world.move(kind, number)
    world.calm()
    world.laws_of_rest()


@pytest.mark.parametrize("seed", range(40))
def test_long_histories_end_well(seed: int) -> None:
    drawn = random.Random(seed)
    world = Chaos()
    for _ in range(100):
        world.move(drawn.randrange(18), drawn.randrange(12))
    world.calm()
    world.laws_of_rest()


def test_the_same_history_is_the_same_under_every_hash_seed() -> None:
    assert same_output(HISTORY).count("StartContainer") > 20
