"""The mutants of a module: each changes one place of its syntax tree so that the module says something else.

What is changed: comparisons, conditions (always, never, without one of their parts), constants, arithmetic, elements of
tables and literals, named arguments, statements that are left out, and the words of SQL in texts (sql_texts.py). Left
alone: annotations, docstrings, decorators, imports, and sentences for people.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from bench.mutants.sql_texts import is_sql, other_sql

_OTHERS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.FloorDiv,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
_NAMES = {"all": "any", "any": "all", "min": "max", "max": "min"}
_ATTRIBUTES = {
    "startswith": "endswith",
    "partition": "rpartition",
    "fullmatch": "match",
    "isdisjoint": "issuperset",
    "union": "intersection",
}


@dataclass(frozen=True)
class Mutant:
    """place: function, what stood there, what stands there now, and which of several such places.

    in_function: in a body, so that nothing else is made when the module is imported.
    """

    place: str
    line: int
    tree: ast.Module
    in_function: bool


@dataclass(frozen=True)
class _Site:
    """number: of the node in ast.walk."""

    number: int
    scope: str
    node: ast.AST
    new: ast.AST

    @property
    def place(self) -> str:
        gone = getattr(self.new, "left_out", None)
        if gone is not None:
            return f"{self.scope}: {_text(self.node)} without {_text(gone)}"
        return f"{self.scope}: {_text(self.node)} -> {_text(self.new)}"


def mutants(source: str) -> list[Mutant]:
    tree = ast.parse(source)
    seen: dict[str, int] = {}
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    bodies = {inner for one in functions for part in one.body for inner in ast.walk(part)}
    found = []
    for site in _sites(tree):
        place = site.place
        seen[place] = seen.get(place, 0) + 1
        again = f" #{seen[place]}" if seen[place] > 1 else ""
        line = getattr(site.node, "lineno", 0)
        found.append(Mutant(place + again, line, _changed(tree, site), site.node in bodies))
    return found


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 150 else f"{text[:100]} ... {text[-45:]}"


def _changed(tree: ast.Module, site: _Site) -> ast.Module:
    fresh = copy.deepcopy(tree)
    target = next(node for number, node in enumerate(ast.walk(fresh)) if number == site.number)

    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return ast.copy_location(copy.deepcopy(site.new), node) if node is target else self.generic_visit(node)

    return ast.fix_missing_locations(Swap().visit(fresh))


def _sites(tree: ast.Module) -> Iterator[_Site]:
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
    for scope, node in _inside(tree, "module"):
        for new in _news(node):
            yield _Site(numbers[id(node)], scope, node, new)


def _inside(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST]]:
    """Nodes that may be changed, in the order of the text, and the function or class that each is in."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases", "keywords_of_class"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _left_alone(child):
                continue
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            inner = (child.name if scope == "module" else f"{scope}.{child.name}") if named else scope
            if not named:
                yield inner, child
            yield from _inside(child, inner)


def _left_alone(node: ast.AST) -> bool:
    """Imports, texts that stand alone, aliases of types, and what is only said to the type checker."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
        name = node.targets[0]
        return isinstance(name, ast.Name) and name.id[:1].isupper() and not name.id.isupper()
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("TypeVar", "dataclass")


def _news(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            yield from _compared(node)
        case ast.BoolOp():
            yield _with(node, op=_OTHERS[type(node.op)][0]())
            yield from (_without(node, "values", index) for index in range(len(node.values)))
        case ast.BinOp() if type(node.op) in _OTHERS and not _only_text(node):
            yield _with(node, op=_OTHERS[type(node.op)][0]())
        case ast.UnaryOp():
            if not isinstance(node.operand, ast.Constant):
                yield node.operand
        case ast.If() | ast.IfExp() | ast.While():
            yield from (_with(node, test=ast.Constant(value)) for value in (True, False))
        case ast.comprehension() if node.ifs:
            yield from (_without(node, "ifs", index, least=0) for index in range(len(node.ifs)))
        case ast.Constant():
            yield from _constants(node.value)
        case ast.Call():
            yield from _calls(node)
        case ast.List() | ast.Tuple() | ast.Set() if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            yield from (_without(node, "elts", index) for index in range(len(node.elts)))
        case ast.Dict():
            for index in range(len(node.keys)):
                fewer = _without(node, "keys", index, least=0)
                yield _with(fewer, values=[one for at, one in enumerate(node.values) if at != index])
        case ast.Raise() | ast.AugAssign():
            yield ast.Pass()
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.match_case() if node.guard is not None:
            yield _with(node, guard=None)


def _compared(node: ast.Compare) -> Iterator[ast.AST]:
    for index, op in enumerate(node.ops):
        for other in _OTHERS.get(type(op), ()):
            yield _with(node, ops=[other() if at == index else one for at, one in enumerate(node.ops)])


def _constants(value: object) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        if value:
            yield ast.Constant(value - 1)
    elif isinstance(value, str) and is_sql(value):
        yield from (ast.Constant(other) for other in other_sql(value))
    elif isinstance(value, str) and " " not in value and value != "":
        yield ast.Constant(value + "XX")
    elif value == "":
        yield ast.Constant("XX")


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Name) and node.func.id in _NAMES:
        yield _with(node, func=ast.Name(_NAMES[node.func.id], ast.Load()))
    if isinstance(node.func, ast.Attribute) and node.func.attr in _ATTRIBUTES:
        yield _with(node, func=_with(node.func, attr=_ATTRIBUTES[node.func.attr]))
    yield from (_without(node, "keywords", index, least=0) for index in range(len(node.keywords)))
    if ast.unparse(node.func) == "re.compile" and len(node.args) > 1:
        yield _with(node, args=node.args[:1])


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _without(node: ast.AST, field: str, index: int, least: int = 1) -> ast.AST:
    """Without one of several; of a condition with two parts the other is left."""
    several = getattr(node, field)
    kept = [one for at, one in enumerate(several) if at != index]
    if isinstance(node, ast.BoolOp) and len(kept) == 1:
        return _with(kept[0], left_out=several[index])
    return _with(node, **{field: kept}, left_out=several[index])


def _only_text(node: ast.BinOp) -> bool:
    return any(isinstance(one, ast.JoinedStr) for one in (node.left, node.right))
