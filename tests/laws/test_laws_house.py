"""The house rules hold over the whole tree, and each of them finds a planted breach."""

from pathlib import Path

import pytest

from tests.laws.house import Module, breaches

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("minikubelet", "tests", "bench", "tools")
DOC = '"""What belongs here.\n\nAnd what does not.\n"""\n'


def tree() -> list[Module]:
    paths = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def test_the_tree_keeps_the_house_rules() -> None:
    found = breaches(tree())
    assert not found, f"{len(found)} breaches\n" + "\n".join(map(str, found))


def test_the_tree_is_seen() -> None:
    """An empty list of modules would keep every rule."""
    paths = {module.path for module in tree()}
    assert {"minikubelet/__init__.py", "tests/conftest.py", "tests/laws/house.py"} <= paths


def planted(comment: str) -> str:
    """A comment that the rules must not find in this file itself."""
    return DOC + "x = 1  " + comment.replace("@", "#") + "\n"


@pytest.mark.parametrize(
    ("path", "source", "what"),
    [
        ("minikubelet/core/a.py", DOC + "x = 1\n" * 297, "has 301 lines; 300 are allowed"),
        ("bench/a.py", DOC + "x = 1\n" * 297, "has 301 lines"),
        ("tests/core/a.py", DOC + "x = 1\n" * 397, "has 401 lines; 400 are allowed"),
        ("minikubelet/core/a.py", "x = 1\n", "has no docstring"),
        ("minikubelet/core/a.py", '"""Only this."""\n', "has a docstring of one line"),
        ("minikubelet/core/__init__.py", "", "has no docstring"),
        ("tests/core/a.py", "x = 1\n", "has no docstring"),
        ("minikubelet/core/a.py", planted("@ noqa"), "noqa without code and reason"),
        ("minikubelet/core/a.py", planted("@ noqa: S101"), "noqa without code and reason"),
        ("minikubelet/core/a.py", planted("@ noqa: S101 - why"), "noqa without code and reason"),
        ("minikubelet/core/a.py", planted("@noqa: S101,E501"), "noqa without code and reason"),
        (
            "tests/core/a.py",
            planted("@ type: ignore[arg-type] - the stub is wrong"),
            "type: ignore in a test",
        ),
        (
            "minikubelet/core/a.py",
            planted("@ type: ignore[arg-type]"),
            "type: ignore without code and reason",
        ),
        ("minikubelet/core/a.py", planted("@ pragma: no cover"), "pragma against coverage"),
        ("minikubelet/core/a.py", planted("@ " + "TO" + "DO later"), "finish it"),
        ("minikubelet/core/a.py", DOC + 'def f():\n    """FIX' + 'ME."""\n', "finish it"),
        ("minikubelet/core/a.py", DOC + "p = '/tmp/x'\n", "machine's own path"),
        ("minikubelet/core/a.py", DOC + "p = f'/home/{1}'\n", "machine's own path"),
        ("minikubelet/core/a.py", DOC + "p = '/root/x'\n", "machine's own path"),
        ("tests/core/a.py", DOC + "p = '/wo" + "rk/main'\n", "machine's own path"),
    ],
)
def test_a_breach_is_found(path: str, source: str, what: str) -> None:
    found = breaches([Module(path, source)])
    assert [item for item in found if what in item.what], found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("minikubelet/core/a.py", DOC + "x = 1\n" * 296),
        ("tests/core/a.py", DOC + "x = 1\n" * 396),
        ("minikubelet/core/__init__.py", '"""One line is enough here."""\n'),
        ("minikubelet/core/a.py", planted("@ noqa: S101 - an invariant, not a check of input")),
        ("minikubelet/core/a.py", planted("@ type: ignore[arg-type] - the stub is wrong here")),
        ("minikubelet/core/a.py", DOC + "p = 'x/tmp/y', '/var/lib', 'a-/tmpfs'\n"),
        ("minikubelet/core/a.py", DOC + "home = '/root'\n"),
        ("tests/core/a.py", DOC + "p = '/tmp'\n"),
    ],
)
def test_what_keeps_the_rules_passes(path: str, source: str) -> None:
    assert breaches([Module(path, source)]) == []


def test_two_modules_of_one_name_are_found() -> None:
    twins = [Module("minikubelet/core/errors.py", DOC), Module("minikubelet/wire/errors.py", DOC)]
    assert [item.path for item in breaches(twins)] == ["minikubelet/wire/errors.py"]
    across = [Module("minikubelet/core/errors.py", DOC), Module("tests/core/errors.py", DOC)]
    assert breaches(across) == []
