"""A checked specification: every name resolved, every constant an integer, no syntax left, no target language yet.

This is what back ends read. Types refer to each other by name (`Ref`), because they may be recursive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .ast import PassThrough


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number of 8, 16, 32 or 64 bits; up to 32 bits take one word on the wire."""

    bits: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Floating:
    """A floating-point number of 32, 64 or 128 bits."""

    bits: int


@dataclass(frozen=True, slots=True)
class Boolean:
    """A bool (RFC 4506 §4.4)."""


@dataclass(frozen=True, slots=True)
class Void:
    """No value at all (RFC 4506 §4.16)."""


@dataclass(frozen=True, slots=True)
class FixedOpaque:
    """Exactly `size` bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """At most `bound` bytes; None where the file gives no bound (2**32 - 1 on the wire)."""

    bound: int | None


@dataclass(frozen=True, slots=True)
class String:
    """At most `bound` bytes of text in an encoding the protocol chooses."""

    bound: int | None


@dataclass(frozen=True, slots=True)
class FixedArray:
    """Exactly `size` elements."""

    element: Type
    size: int


@dataclass(frozen=True, slots=True)
class Array:
    """At most `bound` elements."""

    element: Type
    bound: int | None


@dataclass(frozen=True, slots=True)
class Optional:
    """One value or none."""

    element: Type


@dataclass(frozen=True, slots=True)
class Ref:
    """A type with a name of its own, found in `Spec.types`."""

    name: str


Type = Integer | Floating | Boolean | Void | FixedOpaque | Opaque | String | FixedArray | Array | Optional | Ref


@dataclass(frozen=True, slots=True)
class Field:
    """A named value in a struct, union or argument list; `type` is Void for an arm without a value."""

    name: str
    type: Type


@dataclass(slots=True)
class EnumType:
    """An enumeration: `members` are (name, value) in source order."""

    name: str
    text: str
    members: list[tuple[str, int]]


@dataclass(slots=True)
class StructType:
    """A structure."""

    name: str
    text: str
    fields: list[Field]


@dataclass(frozen=True, slots=True)
class UnionArm:
    """An arm with its labels, (text, value) each; the name is empty where the type is Void."""

    labels: tuple[tuple[str, int], ...]
    field: Field


@dataclass(slots=True)
class UnionType:
    """A discriminated union; `default` is None where an undeclared discriminant is an error."""

    name: str
    text: str
    discriminant: Field
    arms: list[UnionArm]
    default: Field | None


@dataclass(slots=True)
class AliasType:
    """A typedef."""

    name: str
    text: str
    type: Type


NamedType = EnumType | StructType | UnionType | AliasType


@dataclass(frozen=True, slots=True)
class Constant:
    """A named integer or string."""

    name: str
    value: int | str
    text: str


@dataclass(slots=True)
class ProcedureType:
    """One remote procedure; `arguments` have the name the file gives them, or arg, or arg1, arg2, ..."""

    name: str
    number: int
    arguments: list[Field]
    result: Type
    text: str


@dataclass(slots=True)
class VersionType:
    """One version of a program."""

    name: str
    number: int
    procedures: list[ProcedureType]


@dataclass(slots=True)
class ProgramType:
    """A remote program."""

    name: str
    number: int
    versions: list[VersionType]
    text: str


@dataclass(slots=True)
class Spec:
    """A whole file with all it includes; `types` are in source order, lifted nested types in front of their owner."""

    name: str
    constants: list[Constant] = field(default_factory=list)
    types: dict[str, NamedType] = field(default_factory=dict)
    programs: list[ProgramType] = field(default_factory=list)
    passed: list[PassThrough] = field(default_factory=list)

    def resolve(self, type: Type) -> Type | EnumType | StructType | UnionType:
        """Follow references and typedefs down to what is encoded."""
        found: Type | NamedType = type
        while True:
            if isinstance(found, Ref):
                found = self.types[found.name]
            if isinstance(found, AliasType):
                found = found.type
                continue
            return found


def parts(type: NamedType) -> Iterator[Type]:
    """Yield the types a named type is made of, discriminant and default included."""
    match type:
        case StructType():
            yield from (f.type for f in type.fields)
        case UnionType():
            yield type.discriminant.type
            yield from (arm.field.type for arm in type.arms)
            if type.default is not None:
                yield type.default.type
        case AliasType():
            yield type.type
