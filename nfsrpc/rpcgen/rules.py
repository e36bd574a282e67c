"""Rules that need all types resolved: discriminants and labels, endless types, numbers of programs."""

from __future__ import annotations

from collections.abc import Iterable

from . import ast
from .checker import Checker
from .layout import Layout
from .model import (
    AliasType,
    Array,
    Boolean,
    EnumType,
    Field,
    Integer,
    ProcedureType,
    ProgramType,
    Ref,
    Spec,
    Type,
    UnionType,
    VersionType,
    parts,
)
from .source import Span

_MOST_LEVELS = 64


class Rules:
    """Applies the rules to what `checker` has made; mistakes go to its report."""

    def __init__(self, checker: Checker) -> None:
        self.checker = checker
        self.spec: Spec = checker.spec
        self.report = checker.report

    def check_types(self) -> None:
        """Check every type; stops early where the report has errors, since a later rule relies on the earlier ones."""
        self._aliases()
        if self.report.failed:
            return
        for union, body in self.checker.unions:
            self._labels(union, body)
        layout = Layout(self.spec)
        for name, levels in layout.nesting().items():
            if levels > _MOST_LEVELS:
                self.report.error(f"{name!r} is nested {levels} types deep", self.checker.spans[name])
                return
        reported: set[str] = set()
        for name in self.spec.types:
            if not layout.is_finite(name) and not reported & layout.reachable(name):
                reported.add(name)
                hint = "break the cycle with an optional (*) or an array (<>)"
                self.report.error(f"{name!r} contains itself without end", self.checker.spans[name], hint)
        if not self.report.failed:
            self._costless_elements(layout)

    def _aliases(self) -> None:
        for name, type in self.spec.types.items():
            seen = [name]
            while isinstance(type, AliasType) and isinstance(type.type, Ref):
                if type.type.name in seen:
                    self.report.error(f"typedef {name!r} leads back to itself", self.checker.spans[name])
                    return
                seen.append(type.type.name)
                type = self.spec.types[type.type.name]

    def _labels(self, union: UnionType, body: ast.UnionBody) -> None:
        kind = self.spec.resolve(union.discriminant.type)
        span = body.discriminant.span
        members: dict[int, str] = {}
        match kind:
            case EnumType():
                members = {value: name for name, value in kind.members}
                allowed: Iterable[int] = members
                what = f"enum {kind.name!r}"
            case Boolean():
                allowed, what = (0, 1), "bool"
            case Integer(32, signed):
                allowed = range(-(2**31), 2**31) if signed else range(2**32)
                what = "int" if signed else "unsigned int"
            case _:
                self.report.error("a discriminant is an int, an unsigned int, a bool or an enum", span)
                return
        container = allowed if isinstance(allowed, range) else frozenset(allowed)
        labels = [label for arm in body.arms for label in arm.labels]
        for label in labels:
            value = self.checker.scope.value(label)
            if value is not None and value not in container:
                place = ((f"the discriminant is {what}", span),)
                self.report.error(f"label {value} is not a value of {what}", ast.span_of(label), related=place)

    def _costless_elements(self, layout: Layout) -> None:
        for name, type in self.spec.types.items():
            for part in parts(type):
                if isinstance(part, Array) and layout.size(part.element).least == 0:
                    hint = "a count of 2**32-1 would cost its sender four bytes and its receiver everything"
                    self.report.error(
                        f"{name!r} has an array whose elements take no bytes", self.checker.spans[name], hint
                    )

    # Programs (RFC 5531 §12.3)

    def program(self, definition: ast.Program) -> None:
        """Add a program with its versions and procedures."""
        versions: list[VersionType] = []
        numbers: dict[int, Span] = {}
        names: dict[str, Span] = {}
        for version in definition.versions:
            number = self._number(version.number, version.name, numbers, "version")
            self._unique(version.name, names, "version")
            versions.append(VersionType(version.name.text, number, self._procedures(version)))
        number = self._number(definition.number, definition.name, {}, "program")
        for other in self.spec.programs:
            # One number under two names, as portmap's and rpcbind's, is no ambiguity while the versions differ.
            if other.number == number and {v.number for v in other.versions} & {v.number for v in versions}:
                place = self.checker.scope.places[other.name]
                self.checker.scope.duplicate(f"program number {number} is there twice", definition.name.span, place)
        self.spec.programs.append(ProgramType(definition.name.text, number, versions, definition.text))

    def _number(self, expression: ast.Expression, name: ast.Name, seen: dict[int, Span], what: str) -> int:
        value = self.checker.scope.value(expression)
        if value is None:
            return 0
        if not 0 <= value < 2**32:
            self.report.error(f"{what} number {value} is not within 0..{2**32 - 1}", ast.span_of(expression))
        if value in seen:
            self.checker.scope.duplicate(f"{what} number {value} is there twice", name.span, seen[value])
        seen.setdefault(value, name.span)
        return value

    def _unique(self, name: ast.Name, seen: dict[str, Span], what: str) -> None:
        if name.text in seen:
            self.checker.scope.duplicate(f"{what} {name.text!r} is there twice", name.span, seen[name.text])
        seen.setdefault(name.text, name.span)

    def _procedures(self, version: ast.Version) -> list[ProcedureType]:
        found: list[ProcedureType] = []
        numbers: dict[int, Span] = {}
        names: dict[str, Span] = {}
        for procedure in version.procedures:
            number = self._number(procedure.number, procedure.name, numbers, "procedure")
            self._unique(procedure.name, names, "procedure")
            base = procedure.name.text
            arguments = [
                Field(name, self.checker.declared(argument, f"{base}_{name}"))
                for name, argument in zip(_argument_names(procedure.arguments), procedure.arguments, strict=True)
            ]
            result: Type = self.checker.declared(procedure.result, f"{base}_result")
            found.append(ProcedureType(base, number, arguments, result, procedure.text))
        return found


def _argument_names(arguments: list[ast.Declaration]) -> list[str]:
    if len(arguments) == 1:
        return [arguments[0].name.text if arguments[0].name else "arg"]
    return [a.name.text if a.name else f"arg{position}" for position, a in enumerate(arguments, 1)]
