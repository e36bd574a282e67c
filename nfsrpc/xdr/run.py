"""A run: adjacent fixed-size items packed and unpacked by one precompiled `struct.Struct`.

The good path is the C code of `struct` alone. Everything a message needs when
something does not fit - which field, at which byte, and why - is worked out
afterwards, from the names kept here beside the format.
"""

from collections.abc import Mapping
from struct import Struct, calcsize, error, pack, unpack_from
from typing import Any

Check = Mapping[int, Any] | bytes | range


class Run(Struct):
    """Fixed-size items in a row.

    ``format`` is a `struct` format with one blank-separated code per item after the ``>``;
    ``fields`` names them in the same order, blank-separated, an element of an array as a step
    of its own (``a.[0].b``). A name that ends in ``#`` belongs to a word that the codec computes
    itself: a length, or a flag that says whether a value follows. ``checks`` maps the name of an
    item to the values it may have: the members of an enumeration, the range of a narrow integer, or
    the fill bytes.
    """

    __slots__ = ("checks", "codes", "fields")

    def __init__(self, format: str, fields: str, checks: Mapping[str, Check] | None = None) -> None:
        super().__init__(format)
        self.codes = format
        self.fields = fields
        self.checks = checks or {}

    def explain_decode(self, data: bytes, pos: int) -> tuple[str, int, str] | None:
        """Return (field, offset, reason) of the first item of the run at `pos` that cannot be decoded."""
        for code, field in zip(self.codes.split()[1:], self.fields.split(), strict=True):
            size = calcsize(">" + code)
            if pos + size > len(data):
                left = max(len(data) - pos, 0)
                return shown(field), pos, f"needs {size} bytes, but the message ends after {left}"
            value = unpack_from(">" + code, data, pos)[0]
            allowed = self.checks.get(field)
            if allowed is not None and not permits(allowed, value):
                return shown(field), pos, describe_refusal(allowed, value)
            pos += size
        return None

    def explain_encode(self, root: object) -> tuple[str, str] | None:
        """Return (field, reason) of the first item that cannot be encoded from the value `root`."""
        for code, field in zip(self.codes.split()[1:], self.fields.split(), strict=True):
            if field.endswith("#"):
                continue
            value, reason = follow(root, field)
            if not reason:
                reason = unfit(code, value, self.checks.get(field))
            if reason:
                return shown(field), reason
        return None


def shown(field: str) -> str:
    """Return the path of an item as errors show it: ``a.[0].b#`` is ``a[0].b``, and ``.`` is the value itself."""
    return field.rstrip("#").replace(".[", "[").lstrip(".")


def permits(allowed: Check, value: Any) -> bool:
    """Say whether the decoded or given `value` is one of the `allowed` ones."""
    return value == allowed if type(allowed) is bytes else value in allowed


def describe_refusal(allowed: Check, value: Any) -> str:
    """Say in words why `value` is not one of the `allowed` ones."""
    if type(allowed) is bytes:
        return f"fill bytes must be zero, not {value.hex()}"
    if isinstance(allowed, range):
        return f"{value!r} is not within {allowed.start}..{allowed.stop - 1}"
    names = ", ".join(str(getattr(member, "name", member)) for member in list(allowed.values())[:8])  # type: ignore[union-attr]
    return f"{value!r} is not one of {names}{', ...' if len(allowed) > 8 else ''}"


def follow(root: object, field: str) -> tuple[Any, str]:
    """Follow a dotted path from `root`; return (value, "") or (None, reason) where it leads nowhere."""
    value: Any = root
    for step in field.split(".") if field != "." else ():
        try:
            value = value[int(step[1:-1])] if step[0] == "[" else getattr(value, step)
        except (AttributeError, LookupError, TypeError):
            return None, f"{type(value).__name__} object has no {step!r}"
    return value, ""


def unfit(code: str, value: Any, allowed: Check | None) -> str:
    """Say why `value` cannot be packed by `code` within `allowed`, or return an empty string."""
    if code.endswith("s"):
        size = int(code[:-1])
        if not isinstance(value, bytes | bytearray):
            return f"must be bytes, not {type(value).__name__}"
        return "" if len(value) == size else f"must be {size} bytes long, not {len(value)}"
    try:
        pack(">" + code, value)
    except (error, OverflowError) as refusal:
        return (
            f"{value!r} does not fit: {refusal}"
            if isinstance(value, int | float)
            else (f"must be a number, not {type(value).__name__}")
        )
    return "" if allowed is None or permits(allowed, value) else describe_refusal(allowed, value)
