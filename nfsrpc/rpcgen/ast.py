"""The syntax tree: what is written in a .x file, before names mean anything. Plain data, one class per construct."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .source import Span


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier where it is written; `text` is without its `qualifiers` (``a::b``), "" the first for ``::b``."""

    text: str
    span: Span
    qualifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A literal constant; `text` is as written (decimal, 0octal, 0xhex)."""

    value: int
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Unary:
    """A sign or a complement in front of a constant."""

    operator: str
    operand: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    """Two constants and an operator between them."""

    operator: str
    left: Expression
    right: Expression
    span: Span


Expression = Name | Number | Unary | Binary


@dataclass(slots=True)
class Builtin:
    """A type of the language itself: int, uint, hyper, uhyper, float, double, quadruple, bool, void, char, ..."""

    kind: str
    span: Span


@dataclass(slots=True)
class NamedType:
    """A type by its name; `tag` is the ``struct``, ``union`` or ``enum`` that C habits put in front."""

    name: Name
    tag: str = ""


@dataclass(slots=True)
class EnumMember:
    """One name of an enumeration; without a value it is one more than its predecessor."""

    name: Name
    value: Expression | None
    doc: str = ""


@dataclass(slots=True)
class EnumBody:
    """The braces of an enumeration; `name` is the tag of a nested one, where it has one."""

    members: list[EnumMember]
    span: Span
    name: Name | None = None
    text: str = ""


@dataclass(slots=True)
class StructBody:
    """The braces of a structure."""

    fields: list[Declaration]
    span: Span
    name: Name | None = None
    text: str = ""


@dataclass(slots=True)
class Arm:
    """One declaration of a union with all its labels; no labels means ``default``."""

    labels: list[Expression]
    declaration: Declaration
    span: Span


@dataclass(slots=True)
class UnionBody:
    """The discriminant and the arms of a union."""

    discriminant: Declaration
    arms: list[Arm]
    span: Span
    name: Name | None = None
    text: str = ""


TypeSpecifier = Builtin | NamedType | EnumBody | StructBody | UnionBody


class Shape(Enum):
    """How a declaration uses its type specifier (RFC 4506 §6.3)."""

    PLAIN = "plain"
    FIXED_ARRAY = "fixed array"
    VARIABLE_ARRAY = "variable array"
    OPTIONAL = "optional"
    FIXED_OPAQUE = "fixed opaque"
    VARIABLE_OPAQUE = "variable opaque"
    STRING = "string"
    VOID = "void"


@dataclass(slots=True)
class Declaration:
    """A field, an arm, an argument, a result or the right side of a typedef; `size` is the size or the bound."""

    shape: Shape
    type: TypeSpecifier
    name: Name | None
    size: Expression | None
    span: Span


@dataclass(slots=True)
class Definition:
    """Anything at the top level; `text` is its own source, blank-trimmed, `namespace` the qualifiers around it."""

    name: Name
    text: str
    namespace: tuple[str, ...] = field(default=(), kw_only=True)


@dataclass(slots=True)
class Const(Definition):
    """``const NAME = value;`` or an object-like ``#define``; a string constant has `string` and no `value`."""

    value: Expression | None
    string: str = ""


@dataclass(slots=True)
class Typedef(Definition):
    """``typedef declaration;``."""

    declaration: Declaration


@dataclass(slots=True)
class TypeDefinition(Definition):
    """``enum``, ``struct`` or ``union`` with a name and a body."""

    body: EnumBody | StructBody | UnionBody


@dataclass(slots=True)
class Procedure:
    """One remote procedure (RFC 5531 §12.2); arguments may be named in the newstyle dialect."""

    name: Name
    number: Expression
    result: Declaration
    arguments: list[Declaration]
    text: str


@dataclass(slots=True)
class Version:
    """One version of a program."""

    name: Name
    number: Expression
    procedures: list[Procedure]


@dataclass(slots=True)
class Program(Definition):
    """A remote program with its versions."""

    number: Expression
    versions: list[Version]


@dataclass(slots=True)
class PassThrough:
    """A ``%`` line: text meant for the C output of rpcgen."""

    text: str
    span: Span


@dataclass(slots=True)
class Specification:
    """One compilation unit: the definitions of a file and of all it includes, in order."""

    name: str
    definitions: list[Definition]
    passed: list[PassThrough]


def span_of(expression: Expression) -> Span:
    """Return where an expression stands: its operator, or its only token."""
    return expression.span
