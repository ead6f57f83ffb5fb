"""Law 1 by syntax: core/ and model/ do no I/O, read no clock, draw no randomness, iterate no set."""

import re
from pathlib import Path

import pytest

from tests.laws.purity import impurities
from tests.laws.set_order import learn, set_iterations

ROOT = Path(__file__).resolve().parents[2]
PURE = sorted(path for floor in ("core", "model") for path in (ROOT / "minikubelet" / floor).rglob("*.py"))


def test_core_and_model_are_pure() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PURE}
    assert sources
    known = learn(sources.values())
    found = [item for path, source in sources.items() for item in impurities(source, path)]
    found += [item for path, source in sources.items() for item in set_iterations(source, path, known)]
    assert not found, "\n" + "\n".join(map(str, sorted(found)))


@pytest.mark.parametrize(
    ("snippet", "what"),
    [
        ("import os", "imports os"),
        ("import os.path", "imports os.path"),
        ("import time", "imports time"),
        ("import random", "imports random"),
        ("import asyncio", "imports asyncio"),
        ("import socket as json", "imports socket"),
        ("import structlog", "imports structlog"),
        ("from uuid import uuid4", "imports uuid"),
        ("from secrets import token_hex", "imports secrets"),
        ("from logging import getLogger", "imports logging"),
        ("from pathlib import Path", "imports Path from pathlib"),
        ("import pathlib", "imports pathlib"),
        ("from minikubelet.shell import loop", "imports minikubelet.shell"),
        ("from minikubelet import wire", "imports minikubelet.wire"),
        ("from ..wire import podcodec", "imports relatively"),
        ("def f():\n    import sys", "imports sys"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import aiohttp", "imports aiohttp"),
        ("import datetime\nx = datetime.datetime.now(datetime.UTC)", "reads the clock"),
        ("from datetime import datetime as d\nx = d.utcnow()", "reads the clock"),
        ("from datetime import date\nf = date.today", "reads the clock"),
        ("def f(t):\n    return t.astimezone()", "time zone"),
        ("from datetime import datetime\nx = datetime.fromtimestamp(0)", "time zone"),
        ("def f():\n    return open('x')", "uses open"),
        ("print(1)", "uses print"),
        ("key = hash", "uses hash"),
        ("def f(hash): ...\ndef g(x):\n    return hash(x)", "uses hash"),
        ("x = id(object())", "uses id"),
        ("x = __import__('os')", "uses __import__"),
        ("x = eval('1')", "uses eval"),
        ("async def f(): ...", "waits"),
        ("x = 0\ndef f():\n    global x\n    x += 1", "keeps state"),
    ],
)
def test_an_impurity_is_found(snippet: str, what: str) -> None:
    found = impurities(snippet, "planted.py")
    assert [item for item in found if what in item.what], found


@pytest.mark.parametrize(
    "snippet",
    [
        "from __future__ import annotations",
        "import msgspec\nfrom msgspec.structs import replace",
        "from collections.abc import Iterable\nimport hashlib, json, re, math",
        "from datetime import UTC, datetime\nx = datetime.fromtimestamp(0, tz=UTC).astimezone(UTC)",
        "from pathlib import PurePosixPath",
        "from minikubelet.core.events import Event\nfrom minikubelet.model import ids",
        "from minikubelet import core",
        "from .events import Event",
        "def f(event):\n    return event.now, event.id, event.open",
        "from dataclasses import replace",
        "def f(*, hash):\n    return hash",
        "from copy import deepcopy",
    ],
)
def test_what_is_pure_passes(snippet: str) -> None:
    assert impurities(snippet, "planted.py") == []


SET_BREACHES = [
    "for x in {1, 2}: ...",
    "for x in set(y): ...",
    "[x for x in frozenset(y)]",
    "{x: 1 for x in set(y)}",
    "list(x for x in set(y))",
    "[z for x in y for z in set(x)]",
    "list({x for x in y})",
    "tuple(set(y))",
    "','.join({'a', 'b'})",
    "dict.fromkeys(set(y))",
    "next(iter(set(y)))",
    "enumerate(set(y))",
    "zip(y, set(y))",
    "map(str, set(y))",
    "max(set(y), key=len)",
    "str(set(y))",
    "f'{set(y)}'",
    "[*set(y)]",
    "f(*set(y))",
    "a, b = set(y)",
    "z = []\nz.extend(set(y))",
    "z = set(y)\nz.pop()",
    "def f():\n    yield from set(y)",
    "def f(names: frozenset[str]):\n    return tuple(names)",
    "def f(names: 'set[str] | None'):\n    return tuple(names)",
    "def f(names: collections.abc.Set[str]):\n    return [n for n in names]",
    "def f(d, e):\n    return list(d.keys() - e.keys())",
    "def f(d, e):\n    for k in d.keys() | e: ...",
    "a = {1}\nb = a | {2}\nfor x in b: ...",
    "a = {1}\nfor x in a.union(y): ...",
    "NAMES = frozenset({'a'})\ndef f():\n    return list(NAMES)",
    "def f():\n    if (z := set(y)):\n        return tuple(z)",
    "def f() -> set[str]: ...\nlist(f())",
    "class C:\n    names: frozenset[str]\ndef f(c):\n    return tuple(c.names)",
    "class C:\n    def names(self) -> frozenset[str]: ...\ndef f(c):\n    return tuple(c.names())",
    "for x in (set(y) if y else ()): ...",
    "for x in (y or set()): ...",
]


@pytest.mark.parametrize("snippet", SET_BREACHES)
def test_an_unsorted_set_is_found(snippet: str) -> None:
    assert set_iterations(snippet, "planted.py")


@pytest.mark.parametrize("snippet", [s for s in SET_BREACHES if re.search(r"set\(y\)", s)])
def test_the_same_with_a_sorted_set_passes(snippet: str) -> None:
    """It is the set that is blamed, not the shape around it."""
    assert (
        set_iterations(snippet.replace("frozenset(y)", "set(y)").replace("set(y)", "sorted(y)"), "p.py") == []
    )


@pytest.mark.parametrize(
    "snippet",
    [
        "sorted({1, 2})",
        "sorted(x for x in set(y))",
        "any(x for x in set(y))",
        "{x for x in set(y)}",
        "frozenset(x for x in set(y))",
        "{*a, *set(y)}",
        "max(set(y))",
        "len(set(y)); 1 in set(y)",
        "for x in {1: 2}: ...",
        "for x in d.keys(): ...",
        "names = {'a'}\ndef f(names: list[str]):\n    return list(names)",
        "def f(n: int, m: int):\n    return list(range(n | m))",
        "class A:\n    n: frozenset[str]\nclass B:\n    n: tuple[str, ...]\ndef f(b):\n    return list(b.n)",
    ],
)
def test_uses_that_do_not_see_the_order_pass(snippet: str) -> None:
    assert set_iterations(snippet, "planted.py") == []


def test_a_set_of_another_module_is_known_by_its_annotation() -> None:
    known = learn(["class Pod:\n    names: frozenset[str]\n", "REASONS = {'a', 'b'}\n"])
    assert set_iterations("def f(pod):\n    return list(pod.names)", "p.py", known)
    assert set_iterations("from x import REASONS\nfor r in REASONS: ...", "p.py", known)
