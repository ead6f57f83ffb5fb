"""Law 1, first half: what may a pure module import and call? Everything that is not listed is an impurity.

Works on source text by its syntax tree, so that planted snippets can be judged like real modules. The
order of sets is the other half: set_order.py.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

# Whole modules: nothing in them reads a clock, an environment, a file or a source of randomness.
ALLOWED_MODULES = frozenset(
    """
    __future__ abc base64 binascii bisect collections collections.abc dataclasses decimal enum fractions
    functools graphlib hashlib heapq ipaddress itertools json math msgspec operator posixpath re string
    struct textwrap types typing unicodedata urllib.parse zlib
    """.split()  # noqa: SIM905 - a list of words reads better than a column of quotes
)

# Modules of which only some names are pure.
ALLOWED_NAMES = {
    "copy": frozenset({"copy", "deepcopy", "replace"}),
    "datetime": frozenset({"UTC", "date", "datetime", "time", "timedelta", "timezone", "tzinfo"}),
    "pathlib": frozenset({"PurePath", "PurePosixPath"}),
}

# The package's own floors that a pure module may stand on.
OWN_FLOORS = ("minikubelet.core", "minikubelet.model")

FORBIDDEN_BUILTINS = frozenset(
    """
    __import__ breakpoint compile eval exec globals hash id input locals open print vars
    """.split()  # noqa: SIM905 - as for the modules above
)

# Methods of datetime's classes that read the clock, or the machine's time zone.
CLOCK_METHODS = frozenset({"now", "today", "utcnow"})
LOCAL_ZONE_METHODS = frozenset({"astimezone", "fromtimestamp"})


class Finding(NamedTuple):
    """One breach: the module, its line, and what is wrong there."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def impurities(source: str, path: str) -> list[Finding]:
    """Every import, call and statement of a module that could make two replays differ, by line."""
    tree = ast.parse(source)
    clocks = _names_from_datetime(tree)
    own = _own_names(tree)
    found = [
        Finding(path, line, what)
        for node in ast.walk(tree)
        if node not in own
        for line, what in _judge(node, clocks)
    ]
    return sorted(found)


def _own_names(tree: ast.Module) -> frozenset[ast.AST]:
    """Uses of a parameter that has the name of a builtin: they are not the builtin."""
    return frozenset(
        name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for argument in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        for name in ast.walk(function)
        if isinstance(name, ast.Name) and name.id == argument.arg
    )


def _names_from_datetime(tree: ast.Module) -> frozenset[str]:
    """The names by which this module reaches datetime or one of its classes."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.asname or alias.name for alias in node.names if alias.name == "datetime"]
        elif isinstance(node, ast.ImportFrom) and node.module == "datetime":
            names += [alias.asname or alias.name for alias in node.names]
    return frozenset(names)


def _judge(node: ast.AST, clocks: frozenset[str]) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Import():
            for alias in node.names:
                yield from _judge_module(node.lineno, alias.name)
        case ast.ImportFrom():
            yield from _judge_import_from(node)
        case ast.Name(id=name, ctx=ast.Load()) if name in FORBIDDEN_BUILTINS:
            yield node.lineno, f"uses {name}"
        case ast.Attribute():
            yield from _judge_attribute(node, clocks)
        case ast.Call(func=ast.Attribute(attr=attr)) if attr in LOCAL_ZONE_METHODS:
            yield from _judge_local_zone(node, attr)
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            yield node.lineno, "waits (async or await): a pure function has nothing to wait for"
        case ast.Global():
            yield node.lineno, f"keeps state in a global ({', '.join(node.names)})"
        case _:
            pass


def _judge_module(line: int, module: str) -> Iterator[tuple[int, str]]:
    if module in ALLOWED_MODULES or module.startswith("msgspec.") or module == "datetime":
        return
    if any(module == floor or module.startswith(floor + ".") for floor in OWN_FLOORS):
        return
    yield line, f"imports {module}, which is not on the list of pure modules"


def _judge_import_from(node: ast.ImportFrom) -> Iterator[tuple[int, str]]:
    module = node.module or ""
    if node.level:
        # Relative: siblings only, since an import across the floors is to be seen as one.
        if node.level > 1:
            yield node.lineno, "imports relatively across packages; write the whole name"
        return
    if module in ALLOWED_NAMES:
        names = [alias.name for alias in node.names if alias.name not in ALLOWED_NAMES[module]]
        if names:
            yield node.lineno, f"imports {', '.join(names)} from {module}, which is not on the list"
        return
    if module == "minikubelet":
        for alias in node.names:
            yield from _judge_module(node.lineno, f"minikubelet.{alias.name}")
        return
    yield from _judge_module(node.lineno, module)


def _judge_attribute(node: ast.Attribute, clocks: frozenset[str]) -> Iterator[tuple[int, str]]:
    if node.attr not in CLOCK_METHODS:
        return
    root: ast.expr = node.value
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and root.id in clocks:
        yield node.lineno, f"reads the clock ({ast.unparse(node)}); time comes in on events"


def _judge_local_zone(node: ast.Call, attr: str) -> Iterator[tuple[int, str]]:
    needed = 1 if attr == "astimezone" else 2
    if len(node.args) + len(node.keywords) < needed:
        yield node.lineno, f"reads the machine's time zone ({attr} without a zone)"
