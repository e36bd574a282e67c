"""What can be changed in a file: one place, one change at a time."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
Function = tuple[str, int]
"""A function's qualified name, and the line where it, or its first decorator, stands."""


@dataclass(slots=True)
class Mutant:
    """One change: what it is called, the lines that must run for it to matter, the outermost function around it."""

    path: str
    name: str
    number: int
    lines: range
    function: Function | None

    @property
    def key(self) -> str:
        """What names it after lines have moved: file, change, text of the line."""
        place, _, text = self.name.partition(" | ")
        return f"{self.path} | {place.partition(': ')[2]} | {text}"


@dataclass(slots=True)
class Site:
    """A node that can be changed, and how."""

    node: ast.AST
    action: str
    line: int
    lines: range
    function: Function | None


class Sites(ast.NodeVisitor):
    """The places of a tree that can be changed, in the order in which they stand."""

    def __init__(self, tree: ast.AST) -> None:
        self.found: list[Site] = []
        self._line = 0
        self._statement: ast.AST = tree
        self._names: list[str] = []
        self._function: Function | None = None
        self.visit(tree)

    def visit(self, node: ast.AST) -> None:
        self._line = getattr(node, "lineno", self._line)
        if isinstance(node, ast.stmt):
            self._statement = node
        for action in actions(node):
            self.found.append(Site(node, action, self._line, self._lines(node), self._function))
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_params"):
                continue
            around = self._names, self._function
            if name == "body":
                self._enter(node)
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)
            self._names, self._function = around

    def _enter(self, node: ast.AST) -> None:
        """What lies below belongs to a function or class."""
        match node:
            case ast.ClassDef(name=name):
                self._names = [*self._names, name]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self._names = [*self._names, name]
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                self._function = self._function or (".".join(self._names), first)

    def _lines(self, node: ast.AST) -> range:
        """Of a statement with a body only its head counts; decorators stand before the head."""
        last = getattr(node, "test", node)
        first = min(self._line, getattr(self._statement, "lineno", self._line))
        return range(first, getattr(last, "end_lineno", self._line) + 1)


def actions(node: ast.AST) -> Iterator[str]:
    """What can be done to one node."""
    match node:
        case ast.Constant(value=bool()):
            yield f"{node.value} -> {not node.value}"
        case ast.Constant(value=int()):
            yield f"{node.value} -> {node.value + 1}"
        case ast.Constant(value=bytes()):
            yield "bytes -> bytes + X"
        case ast.Compare(ops=[op]) | ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op):
            if type(op) in SWAPS:
                yield f"{type(op).__name__} -> {SWAPS[type(op)].__name__}"
        case ast.UnaryOp(op=ast.Not()):
            yield "not dropped"
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield "return None"
        case ast.Raise():
            yield "raise dropped"
        case ast.Expr(value=ast.Call()):
            yield "call dropped"
        case ast.If() | ast.While() | ast.IfExp():
            yield "condition negated"
        case ast.Break():
            yield "break -> continue"


def apply(node: ast.AST, action: str) -> ast.AST:
    """The changed node."""
    match node:
        case ast.Constant(value=bool()):
            return ast.Constant(not node.value)
        case ast.Constant(value=bytes() as data):
            return ast.Constant(data + b"X")
        case ast.Constant(value=int() as number):
            return ast.Constant(number + 1)
        case ast.Compare():
            node.ops = [SWAPS[type(node.ops[0])]()]
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
            node.op = SWAPS[type(node.op)]()
        case ast.UnaryOp():
            return node.operand
        case ast.Return():
            node.value = ast.Constant(None)
        case ast.Raise() | ast.Expr():
            return ast.Pass()
        case ast.If() | ast.While() | ast.IfExp():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Break():
            return ast.Continue()
    return node


class _Change(ast.NodeTransformer):
    def __init__(self, site: Site) -> None:
        self._site = site

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self._site.node:
            return ast.copy_location(apply(node, self._site.action), node)
        return self.generic_visit(node)


def mutants(root: Path, path: str) -> list[Mutant]:
    """Every mutant of a file; the name says line and change, and tells twins apart."""
    source = (root / path).read_text()
    text = source.splitlines()
    found: list[Mutant] = []
    names: dict[str, int] = {}
    for number, site in enumerate(Sites(ast.parse(source)).found):
        name = f"{site.line}: {site.action}"
        names[name] = names.get(name, 0) + 1
        twin = f" #{names[name]}" if names[name] > 1 else ""
        line = text[site.line - 1].strip()
        found.append(Mutant(path, f"{path}:{name}{twin} | {line}", number, site.lines, site.function))
    return found


def compiled(root: Path, mutant: Mutant) -> CodeType:
    """The code of the whole changed file; lines are numbered as they were."""
    tree = ast.parse((root / mutant.path).read_text())
    site = Sites(tree).found[mutant.number]
    changed = ast.fix_missing_locations(_Change(site).visit(tree))
    return compile(changed, str(root / mutant.path), "exec")
