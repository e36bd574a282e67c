"""Decoded values as a tree: plain data for JSON, indented lines for people. Linked lists become lists."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from nfsrpc.xdr import Record

from .paths import shown

LONGEST_BYTES = 64
"""Bytes of opaque data shown in a tree of lines; the rest is counted."""


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: structs as objects, enumerations by name, bytes as hexadecimal digits.

    A struct whose last field leads on to another one of its kind is a list (RFC 4506 §4.19's `*next`).
    """
    if isinstance(value, Record):
        following = _link(value)
        if following is not None:
            return [_members(item, leave_out=following) for item in _chain(value, following)]
        return _members(value)
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _members(value: Record, leave_out: str = "") -> dict[str, Any]:
    found = {name.rstrip("_"): getattr(value, name) for name in value.__slots__ if name != leave_out}
    return {name: plain(item) for name, item in found.items()}


def _link(value: Record) -> str | None:
    last = value.__slots__[-1] if value.__slots__ else ""
    names_next = last.endswith(("next", "nextentry"))
    return last if names_next and isinstance(getattr(value, last), (type(value), type(None))) else None


def _chain(value: Any, following: str) -> Iterator[Any]:
    while value is not None:
        yield value
        value = getattr(value, following)


def lines(value: Any, label: str, depth: int = 1) -> Iterator[str]:
    """`value` as indented lines, two blanks a level."""
    indent = "  " * depth
    if isinstance(value, Record):
        following = _link(value)
        if following is None:
            yield f"{indent}{label}: {type(value).__name__}"
            for name in value.__slots__:
                if getattr(value, name) is not None:
                    yield from lines(getattr(value, name), name.rstrip("_"), depth + 1)
            return
        value = list(_chain(value, following))
        yield f"{indent}{label}: {len(value)} x {type(value[0]).__name__}"
        for number, item in enumerate(value):
            yield f"{indent}  [{number}]"
            for name in item.__slots__:
                if name != following:
                    yield from lines(getattr(item, name), name.rstrip("_"), depth + 2)
        return
    if isinstance(value, (list, tuple)):
        yield f"{indent}{label}: {len(value)} items"
        for number, item in enumerate(value):
            yield from lines(item, f"[{number}]", depth + 1)
        return
    yield f"{indent}{label}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, IntEnum):
        return f"{value.name} ({int(value)})"
    if isinstance(value, bytes):
        head = value[:LONGEST_BYTES]
        more = f" … {len(value)} bytes in all" if len(value) > LONGEST_BYTES else ""
        printable = value.isascii() and value.decode("ascii").isprintable() and value
        return (f"'{shown(head)}'" if printable else head.hex() or "empty") + more
    return str(value)
