"""House rules that ruff and mypy do not know: sizes, names, docstrings, excuses, machine paths.

Each rule takes a module and yields findings; the tests plant a breach of each.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from tests.laws.purity import Finding

LONGEST_MODULE = 300
LONGEST_TEST = 400
SHORTEST_REASON = 8
"""Characters: as many as `as above` has, which is a reason where one stands above; a word alone is none."""

NOQA = re.compile(r"#\s*noqa\b(?P<codes>:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)?(?P<rest>.*)", re.IGNORECASE)
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<codes>\[[^\]]+\])?(?P<rest>.*)")
NO_COVER = re.compile(r"#\s*pragma:\s*no\s+(cover|branch)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATH = re.compile(r"(?<![\w./}-])/(?:(work|tmp|home|Users)(?:/|$)|root/)")


class Module(NamedTuple):
    """One file: its path from the repository's root with slashes, and its text."""

    path: str
    source: str

    @property
    def floor(self) -> str:
        """The top directory: minikubelet, tests, bench or tools."""
        return PurePosixPath(self.path).parts[0]

    @property
    def is_init(self) -> bool:
        return PurePosixPath(self.path).name == "__init__.py"


Rule = Callable[[Module], Iterator[Finding]]


def size(module: Module) -> Iterator[Finding]:
    """A module fits into a head, and nearly on two screens."""
    lines = module.source.count("\n")
    limit = LONGEST_TEST if module.floor == "tests" else LONGEST_MODULE
    if lines > limit:
        yield Finding(module.path, lines, f"has {lines} lines; {limit} are allowed, split it by topic")


def docstring(module: Module) -> Iterator[Finding]:
    """Every module says what belongs there; those of the package also what may not."""
    text = ast.get_docstring(ast.parse(module.source)) or ""
    lines = [line for line in text.splitlines() if line.strip()]
    wanted = 2 if module.floor == "minikubelet" and not module.is_init else 1
    if len(lines) < wanted:
        kind = "no docstring" if not lines else "a docstring of one line"
        yield Finding(module.path, 1, f"has {kind}: say what belongs in this module and what may not")


def comments(module: Module) -> Iterator[tuple[int, str]]:
    """Line and text of every comment."""
    for token in tokenize.generate_tokens(io.StringIO(module.source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def excuses(module: Module) -> Iterator[Finding]:
    """An exception from a rule names the rule and gives its reason; tests and coverage get none."""
    for line, comment in comments(module):
        if _unreasoned(NOQA.search(comment)):
            yield Finding(module.path, line, "noqa without code and reason: write `noqa: CODE - why`")
        if TYPE_IGNORE.search(comment) and module.floor == "tests":
            yield Finding(module.path, line, "type: ignore in a test: state the types instead")
        elif _unreasoned(TYPE_IGNORE.search(comment)):
            yield Finding(module.path, line, "type: ignore without code and reason")
        if NO_COVER.search(comment):
            yield Finding(module.path, line, "pragma against coverage: test it or remove it")


def _unreasoned(match: re.Match[str] | None) -> bool:
    """Whether this is an excuse that lacks its rule's code or a reason in words."""
    return match is not None and (not match["codes"] or len(match["rest"].strip(" -:#")) < SHORTEST_REASON)


def unfinished(module: Module) -> Iterator[Finding]:
    """What is open is an issue, not a comment."""
    texts = list(comments(module))
    texts += [
        (getattr(node, "lineno", 1), ast.get_docstring(node) or "")
        for node in ast.walk(ast.parse(module.source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    for line, text in texts:
        if match := UNFINISHED.search(text):
            yield Finding(module.path, line, f"{match[0]}: finish it, or open an issue")


def machine_paths(module: Module) -> Iterator[Finding]:
    """The package names no directory that only one machine has; tests and tools may use the temporary one."""
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = MACHINE_PATH.search(node.value)
            if match and (module.floor == "minikubelet" or match[1] == "work"):
                yield Finding(module.path, node.lineno, f"names a machine's own path ({match[0]})")


RULES: tuple[Rule, ...] = (size, docstring, excuses, unfinished, machine_paths)


def twins(modules: Iterable[Module]) -> Iterator[Finding]:
    """A file name says which module is meant, in a traceback and in a search."""
    by_name: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for module in modules:
        name = PurePosixPath(module.path).stem
        if name not in {"__init__", "__main__", "conftest"}:
            by_name[module.floor, name].append(module.path)
    for (_, name), paths in sorted(by_name.items()):
        for path in paths[1:]:
            yield Finding(path, 1, f"has the name {name} of {paths[0]}; names are unique")


def breaches(modules: Iterable[Module]) -> list[Finding]:
    """All findings of all rules, by path and line."""
    known = sorted(modules)
    found = [finding for module in known for rule in RULES for finding in rule(module)]
    return sorted([*found, *twins(known)])
