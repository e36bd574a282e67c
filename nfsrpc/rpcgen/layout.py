"""What the wire form of each type looks like as a whole: sizes, cycles, and linked lists."""

from __future__ import annotations

from dataclasses import dataclass

from .model import (
    AliasType,
    Array,
    Boolean,
    EnumType,
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
    UnionType,
    parts,
)

_MOST_BYTES = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes on the wire; `most` is None where a type contains itself and so has no greatest size."""

    least: int
    most: int | None


def padded(size: int) -> int:
    """Round a number of bytes up to a whole number of words (RFC 4506 §3)."""
    return size + (-size & 3)


class Layout:
    """Answers about the types of one specification; everything is worked out once, in `__init__`."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.least = self._least_sizes()
        self.cycle = self._cycles()
        self.list_links = {name: link for name, type in spec.types.items() if (link := self._list_link(type))}
        self._most: dict[str, int | None] = {}

    def size(self, type: Type) -> Size:
        """Return the size of any type; `least` is None-free only for types that can be finite."""
        least = self._least(type, self.least)
        assert least is not None
        return Size(least, self._greatest(type, ()))

    def is_finite(self, name: str) -> bool:
        """Say whether a value of the type can exist: some finite value has to end every recursion."""
        return self.least[name] is not None

    def reachable(self, name: str) -> set[str]:
        """Return the types that a type mentions, and those that they mention, and so on."""
        edges = {n: {ref for part in parts(t) for ref in references(part)} for n, t in self.spec.types.items()}
        return _reachable(name, edges)

    def nesting(self) -> dict[str, int]:
        """Return how many types deep each type is nested, types that contain themselves left out."""
        deep: dict[str, int] = {}
        inner = {
            name: {ref for part in parts(type) for ref in references(part)} - self.cycle - {name}
            for name, type in self.spec.types.items()
        }
        for start in inner:
            pending = [start]
            while pending:
                name = pending[-1]
                missing = [ref for ref in inner[name] if ref not in deep and ref not in pending]
                if missing:
                    pending.append(missing[0])
                else:
                    pending.pop()
                    deep[name] = 1 + max((deep.get(ref, 0) for ref in inner[name]), default=0)
        return deep

    # Least sizes: the smallest solution, found by letting every type start at "impossible"

    def _least_sizes(self) -> dict[str, int | None]:
        sizes: dict[str, int | None] = dict.fromkeys(self.spec.types)
        changed = True
        while changed:
            changed = False
            for name, type in self.spec.types.items():
                found = self._least_named(type, sizes)
                if found is not None and found != sizes[name]:
                    sizes[name] = found
                    changed = True
        return sizes

    def _least_named(self, type: NamedType, sizes: dict[str, int | None]) -> int | None:
        match type:
            case EnumType():
                return 4
            case StructType():
                return _total([self._least(f.type, sizes) for f in type.fields])
            case UnionType():
                choices = [arm.field.type for arm in type.arms]
                if type.default is not None:
                    choices.append(type.default.type)
                known = [size for choice in choices if (size := self._least(choice, sizes)) is not None]
                return 4 + min(known) if known else None
            case AliasType():
                return self._least(type.type, sizes)

    def _least(self, type: Type, sizes: dict[str, int | None]) -> int | None:
        match type:
            case Integer(bits, _) | Floating(bits):
                return max(bits // 8, 4)
            case Boolean() | Opaque() | String() | Array() | Optional():
                return 4
            case FixedOpaque(size):
                return padded(size)
            case FixedArray(element, size):
                one = self._least(element, sizes)
                return None if one is None else one * size
            case Ref(name):
                return sizes.get(name)
        return 0

    # Greatest sizes

    def _greatest(self, type: Type, within: tuple[str, ...]) -> int | None:
        match type:
            case Opaque(bound) | String(bound):
                return 4 + padded(_MOST_BYTES if bound is None else bound)
            case Array(element, bound):
                one = self._greatest(element, within)
                return None if one is None else 4 + one * (_MOST_BYTES if bound is None else bound)
            case FixedArray(element, size):
                one = self._greatest(element, within)
                return None if one is None else one * size
            case Optional(element):
                return _total([4, self._greatest(element, within)])
            case Ref(name):
                return self._greatest_named(name, within)
        return self._least(type, {})

    def _greatest_named(self, name: str, within: tuple[str, ...]) -> int | None:
        if name in within:
            return None
        if name not in self._most:
            type, inner = self.spec.types[name], (*within, name)
            match type:
                case EnumType():
                    found: int | None = 4
                case UnionType():
                    sizes = [self._greatest(part, inner) for part in list(parts(type))[1:]]
                    found = None if None in sizes else 4 + max((s for s in sizes if s is not None), default=0)
                case _:
                    found = _total([self._greatest(part, inner) for part in parts(type)])
            if found is None and name not in self.cycle and name not in self.list_links and within:
                return None
            self._most[name] = found
        return self._most[name]

    # Cycles and lists

    def _list_link(self, type: NamedType) -> str | None:
        """Return the name of a struct's last field where that is an optional struct of the same type."""
        if not isinstance(type, StructType) or not type.fields:
            return None
        last = type.fields[-1]
        target = self.spec.resolve(last.type)
        if isinstance(target, Optional) and self.spec.resolve(target.element) is type:
            return last.name
        return None

    def _cycles(self) -> set[str]:
        """Return the types that can reach themselves, not counting a linked list's own link."""
        edges: dict[str, set[str]] = {}
        for name, type in self.spec.types.items():
            link = self._list_link(type)
            followed = (
                [f.type for f in type.fields if f.name != link] if isinstance(type, StructType) else list(parts(type))
            )
            edges[name] = {ref for part in followed for ref in references(part)}
        # A typedef for a list's link leads back to the struct; the list's loop passes through neither.
        return {name for name in edges if name in _reachable(name, edges)}


def references(type: Type) -> set[str]:
    """Return the names a type mentions directly."""
    match type:
        case Ref(name):
            return {name}
        case Array(element, _) | FixedArray(element, _) | Optional(element):
            return references(element)
    return set()


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    pending = list(edges[start])
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending.extend(edges.get(name, ()))
    return seen


def _total(sizes: list[int | None]) -> int | None:
    return None if None in sizes else sum(size for size in sizes if size is not None)
