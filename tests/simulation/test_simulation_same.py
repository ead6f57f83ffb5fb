"""The same seed gives the same journal, byte for byte, whatever the interpreter's own dice say."""

from minikubelet.simulation.simcommands import FAULTS
from minikubelet.simulation.simrun import run
from minikubelet.simulation.simscenario import scenario
from tests.laws.hashseeds import same_output

SNIPPET = """
from minikubelet.simulation.simcommands import FAULTS
from minikubelet.simulation.simrun import run
from minikubelet.simulation.simscenario import scenario
for seed in range(3):
    report = run(scenario(seed, duration=8, pods=3, faults=FAULTS))
    print(seed, report.digest, report.events, report.lives)
"""


def test_a_seed_gives_the_same_journal_twice() -> None:
    first = [run(scenario(seed, duration=8, pods=3, faults=FAULTS)).digest for seed in range(6)]
    again = [run(scenario(seed, duration=8, pods=3, faults=FAULTS)).digest for seed in range(6)]
    assert first == again
    assert len(set(first)) == len(first)


def test_hash_seeds_and_interpreters_change_nothing() -> None:
    assert same_output(SNIPPET).count("\n") == 3
