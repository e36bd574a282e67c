"""Names of one specification, and the values of its constants (RFC 4506 §6.4, RFC 5531 §12.3)."""

from __future__ import annotations

from collections.abc import Mapping

from .ast import (
    Binary,
    Const,
    Declaration,
    Definition,
    EnumBody,
    Expression,
    Name,
    Number,
    Program,
    StructBody,
    Typedef,
    TypeDefinition,
    UnionBody,
    span_of,
)
from .cursor import did_you_mean
from .expressions import ExpressionError, evaluate
from .source import Report, Span

PREDEFINED_CONSTANTS = {"TRUE": 1, "FALSE": 0}


class UnknownValue(Exception):
    """A constant's definition could not be read, which has been reported already."""


class Scope:
    """The one name space that constants, enum members, types and programs share.

    `types` maps a name to the span of its definition; `places` every name to its span.
    """

    def __init__(self, report: Report, fallback: Mapping[str, Const]) -> None:
        self.report = report
        self.fallback = {name: c.value for name, c in fallback.items() if c.value is not None}
        self.broken: frozenset[str] = frozenset()
        self.places: dict[str, Span] = {}
        self.types: dict[str, Span] = {}
        self.values: dict[str, int] = {}
        self._expressions: dict[str, Expression] = {}
        self._evaluating: list[str] = []
        self._typedefs: dict[str, Typedef] = {}

    def collect(self, definitions: list[Definition], defines: list[Const], broken: frozenset[str]) -> None:
        """Enter all names; duplicates are reported with both places.

        `broken` are names whose definition could not be read.
        """
        self.broken |= broken
        for definition in definitions:
            match definition:
                case Const(name=name, value=value):
                    if self._same_again(name, value):
                        self.report.warn(f"{name.text!r} is defined twice with the same value", name.span)
                        continue
                    self._enter(name)
                    if value is not None:
                        self._expressions.setdefault(name.text, value)
                case TypeDefinition(name=name, body=body):
                    self._enter_type(name)
                    self._collect_body(body)
                case Typedef(name=name, declaration=declaration):
                    if self._same_typedef(definition):
                        self.report.warn(f"{name.text!r} is defined twice as the same type", name.span)
                        continue
                    if not self._names_itself(declaration):
                        self._enter_type(name)
                    self._collect_declaration(declaration)
                case Program(name=name, number=number):
                    self._enter(name)
                    # C has the numbers of programs, versions and procedures as macros, usable as constants.
                    self.fallback.setdefault(name.text, number)
                    for version in definition.versions:
                        self.fallback.setdefault(version.name.text, version.number)
                        for procedure in version.procedures:
                            self.fallback.setdefault(procedure.name.text, procedure.number)
        for define in defines:
            if define.name.text not in self.places and define.value is not None:
                self.places[define.name.text] = define.name.span
                self._expressions[define.name.text] = define.value

    @staticmethod
    def _names_itself(declaration: Declaration) -> bool:
        # C's `typedef struct foo {...} foo;` and `typedef struct foo foo;` name one type twice.
        specifier = declaration.type
        own = specifier.name if hasattr(specifier, "name") else None
        return own is not None and declaration.name is not None and own.text == declaration.name.text

    def _collect_declaration(self, declaration: Declaration | None) -> None:
        if declaration is not None and isinstance(declaration.type, EnumBody | StructBody | UnionBody):
            if declaration.type.name is not None:
                self._enter_type(declaration.type.name)
            self._collect_body(declaration.type)

    def _collect_body(self, body: EnumBody | StructBody | UnionBody) -> None:
        match body:
            case EnumBody(members=members):
                base: Name | None = None
                steps = 0
                for member in members:
                    self._enter(member.name)
                    base, steps = (member.name, 0) if member.value else (base, steps + 1)
                    value = member.value or _successor(base, steps, member.name)
                    self._expressions.setdefault(member.name.text, value)
            case StructBody(fields=fields):
                for declaration in fields:
                    self._collect_declaration(declaration)
            case UnionBody(discriminant=discriminant, arms=arms):
                self._collect_declaration(discriminant)
                for arm in arms:
                    self._collect_declaration(arm.declaration)

    def _same_again(self, name: Name, value: Expression | None) -> bool:
        """Say whether a constant was defined before by the same number, which C's compilers let pass."""
        before = self._expressions.get(name.text)
        return isinstance(before, Number) and isinstance(value, Number) and before.value == value.value

    def _same_typedef(self, definition: Typedef) -> bool:
        """Say whether a typedef says again what one before it said, which C's compilers let pass."""
        before = self._typedefs.setdefault(definition.name.text, definition)
        return before is not definition and before.text.split() == definition.text.split()

    def _enter_type(self, name: Name) -> None:
        self._enter(name)
        self.types.setdefault(name.text, name.span)

    def _enter(self, name: Name) -> None:
        if name.text in self.places:
            self.duplicate(f"{name.text!r} is defined twice", name.span, self.places[name.text])
        self.places.setdefault(name.text, name.span)

    def duplicate(self, message: str, span: Span, first: Span) -> None:
        """Report something that is there twice, with both places."""
        self.report.error(message, span, related=(("the first one is here", first),))

    def value(self, expression: Expression) -> int | None:
        """Return the value of a constant expression, or None after reporting why it has none."""
        try:
            return evaluate(expression, self._lookup)
        except ExpressionError as failure:
            self.report.error(failure.message, failure.span, failure.hint)
            return None
        except UnknownValue:
            return None
        except RecursionError:
            self.report.error("constants depend on each other in too long a chain", span_of(expression))
            return None

    def _lookup(self, name: Name) -> int:
        if name.text in self.values:
            return self.values[name.text]
        if name.text in self._evaluating:
            self.broken |= frozenset(self._evaluating)
            raise ExpressionError(f"the value of {name.text!r} depends on itself", name.span)
        if name.text in self.broken:
            raise UnknownValue
        expression = self._expressions.get(name.text, self.fallback.get(name.text))
        if expression is None:
            if name.text in PREDEFINED_CONSTANTS:
                return PREDEFINED_CONSTANTS[name.text]
            if name.text in self.places:
                raise ExpressionError(f"{name.text!r} is not a number", name.span)
            hint = did_you_mean(name.text, self._expressions)
            raise ExpressionError(
                f"{name.text!r} is not defined", name.span, hint or f"give its value with -D {name.text}=VALUE"
            )
        self._evaluating.append(name.text)
        try:
            self.values[name.text] = evaluate(expression, self._lookup)
        finally:
            self._evaluating.pop()
        return self.values[name.text]


def _successor(base: Name | None, steps: int, name: Name) -> Expression:
    """Return the value of an enum member that has none written: one more than the one before, as in C.

    It is counted from the last one that has a value, `base`, so that a long enum is no long chain.
    """
    if base is None:
        return Number(steps - 1, str(steps - 1), name.span)
    return Binary("+", Name(base.text, name.span), Number(steps, str(steps), name.span), name.span)
