"""Syntax tree to checked specification: names to types, sizes to numbers, every rule of RFC 4506 §6.4 applied."""

from __future__ import annotations

from . import ast
from .cursor import FOREIGN, did_you_mean
from .model import (
    AliasType,
    Array,
    Boolean,
    Constant,
    EnumType,
    Field,
    FixedArray,
    FixedOpaque,
    Floating,
    Integer,
    NamedType,
    Opaque,
    Optional,
    Ref,
    Spec,
    String,
    StructType,
    Type,
    UnionArm,
    UnionType,
    Void,
)
from .scope import Scope
from .source import Report, Span

_BUILTIN: dict[str, Type] = {
    "int": Integer(32, True),
    "uint": Integer(32, False),
    "hyper": Integer(64, True),
    "uhyper": Integer(64, False),
    "char": Integer(8, True),
    "uchar": Integer(8, False),
    "short": Integer(16, True),
    "ushort": Integer(16, False),
    "float": Floating(32),
    "double": Floating(64),
    "quadruple": Floating(128),
    "bool": Boolean(),
    "void": Void(),
}

C_NAMES: dict[str, Type] = {
    "u_char": Integer(8, False),
    "u_short": Integer(16, False),
    "u_int": Integer(32, False),
    "u_long": Integer(32, False),
    "quad_t": Integer(64, True),
    "u_quad_t": Integer(64, False),
    "longlong_t": Integer(64, True),
    "u_longlong_t": Integer(64, False),
    "bool_t": Boolean(),
    **{f"int{bits}_t": Integer(bits, True) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}_t": Integer(bits, False) for bits in (8, 16, 32, 64)},
    **{f"u_int{bits}_t": Integer(bits, False) for bits in (8, 16, 32, 64)},
}
"""Types that C's headers define and .x files use without saying so; a file's own typedef of the name wins."""

_MOST_ELEMENTS = 2**32 - 1
_KEYWORD_TYPES = ("int", "hyper", "float", "double", "bool", "string", "opaque", "unsigned", "struct", "enum", "union")


class Checker:
    """Fills `spec` from definitions whose names are all in `scope`."""

    def __init__(self, scope: Scope, spec: Spec, report: Report) -> None:
        self.scope = scope
        self.spec = spec
        self.report = report
        self.spans: dict[str, Span] = {}
        self.unions: list[tuple[UnionType, ast.UnionBody]] = []

    def constant(self, definition: ast.Const) -> None:
        """Add a constant."""
        name = definition.name
        if definition.value is None:
            self.spec.constants.append(Constant(name.text, definition.string, definition.text))
            return
        value = self.scope.value(definition.value)
        if value is None:
            return
        if not -(2**63) <= value < 2**64:
            self.report.warn(f"{value} does not fit into 64 bits: other languages refuse it", definition.name.span)
        self.spec.constants.append(Constant(name.text, value, definition.text))

    def type_definition(self, definition: ast.TypeDefinition) -> None:
        """Add an enum, struct or union."""
        self._add_body(definition.name.text, definition.name.span, definition.body, definition.text)

    def typedef(self, definition: ast.Typedef) -> None:
        """Add a typedef; C's habit of naming a struct only by its typedef gives the struct that name."""
        name, declaration = definition.name, definition.declaration
        specifier = declaration.type
        if isinstance(specifier, ast.EnumBody | ast.StructBody | ast.UnionBody):
            own = specifier.name.text if specifier.name else name.text
            if declaration.shape is ast.Shape.PLAIN and own == name.text:
                self._add_body(name.text, name.span, specifier, definition.text)
                return
            if specifier.name is None and declaration.shape is ast.Shape.PLAIN:
                self._add_body(name.text, name.span, specifier, definition.text)
                return
        elif isinstance(specifier, ast.NamedType) and specifier.name.text == name.text:
            if name.text not in self.scope.broken and (
                declaration.shape is not ast.Shape.PLAIN or name.text not in self.scope.types
            ):
                self.report.error(f"{name.text!r} is defined as itself", specifier.name.span)
            return
        type = self.declared(declaration, f"{name.text}_item")
        self._add(AliasType(name.text, definition.text, type), name.span)

    def _add(self, type: NamedType, span: Span) -> None:
        self.spec.types.setdefault(type.name, type)
        self.spans.setdefault(type.name, span)

    def _add_body(self, name: str, span: Span, body: ast.EnumBody | ast.StructBody | ast.UnionBody, text: str) -> None:
        match body:
            case ast.EnumBody():
                self._add(self._enum(name, body, text), span)
            case ast.StructBody(fields=fields):
                self._unique_fields(fields)
                members = [Field(_text(f), self.declared(f, f"{name}_{_text(f)}")) for f in fields]
                self._add(StructType(name, text, members), span)
            case ast.UnionBody():
                self._add(self._union(name, body, text), span)

    def _unique_fields(self, declarations: list[ast.Declaration]) -> None:
        seen: dict[str, Span] = {}
        for declaration in declarations:
            if declaration.name is None:
                continue
            if declaration.name.text in seen:
                place = seen[declaration.name.text]
                self.scope.duplicate(f"{declaration.name.text!r} is there twice", declaration.name.span, place)
            seen.setdefault(declaration.name.text, declaration.name.span)

    def _enum(self, name: str, body: ast.EnumBody, text: str) -> EnumType:
        members: list[tuple[str, int]] = []
        for member in body.members:
            value = self.scope.value(member.name)
            if value is None:
                continue
            if 2**31 <= value < 2**32:
                # C casts to int; the bits on the wire are the same.
                self.report.warn(f"{value} becomes {value - 2**32}: an enum is signed, 32 bits", member.name.span)
                value -= 2**32
            if not -(2**31) <= value < 2**31:
                self.report.error(f"{value} does not fit into the 32 bits of an enum", member.name.span)
            members.append((member.name.text, value))
        return EnumType(name, text, members)

    # Unions

    def _union(self, name: str, body: ast.UnionBody, text: str) -> UnionType:
        discriminant = Field(_text(body.discriminant), self.declared(body.discriminant, f"{name}_tag"))
        self._unique_fields([arm.declaration for arm in body.arms])
        taken = {_text(arm.declaration) for arm in body.arms} | {discriminant.name}
        seen: dict[int, Span] = {}
        arms: list[UnionArm] = []
        default: Field | None = None
        default_span: Span | None = None
        for arm in body.arms:
            field_name = _text(arm.declaration)
            if field_name == discriminant.name:
                # RFC 5531 does this itself, in rejected_reply: in C the arms are a union of their own.
                while field_name in taken:
                    field_name += "_"
                message = f"{discriminant.name!r} is the discriminant: the arm is called {field_name!r}"
                self.report.warn(message, arm.declaration.span)
            field = Field(field_name, self.declared(arm.declaration, f"{name}_{field_name}"))
            if arm.labels:
                arms.append(UnionArm(tuple(found for label in arm.labels for found in self._label(label, seen)), field))
            elif default_span is not None:
                self.scope.duplicate("a union has one default", arm.span, default_span)
            else:
                default, default_span = field, arm.span
        union = UnionType(name, text, discriminant, arms, default)
        self.unions.append((union, body))
        return union

    def _label(self, label: ast.Expression, seen: dict[int, Span]) -> list[tuple[str, int]]:
        """Return a label as (text, value), or nothing after reporting that it has no value."""
        value = self.scope.value(label)
        if value is None:
            return []
        span = ast.span_of(label)
        if value in seen:
            self.scope.duplicate(f"label {value} is there twice", span, seen[value])
        seen.setdefault(value, span)
        return [(label.text if isinstance(label, ast.Name | ast.Number) else str(value), value)]

    # Declarations

    def declared(self, declaration: ast.Declaration, nested_name: str) -> Type:
        """Return the type of a declaration; a nested body becomes a type of its own called `nested_name`."""
        size = self._size(declaration.size)
        match declaration.shape:
            case ast.Shape.VOID:
                return Void()
            case ast.Shape.STRING:
                return String(size)
            case ast.Shape.VARIABLE_OPAQUE:
                return Opaque(size)
            case ast.Shape.FIXED_OPAQUE:
                return FixedOpaque(size or 0)
        element = self._specified(declaration.type, nested_name)
        match declaration.shape:
            case ast.Shape.FIXED_ARRAY:
                return FixedArray(element, size or 0)
            case ast.Shape.VARIABLE_ARRAY:
                return Array(element, size)
            case ast.Shape.OPTIONAL:
                return Optional(element)
        return element

    def _size(self, expression: ast.Expression | None) -> int | None:
        value = None if expression is None else self.scope.value(expression)
        if value is None or expression is None:
            return None
        if not 0 <= value <= _MOST_ELEMENTS:
            self.report.error(f"size {value} is not within 0..{_MOST_ELEMENTS}", ast.span_of(expression))
        return value

    def _specified(self, specifier: ast.TypeSpecifier, nested_name: str) -> Type:
        match specifier:
            case ast.Builtin(kind):
                return _BUILTIN[kind]
            case ast.NamedType(name=name):
                return self._named(name)
        own = specifier.name
        lifted = own.text if own else self._free_name(nested_name)
        self._add_body(lifted, own.span if own else specifier.span, specifier, specifier.text)
        return Ref(lifted)

    def _free_name(self, name: str) -> str:
        while name in self.scope.places or name in self.spec.types:
            name += "_"
        return name

    def _named(self, name: ast.Name) -> Type:
        if name.text in self.scope.types:
            return Ref(name.text)
        if name.text in C_NAMES:
            return C_NAMES[name.text]
        if name.text in self.scope.broken:
            return Void()
        if name.text in self.scope.places:
            place = self.scope.places[name.text]
            self.report.error(f"{name.text!r} is not a type", name.span, related=(("it is defined here", place),))
        else:
            hint = FOREIGN.get(name.text, "") or did_you_mean(name.text, (*self.scope.types, *C_NAMES, *_KEYWORD_TYPES))
            self.report.error(f"type {name.text!r} is not defined", name.span, hint)
        return Void()


def _text(declaration: ast.Declaration) -> str:
    return declaration.name.text if declaration.name else ""
