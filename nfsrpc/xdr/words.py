"""Arrays of plain numbers, and the codecs of nothing and of single arguments."""

from collections.abc import Callable, Sequence
from struct import calcsize, error, pack, unpack_from
from typing import Any

from .errors import XdrDecodeError, XdrEncodeError
from .limits import Limits
from .opaque import BOOL
from .quadruple import Quadruple
from .run import Check, describe_refusal, permits, unfit


def decode_words(code: str, count: int, data: bytes, pos: int) -> tuple[Any, ...]:
    """Unpack `count` numbers of one `struct` code from `pos`; the caller has compared `count` with its caps."""
    try:
        return unpack_from(f">{count}{code}", data, pos)
    except error:
        size = count * calcsize(">" + code)
        reason = f"{count} elements need {size} bytes, but {max(len(data) - pos, 0)} are left"
        raise XdrDecodeError(reason, offset=pos) from None


def encode_words(code: str, items: Sequence[Any], path: str, allowed: Check | None = None) -> bytes:
    """Pack the numbers of `items` by one `struct` code; raise XdrEncodeError that names the first that does not fit."""
    if allowed is None or all(permits(allowed, item) for item in items):
        try:
            return pack(f">{len(items)}{code}", *items)
        except (error, OverflowError):
            pass
    for index, item in enumerate(items):
        reason = unfit(code, item, allowed)
        if reason:
            raise XdrEncodeError(reason, path=f"{path}[{index}]")
    raise XdrEncodeError("is not a list of numbers", path=path)


def decode_bools(count: int, data: bytes, pos: int, limits: Limits) -> list[bool]:
    """Decode `count` bools from `pos`; the caller has compared `count` with its caps."""
    words = decode_words("I", count, data, pos)
    for index, word in enumerate(words):
        if word > 1 and not limits.accept_any_bool:
            raise XdrDecodeError(describe_refusal(BOOL, word), offset=pos + index * 4, path=f"[{index}]")
    return [word != 0 for word in words]


def checked_words(values: Sequence[Any], allowed: Check, size: int, pos: int) -> list[Any]:
    """Return decoded numbers as members of `allowed`: a mapping or a range; `size` is bytes a word."""
    for index, value in enumerate(values):
        if not permits(allowed, value):
            raise XdrDecodeError(describe_refusal(allowed, value), offset=pos + index * size, path=f"[{index}]")
    return list(values) if isinstance(allowed, range) else [allowed[value] for value in values]


def decode_quadruples(count: int, data: bytes, pos: int) -> list[Quadruple]:
    """Decode `count` quadruples from `pos`; the caller has compared `count` with its caps."""
    raw = data[pos : pos + 16 * count]
    if len(raw) != 16 * count:
        raise XdrDecodeError(f"{count} elements need {16 * count} bytes, but {len(raw)} are left", offset=pos)
    return [Quadruple.from_bytes(raw[start : start + 16]) for start in range(0, 16 * count, 16)]


def encode_void(value: object, out: list[bytes]) -> None:
    """Encode nothing (RFC 4506 §4.16); raise XdrEncodeError for anything but None."""
    if value is not None:
        raise XdrEncodeError(f"void has no value, but {type(value).__name__} was given")


def decode_void(data: bytes, pos: int, limits: Limits) -> tuple[None, int]:
    """Decode nothing (RFC 4506 §4.16)."""
    return None, pos


def encode_no_args(args: tuple[()], out: list[bytes]) -> None:
    """Encode the arguments of a procedure that takes none."""


def decode_no_args(data: bytes, pos: int, limits: Limits) -> tuple[tuple[()], int]:
    """Decode the arguments of a procedure that takes none."""
    return (), pos


def one_arg(
    encode: Callable[[Any, list[bytes]], None], decode: Callable[[bytes, int, Limits], tuple[Any, int]]
) -> tuple[Callable[[Any, list[bytes]], None], Callable[[bytes, int, Limits], tuple[Any, int]]]:
    """Return encoder and decoder of a one-argument tuple, made of the argument's own."""

    def encode_args(args: tuple[Any, ...], out: list[bytes]) -> None:
        encode(args[0], out)

    def decode_args(data: bytes, pos: int, limits: Limits) -> tuple[tuple[Any], int]:
        value, pos = decode(data, pos, limits)
        return (value,), pos

    return encode_args, decode_args
