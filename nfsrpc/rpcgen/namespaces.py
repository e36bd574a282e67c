"""Names in namespaces to names of one flat module, as Python has it.

A name keeps its plain text unless several namespaces define it: then those in namespaces carry
their qualifiers (``inner::RED`` becomes ``inner_RED``). A reference means the innermost definition
around it, as in C++; a qualifier may be a namespace or the enum whose member is meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from .ast import (
    Binary,
    Const,
    Declaration,
    Definition,
    EnumBody,
    Expression,
    Name,
    NamedType,
    Program,
    StructBody,
    Typedef,
    TypeDefinition,
    Unary,
    UnionBody,
)

Path = tuple[str, ...]


def flatten(definitions: Iterable[Definition]) -> None:
    """Rename, in place, what several namespaces define, and every reference to it."""
    by_place: dict[Path, set[str]] = {}
    ordered = list(definitions)
    for definition in ordered:
        names = by_place.setdefault(definition.namespace, set())

        def noted(name: Name, names: set[str] = names) -> Name:
            names.add(name.text)
            return name

        _Walk(noted, lambda name: name).definition(definition)
    homes = Counter(name for names in by_place.values() for name in names)
    if not any(count > 1 for count in homes.values()):
        return
    for definition in ordered:
        place = definition.namespace

        def declared(name: Name, place: Path = place) -> Name:
            return replace(name, text=_flat(place, name.text, homes))

        def used(name: Name, place: Path = place) -> Name:
            home = _home(name, place, by_place)
            return name if home is None else replace(name, text=_flat(home, name.text, homes))

        _Walk(declared, used).definition(definition)


def _flat(home: Path, text: str, homes: Counter[str]) -> str:
    return "_".join((*home, text)) if homes[text] > 1 else text


def _home(name: Name, place: Path, by_place: dict[Path, set[str]]) -> Path | None:
    """Return the namespace whose `name` a reference in `place` means, or None where there is none."""
    absolute = name.qualifiers[:1] == ("",)
    qualifiers = name.qualifiers[1:] if absolute else name.qualifiers
    for depth in range(0 if absolute else len(place), -1, -1):
        home = place[:depth] + qualifiers
        if name.text in by_place.get(home, ()):
            return home
        if qualifiers and {qualifiers[-1], name.text} <= by_place.get(home[:-1], set()):
            return home[:-1]
    return None


class _Walk:
    """Replaces every name of a definition: `declared` those that it brings, `used` those that it refers to."""

    def __init__(self, declared: Callable[[Name], Name], used: Callable[[Name], Name]) -> None:
        self.declared = declared
        self.used = used

    def definition(self, definition: Definition) -> None:
        definition.name = self.declared(definition.name)
        match definition:
            case Const(value=value) if value is not None:
                definition.value = self._expression(value)
            case TypeDefinition(body=body):
                self._body(body)
            case Typedef(declaration=declaration):
                self._declaration(declaration)
                declaration.name = definition.name
            case Program():
                self._program(definition)

    def _program(self, program: Program) -> None:
        program.number = self._expression(program.number)
        for version in program.versions:
            version.number = self._expression(version.number)
            for procedure in version.procedures:
                procedure.number = self._expression(procedure.number)
                for declaration in (procedure.result, *procedure.arguments):
                    self._declaration(declaration)

    def _declaration(self, declaration: Declaration) -> None:
        if declaration.size is not None:
            declaration.size = self._expression(declaration.size)
        match declaration.type:
            case NamedType() as reference:
                reference.name = self.used(reference.name)
            case EnumBody() | StructBody() | UnionBody() as body:
                self._body(body)

    def _body(self, body: EnumBody | StructBody | UnionBody) -> None:
        if body.name is not None:
            body.name = self.declared(body.name)
        match body:
            case EnumBody(members=members):
                for member in members:
                    member.name = self.declared(member.name)
                    member.value = None if member.value is None else self._expression(member.value)
            case StructBody(fields=fields):
                for field in fields:
                    self._declaration(field)
            case UnionBody(discriminant=discriminant, arms=arms):
                self._declaration(discriminant)
                for arm in arms:
                    arm.labels = [self._expression(label) for label in arm.labels]
                    self._declaration(arm.declaration)

    def _expression(self, expression: Expression) -> Expression:
        match expression:
            case Name():
                return self.used(expression)
            case Unary(operand=operand):
                return replace(expression, operand=self._expression(operand))
            case Binary(left=left, right=right):
                return replace(expression, left=self._expression(left), right=self._expression(right))
        return expression
