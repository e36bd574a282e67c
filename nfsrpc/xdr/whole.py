"""One value to bytes and back: the entry for those who have a whole message in hand."""

from collections.abc import Callable
from typing import TypeVar

from .errors import XdrDecodeError
from .limits import DEFAULT_LIMITS, Limits

T = TypeVar("T")


def encode(encode_T: Callable[[T, list[bytes]], None], value: T) -> bytes:
    """Return `value` as bytes, by the encoder of its type; raise XdrEncodeError where it does not fit the type."""
    out: list[bytes] = []
    encode_T(value, out)
    return b"".join(out)


def decode(decode_T: Callable[[bytes, int, Limits], tuple[T, int]], data: bytes, limits: Limits = DEFAULT_LIMITS) -> T:
    """Return the value that `data` is the encoding of, all of it; raise XdrDecodeError where it is not one.

    Bytes behind the value are refused unless ``limits.accept_trailing_bytes``,
    and so is data longer than ``limits.message``.
    """
    if len(data) > limits.message:
        raise XdrDecodeError(f"{len(data)} bytes, but a message may have at most {limits.message}", offset=0)
    value, end = decode_T(data, 0, limits)
    if end != len(data) and not limits.accept_trailing_bytes:
        raise XdrDecodeError(f"{len(data) - end} bytes follow the value", offset=end)
    return value
