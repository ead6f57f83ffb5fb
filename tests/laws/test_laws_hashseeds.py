"""The helper for law 1 tells sources whose output depends on the hash seed from those whose does not."""

import sys

import pytest

from tests.laws.hashseeds import SEEDS, interpreters, outputs, same_output

UNORDERED = "print(*{f'name-{n}' for n in range(64)})"
ORDERED = "print(*sorted({f'name-{n}' for n in range(64)}))"


def test_the_order_of_a_set_differs_between_seeds() -> None:
    assert len(set(outputs(UNORDERED, seeds=("0", "1")).values())) == 2
    with pytest.raises(AssertionError, match=r"seed=.*printed"):
        same_output(UNORDERED, seeds=("0", "1"))


def test_a_sorted_set_is_the_same_under_every_seed() -> None:
    assert same_output(ORDERED).split() == sorted(f"name-{n}" for n in range(64))


def test_every_interpreter_and_seed_is_asked() -> None:
    assert interpreters()[0] == sys.executable
    settings = outputs("import minikubelet; print(minikubelet.__version__)")
    assert [setting.seed for setting in settings] == [*SEEDS] * len(interpreters())


def test_a_snippet_that_fails_shows_its_error() -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        outputs("1 / 0")
