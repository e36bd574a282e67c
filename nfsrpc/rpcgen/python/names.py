"""Identifiers of the .x file as Python writes them: the same, with ``_`` behind what Python or generated code needs."""

from __future__ import annotations

import keyword
import re
from enum import IntEnum

from ..model import (
    Array,
    Boolean,
    FixedArray,
    FixedOpaque,
    Floating,
    Integer,
    Opaque,
    Optional,
    Ref,
    String,
    Type,
    Void,
)

BUILTINS_USED = frozenset(
    ("bool", "bytes", "dict", "float", "int", "len", "list", "new", "range", "tuple", "Exception")
)
_LOCALS = re.compile(r"data|pos|limits|depth|index|at|failure|head|tail|value|out|[a-z]\d*")
_ENUM_ATTRIBUTES = frozenset(name for name in dir(IntEnum) if not name.startswith("__")) | {"mro", "name", "value"}


def attribute(name: str) -> str:
    """Return the name of a field, a method or an argument."""
    return _escaped(name, name == "self")


def top_level(name: str) -> str:
    """Return the name of a type, a constant or anything else that lives in the module itself."""
    return _escaped(name, name in BUILTINS_USED)


def inside(name: str) -> str:
    """Return how the body of a generated function calls a class, which a local variable of that name would hide."""
    return f"_{name}_class" if _LOCALS.fullmatch(name) else top_level(name)


def class_alias(name: str) -> list[str]:
    """Return the line behind a class that makes `inside` true, where it is needed."""
    return ["", "", f"{inside(name)} = {top_level(name)}"] if inside(name) != top_level(name) else []


def enum_member(name: str) -> str:
    """Return the name of a member inside its enum class, which has attributes of its own."""
    if name.startswith("_") and name.endswith("_"):
        return f"x{name}"  # `enum` keeps such names for itself
    return _escaped(name, name in _ENUM_ATTRIBUTES)


def _escaped(name: str, taken: bool) -> str:
    if name.startswith("__"):
        return f"x{name}"  # Python mangles such names inside classes
    return name + "_" if taken or keyword.iskeyword(name) else name


def annotation(type: Type) -> str:
    """Return the Python type of a field's value."""
    match type:
        case Integer():
            return "int"
        case Floating(bits):
            return "float" if bits < 128 else "_Quadruple"
        case Boolean():
            return "bool"
        case Void():
            return "None"
        case FixedOpaque() | Opaque() | String():
            return "bytes"
        case FixedArray(element) | Array(element):
            return f"list[{annotation(element)}]"
        case Optional(element):
            inner = annotation(element)
            return inner if inner.endswith("| None") else f"{inner} | None"
        case Ref(name):
            return top_level(name)


def visible(text: str) -> str:
    """Return text without tabs, and with other control characters as escapes: Python source has no place for them."""
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", lambda c: "    " if c[0] == "\t" else f"\\x{ord(c[0]):02x}", text)


def docstring(text: str, indent: str) -> list[str]:
    """Return the lines of a docstring that shows `text` as it is."""
    lines = visible(text.replace("\\", "\\\\")).replace('"""', '\\"\\"\\"').split("\n")
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}{" " if lines[0].endswith(chr(34)) else ""}"""']
    return [f'{indent}"""{lines[0]}', *(f"{indent}{line}".rstrip() for line in lines[1:]), f'{indent}"""']
