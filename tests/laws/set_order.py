"""Law 1, second half: nothing may depend on the order in which a set yields its members.

The order of a set of strings changes with PYTHONHASHSEED. What is a set is told from the syntax:
displays, calls, operators, annotations, and names bound to one of these in the same function, class or
module. Uses that do not see the order (in, len, sorted, any, all, building another set) are free.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tests.laws.purity import Finding

SET_TYPES = frozenset({"AbstractSet", "FrozenSet", "MutableSet", "Set", "frozenset", "set"})
SET_METHODS = frozenset({"copy", "difference", "intersection", "symmetric_difference", "union"})
VIEWS = frozenset({"items", "keys"})
BLIND = frozenset({"all", "any", "bool", "frozenset", "isinstance", "len", "set", "sorted"})
# Called on or with a set, these put its members into an order.
SEEING_METHODS = frozenset({"extend", "extendleft", "fromkeys", "join", "writelines"})
SEEING = frozenset(
    """
    Counter OrderedDict accumulate batched chain cycle deque dict enumerate filter groupby islice iter list
    map max min next pairwise repr reversed str sum tuple zip zip_longest
    """.split()  # noqa: SIM905 - a list of words reads better than a column of quotes
)
FREE_WITHOUT_KEY = frozenset({"max", "min"})


class Known(NamedTuple):
    """Names known to be sets: attributes of classes, results of functions, and constants of modules."""

    attributes: frozenset[str]
    functions: frozenset[str]
    constants: frozenset[str]


def learn(sources: Iterable[str]) -> Known:
    """What the annotations of all these modules say is a set, whichever module then uses it.

    An attribute's name counts only if every class that annotates it says set.
    """
    fields: dict[str, list[bool]] = {}
    functions: dict[str, list[bool]] = {}
    constants: list[str] = []
    for source in sources:
        tree = ast.parse(source)
        constants += _bound(tree.body, Known(frozenset(), frozenset(), frozenset()), frozenset())
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for entry in node.body:
                    if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
                        fields.setdefault(entry.target.id, []).append(_is_set_type(entry.annotation))
            elif isinstance(node, ast.FunctionDef):
                functions.setdefault(node.name, []).append(
                    node.returns is not None and _is_set_type(node.returns)
                )
    return Known(_unanimous(fields), _unanimous(functions), frozenset(constants))


def _unanimous(votes: Mapping[str, list[bool]]) -> frozenset[str]:
    return frozenset(name for name, said in votes.items() if all(said))


def _is_set_type(annotation: ast.expr) -> bool:
    match annotation:
        case ast.Name(id=name):
            return name in SET_TYPES
        case ast.Attribute(attr=name):
            return name in SET_TYPES
        case ast.Subscript(value=value):
            return _is_set_type(value)
        case ast.BinOp(left=left, right=right):
            return _is_set_type(left) or _is_set_type(right)
        case ast.Constant(value=str(text)):
            return _is_set_type(ast.parse(text, mode="eval").body)
        case _:
            return False


def set_iterations(source: str, path: str, known: Known | None = None) -> list[Finding]:
    """Every place of a module that puts a set's members into an order without sorting them."""
    checker = _Checker(path, known or learn([source]))
    checker.visit(ast.parse(source))
    return sorted(set(checker.found))


def _bound(body: Iterable[ast.stmt], known: Known, outer: frozenset[str]) -> frozenset[str]:
    """Names that the statements of one scope bind to a set (nested functions have scopes of their own)."""
    names = outer
    for node in _scope(body):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_set(value, known, names):
                names |= {name}
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind) if _is_set_type(kind):
                names |= {name}
            case ast.NamedExpr(target=ast.Name(id=name), value=value) if _is_set(value, known, names):
                names |= {name}
            case _:
                pass
    return names


def _scope(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            todo = [*ast.iter_child_nodes(node), *todo]


def _is_set(node: ast.expr, known: Known, names: frozenset[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Name(id=name):
            return name in names
        case ast.Attribute(attr=name):
            return name in known.attributes
        case ast.Call(func=ast.Name(id=name)):
            return name in {"frozenset", "set"} or name in known.functions
        case ast.Call(func=ast.Attribute(attr=name, value=value)):
            return name in known.functions or (name in SET_METHODS and _is_set(value, known, names))
        case ast.BinOp(op=ast.Sub() | ast.BitAnd() | ast.BitOr() | ast.BitXor(), left=left, right=right):
            return any(_is_set(side, known, names) or _is_view(side) for side in (left, right))
        case ast.IfExp(body=body, orelse=orelse):
            return _is_set(body, known, names) or _is_set(orelse, known, names)
        case ast.BoolOp(values=values):
            return any(_is_set(value, known, names) for value in values)
        case ast.NamedExpr(value=value):
            return _is_set(value, known, names)
        case _:
            return False


def _is_view(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in VIEWS


class _Checker(ast.NodeVisitor):
    def __init__(self, path: str, known: Known) -> None:
        self.path = path
        self.known = known
        self.found: list[Finding] = []
        self.names = known.constants
        self.free: list[ast.expr] = []

    def blame(self, node: ast.expr, how: str) -> None:
        if _is_set(node, self.known, self.names):
            what = f"{how} a set ({ast.unparse(node)}): its order is not fixed; use sorted()"
            self.found.append(Finding(self.path, node.lineno, what))

    def visit_Module(self, node: ast.Module) -> None:
        self.names = _bound(node.body, self.known, self.names)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer = self.names
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        local = {arg.arg for arg in every if arg.annotation and _is_set_type(arg.annotation)}
        hidden = {arg.arg for arg in every} - local
        self.names = _bound(node.body, self.known, (outer - hidden) | local)
        self.generic_visit(node)
        self.names = outer

    def visit_For(self, node: ast.For) -> None:
        self.blame(node.iter, "iterates")
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self.blame(node.value, "unpacks")
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        for element in node.elts:  # {*a, *b} is a set again
            self.visit(element.value if isinstance(element, ast.Starred) else element)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Tuple | ast.List) for target in node.targets):
            self.blame(node.value, "unpacks")
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self.blame(node.value, "yields from")
        self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        self.blame(node.value, "prints")
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node, node.generators)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node, node.generators)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node, node.generators)

    def _comprehension(self, node: ast.expr, generators: list[ast.comprehension]) -> None:
        if node not in self.free:
            for generator in generators:
                self.blame(generator.iter, "iterates")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Name(id=name) if name in BLIND:
                self.free += node.args
            case ast.Name(id=name) if name in FREE_WITHOUT_KEY and not node.keywords and len(node.args) == 1:
                pass
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in SEEING or name in SEEING_METHODS:
                for argument in node.args:
                    self.blame(argument, f"hands to {name}()")
            case ast.Attribute(attr="pop", value=value):
                self.blame(value, "pops from")
            case _:
                pass
        self.generic_visit(node)
