"""What encoder and decoder generation share: how a type is cut into fused runs, calls and loops."""

from __future__ import annotations

from collections.abc import Callable

from ..layout import Layout
from ..model import (
    Boolean,
    EnumType,
    FixedArray,
    FixedOpaque,
    Floating,
    Integer,
    Ref,
    Spec,
    StructType,
    Type,
    UnionType,
)
from .names import top_level
from .text import Item, Lines, Module

_MOST_INLINED = 64
_MOST_FUSED = 16
_CODES = {(32, True): "i", (32, False): "I", (64, True): "q", (64, False): "Q"}


class FunctionWriter(Lines):
    """Writes one function: fixed-size items gather in `pending` until something of variable size ends the run."""

    def __init__(self, spec: Spec, layout: Layout, module: Module, owner: str) -> None:
        super().__init__()
        self.spec = spec
        self.layout = layout
        self.module = module
        self.owner = owner
        self.pending: list[Item] = []
        self.names = 0

    def local(self, stem: str) -> str:
        """Return a new name for a local variable."""
        self.names += 1
        return f"{stem}{self.names}"

    def is_inlined(self, type: StructType) -> bool:
        """Say whether a nested struct's fields are taken into this function instead of calling its own."""
        if type.name in self.layout.cycle or type.name in self.layout.list_links:
            return False
        return self.names < _MOST_INLINED and count_leaves(self.spec, type) <= _MOST_INLINED

    def calls_with_depth(self, name: str) -> bool:
        """Say whether a call from here to the codec of `name` is one step of a recursion."""
        return name in self.layout.cycle and self.owner in self.layout.cycle

    def is_fused(self, element: Type, size: int) -> bool:
        """Say whether the elements of a fixed array join the run around them."""
        return size * fused_leaves(self, element) <= _MOST_FUSED


def fused_leaves(writer: FunctionWriter, type: Type) -> int:
    """Count the items of a type that consists of fixed-size items alone; for any other, return more than is fused."""
    target = writer.spec.resolve(type)
    match target:
        case FixedOpaque() | Floating():
            return 1
        case FixedArray(element, size):
            return max(size * fused_leaves(writer, element), 1)
        case StructType(fields=fields) if writer.is_inlined(target):
            return sum(fused_leaves(writer, f.type) for f in fields)
    return 1 if word_code(target) else _MOST_FUSED + 1


def count_leaves(spec: Spec, type: Type | EnumType | StructType | UnionType) -> int:
    """Count the fields of a type, nested structs included; the type must not be recursive."""
    target = spec.resolve(type) if isinstance(type, Ref) else type
    if isinstance(target, StructType):
        return sum(count_leaves(spec, f.type) for f in target.fields)
    return 1


def word_code(type: Type | EnumType | StructType | UnionType) -> str:
    """Return the `struct` code of a number that is one item on the wire, or an empty string for everything else."""
    match type:
        case Integer(bits, signed):
            return _CODES[max(bits, 32), signed]
        case Floating(32):
            return "f"
        case Floating(64):
            return "d"
        case Boolean():
            return "I"
        case EnumType():
            return "i"
    return ""


def allowed_values(type: Type | EnumType | StructType | UnionType, use: Callable[[str], str]) -> str:
    """Return the expression for the values a word may have, or an empty string where all are allowed."""
    match type:
        case Integer(bits, signed) if bits < 32:
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
            return f"range({low}, {high})"
        case Boolean():
            return use("BOOL")
        case EnumType(name=name):
            return f"_{top_level(name)}_values"
    return ""
