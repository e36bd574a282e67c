"""Opaque data, strings, booleans and arrays: the parts of the codec that the generated code calls (RFC 4506 §4)."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar, cast

from .errors import XdrDecodeError, XdrEncodeError
from .limits import Limits

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)

PAD = (b"", b"\0\0\0", b"\0\0", b"\0")
"""The fill bytes after n bytes of opaque data, by n & 3 (RFC 4506 §3)."""

BOOL = {0: False, 1: True}


def members(enum: type[E]) -> dict[int, E]:
    """Return the mapping from number to member of an enumeration; it is the class's own, not a copy."""
    return cast(dict[int, E], enum._value2member_map_)


def as_bytes(value: Any, path: str) -> bytes:
    """Return `value` as bytes where it is another buffer; raise XdrEncodeError where it is not a buffer at all."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise XdrEncodeError(f"must be bytes, not {type(value).__name__}", path=path)


def too_long(path: str, length: int, bound: int, offset: int | None = None) -> XdrDecodeError:
    """Make the error for a length word at `offset` that exceeds the declared bound."""
    return XdrDecodeError(f"{length} elements, but at most {bound} are allowed", offset=offset, path=path)


def check_length(path: str, length: int, bound: int) -> None:
    """Raise XdrEncodeError where `length` exceeds `bound`."""
    if length > bound:
        raise XdrEncodeError(f"{length} elements, but at most {bound} are allowed", path=path)


def check_size(path: str, length: int, size: int) -> None:
    """Raise XdrEncodeError unless a fixed-size item has exactly its declared size."""
    if length != size:
        raise XdrEncodeError(f"{length} elements, but exactly {size} are declared", path=path)


def check_tail(path: str, data: bytes, end: int, length: int, limits: Limits) -> None:
    """Raise XdrDecodeError unless the opaque data of `length` bytes up to `end` is there, and its zero fill bytes."""
    missing = end + (-length & 3) - len(data)
    if missing > 0:
        raise XdrDecodeError(f"needs {missing} bytes more than the message has", offset=len(data), path=path)
    fill = data[end : end + (-length & 3)]
    if any(fill) and not limits.accept_nonzero_padding:
        raise XdrDecodeError(f"fill bytes must be zero, not {fill.hex()}", offset=end, path=path)


def any_bool(value: int, limits: Limits) -> bool:
    """Return TRUE for a word that is neither 0 nor 1 where `limits` permit it, else raise XdrDecodeError."""
    if limits.accept_any_bool:
        return True
    raise XdrDecodeError(f"{value} is not one of False, True")


def check_count(path: str, count: int, least: int, data: bytes, pos: int, limits: Limits) -> None:
    """Raise XdrDecodeError unless `count` elements of `least` bytes each can follow at `pos`: before allocating."""
    if count > limits.elements:
        raise too_long(path, count, limits.elements, pos)
    if count * least > len(data) - pos:
        reason = f"{count} elements need at least {count * least} bytes, but {len(data) - pos} are left"
        raise XdrDecodeError(reason, offset=pos, path=path)


def decode_items(
    decode: Callable[[bytes, int, Limits], tuple[T, int]], count: int, data: bytes, pos: int, limits: Limits
) -> tuple[list[T], int]:
    """Decode `count` elements one after the other; return (list, position behind it)."""
    items: list[T] = []
    append = items.append
    try:
        for _ in range(count):
            item, pos = decode(data, pos, limits)
            append(item)
    except XdrDecodeError as failure:
        raise failure.within(f"[{len(items)}]") from None
    return items, pos


def decode_nested_items(
    decode: Callable[[bytes, int, Limits, int], tuple[T, int]],
    count: int,
    data: bytes,
    pos: int,
    limits: Limits,
    depth: int,
) -> tuple[list[T], int]:
    """Do as `decode_items` for an element type that contains itself; `depth` counts the levels so far."""
    return decode_items(lambda data, pos, limits: decode(data, pos, limits, depth), count, data, pos, limits)


def encode_items(encode: Callable[[T, list[bytes]], None], items: list[T], out: list[bytes]) -> None:
    """Encode the elements one after the other."""
    done = 0
    try:
        for done, item in enumerate(items):  # noqa: B007
            encode(item, out)
    except XdrEncodeError as failure:
        raise failure.within(f"[{done}]") from None


def check_depth(depth: int, pos: int, limits: Limits) -> None:
    """Raise XdrDecodeError where a recursive type is nested deeper than `limits` allow."""
    if depth > limits.depth:
        raise XdrDecodeError(f"nested deeper than {limits.depth} levels", offset=pos)
