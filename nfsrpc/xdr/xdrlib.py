"""A drop-in for the standard library's ``xdrlib``, which Python 3.13 removed, and strict variants beside it.

``import nfsrpc.xdr.xdrlib as xdrlib`` is all that an old program needs: names, arguments, results and
exceptions are those of the old module, its leniency included (fill bytes are ignored, any word but zero is TRUE).
`StrictPacker` and `StrictUnpacker` have the same methods, follow RFC 4506 to the letter, and raise
XdrEncodeError and XdrDecodeError, the latter with the offset in the data.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .errors import XdrDecodeError, XdrEncodeError
from .limits import DEFAULT_LIMITS, Limits

__all__ = ["ConversionError", "Error", "Packer", "StrictPacker", "StrictUnpacker", "Unpacker"]

T = TypeVar("T")

_INT, _UINT, _FLOAT, _DOUBLE = (struct.Struct(">" + code) for code in "lLfd")
_HYPER, _UHYPER = struct.Struct(">q"), struct.Struct(">Q")
_MASK = 2**64 - 1


class Error(Exception):
    """What this module raises; `msg` holds the message."""

    def __init__(self, msg: str) -> None:
        self.msg = msg


class ConversionError(Error):
    """A value does not fit the type it is packed as."""


class Packer:
    """Packs values one after the other into a buffer."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Empty the buffer."""
        self._parts: list[bytes] = []

    def get_buffer(self) -> bytes:
        """Return everything that was packed since the last reset."""
        self._parts = [b"".join(self._parts)]
        return self._parts[0]

    get_buf = get_buffer

    def _pack(self, form: struct.Struct, value: Any) -> None:
        try:
            self._parts.append(form.pack(value))
        except struct.error as failure:
            raise ConversionError(str(failure)) from None

    def pack_uint(self, x: int) -> None:
        """Pack an unsigned int (RFC 4506 §4.2); raises ConversionError."""
        self._pack(_UINT, x)

    def pack_int(self, x: int) -> None:
        """Pack an int (RFC 4506 §4.1); raises ConversionError."""
        self._pack(_INT, x)

    def pack_enum(self, x: int) -> None:
        """Pack an enum as its number (RFC 4506 §4.3)."""
        self.pack_int(x)

    def pack_bool(self, x: Any) -> None:
        """Pack the truth of any value (RFC 4506 §4.4)."""
        self._parts.append(b"\0\0\0\1" if x else b"\0\0\0\0")

    def pack_uhyper(self, x: int) -> None:
        """Pack the lowest 64 bits of an int (RFC 4506 §4.5)."""
        try:
            self._pack(_UHYPER, x & _MASK)
        except TypeError as failure:
            raise ConversionError(str(failure)) from None

    def pack_hyper(self, x: int) -> None:
        """Pack the lowest 64 bits of an int (RFC 4506 §4.5)."""
        Packer.pack_uhyper(self, x)

    def pack_float(self, x: float) -> None:
        """Pack a single-precision number (RFC 4506 §4.6)."""
        self._pack(_FLOAT, x)

    def pack_double(self, x: float) -> None:
        """Pack a double-precision number (RFC 4506 §4.7)."""
        self._pack(_DOUBLE, x)

    def pack_fstring(self, n: int, s: bytes) -> None:
        """Pack `n` bytes: of `s`, cut or filled up with zeros (RFC 4506 §4.9); raises ValueError where n < 0."""
        if n < 0:
            raise ValueError("fstring size must be nonnegative")
        self._parts.append(s[:n] + bytes(n + (-n & 3) - len(s[:n])))

    def pack_fopaque(self, n: int, data: bytes) -> None:
        """Pack opaque data of a fixed size, as `pack_fstring` does."""
        self.pack_fstring(n, data)

    def pack_string(self, s: bytes) -> None:
        """Pack a length and that many bytes (RFC 4506 §4.10, §4.11)."""
        self.pack_uint(len(s))
        self.pack_fstring(len(s), s)

    def pack_opaque(self, data: bytes) -> None:
        """Pack opaque data, as `pack_string` does."""
        self.pack_string(data)

    def pack_bytes(self, bytes: bytes) -> None:
        """Pack bytes, as `pack_string` does."""
        self.pack_string(bytes)

    def pack_list(self, list: Sequence[T], pack_item: Callable[[T], Any]) -> None:
        """Pack a list whose elements follow a word 1 each and which a word 0 ends (RFC 4506 §4.19)."""
        for item in list:
            self.pack_uint(1)
            pack_item(item)
        self.pack_uint(0)

    def pack_farray(self, n: int, list: Sequence[T], pack_item: Callable[[T], Any]) -> None:
        """Pack `n` elements (RFC 4506 §4.12); raises ValueError where `list` has another number of them."""
        if len(list) != n:
            raise ValueError("wrong array size")
        for item in list:
            pack_item(item)

    def pack_array(self, list: Sequence[T], pack_item: Callable[[T], Any]) -> None:
        """Pack the number of elements and the elements (RFC 4506 §4.13)."""
        self.pack_uint(len(list))
        self.pack_farray(len(list), list, pack_item)


class Unpacker:
    """Unpacks values one after the other from `data`; raises EOFError where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self.reset(data)

    def reset(self, data: bytes) -> None:
        """Start anew with other data."""
        self._data = data
        self._position = 0

    def get_position(self) -> int:
        """Return the offset of the next value in bytes."""
        return self._position

    def set_position(self, position: int) -> None:
        """Go to an offset in bytes."""
        self._position = position

    def get_buffer(self) -> bytes:
        """Return the data."""
        return self._data

    def done(self) -> None:
        """Raise Error unless everything was unpacked."""
        if self._position < len(self._data):
            raise Error("unextracted data remains")

    def _missing(self, size: int) -> Exception:
        return EOFError()

    def _unpack(self, form: struct.Struct) -> Any:
        try:
            (value,) = form.unpack_from(self._data, self._position)
        except struct.error:
            raise self._missing(form.size) from None
        self._position += form.size
        return value

    def unpack_uint(self) -> int:
        """Unpack an unsigned int (RFC 4506 §4.2)."""
        value: int = self._unpack(_UINT)
        return value

    def unpack_int(self) -> int:
        """Unpack an int (RFC 4506 §4.1)."""
        value: int = self._unpack(_INT)
        return value

    def unpack_enum(self) -> int:
        """Unpack an enum as its number (RFC 4506 §4.3)."""
        return self.unpack_int()

    def unpack_bool(self) -> bool:
        """Unpack a bool; any word but 0 is True (RFC 4506 §4.4)."""
        return bool(self.unpack_int())

    def unpack_uhyper(self) -> int:
        """Unpack an unsigned 64-bit int (RFC 4506 §4.5)."""
        value: int = self._unpack(_UHYPER)
        return value

    def unpack_hyper(self) -> int:
        """Unpack a 64-bit int (RFC 4506 §4.5)."""
        value: int = self._unpack(_HYPER)
        return value

    def unpack_float(self) -> float:
        """Unpack a single-precision number (RFC 4506 §4.6)."""
        value: float = self._unpack(_FLOAT)
        return value

    def unpack_double(self) -> float:
        """Unpack a double-precision number (RFC 4506 §4.7)."""
        value: float = self._unpack(_DOUBLE)
        return value

    def unpack_fstring(self, n: int) -> bytes:
        """Unpack `n` bytes and skip their fill bytes (RFC 4506 §4.9); raises ValueError where n < 0."""
        if n < 0:
            raise ValueError("fstring size must be nonnegative")
        start, end = self._position, self._position + n
        if end + (-n & 3) > len(self._data):
            raise self._missing(n)
        self._position = end + (-n & 3)
        return self._data[start:end]

    def unpack_fopaque(self, n: int) -> bytes:
        """Unpack opaque data of a fixed size, as `unpack_fstring` does."""
        return self.unpack_fstring(n)

    def unpack_string(self) -> bytes:
        """Unpack a length and that many bytes (RFC 4506 §4.10, §4.11)."""
        return self.unpack_fstring(self.unpack_uint())

    def unpack_opaque(self) -> bytes:
        """Unpack opaque data, as `unpack_string` does."""
        return self.unpack_string()

    def unpack_bytes(self) -> bytes:
        """Unpack bytes, as `unpack_string` does."""
        return self.unpack_string()

    def unpack_list(self, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack what `Packer.pack_list` packs; raises ConversionError for a word that is neither 0 nor 1."""
        items: list[T] = []
        while more := self.unpack_uint():
            if more != 1:
                raise ConversionError(f"0 or 1 expected, got {more!r}")
            items.append(unpack_item())
        return items

    def unpack_farray(self, n: int, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack `n` elements (RFC 4506 §4.12)."""
        return [unpack_item() for _ in range(n)]

    def unpack_array(self, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack the number of elements and the elements (RFC 4506 §4.13)."""
        return self.unpack_farray(self.unpack_uint(), unpack_item)


class StrictPacker(Packer):
    """A `Packer` that packs nothing but what fits, and raises XdrEncodeError for the rest."""

    def _pack(self, form: struct.Struct, value: Any) -> None:
        try:
            self._parts.append(form.pack(value))
        except (struct.error, OverflowError) as failure:
            raise XdrEncodeError(f"{value!r} does not fit: {failure}") from None

    def pack_bool(self, x: Any) -> None:
        """Pack True or False, and nothing else."""
        if x is not True and x is not False:
            raise XdrEncodeError(f"{x!r} is not a bool")
        super().pack_bool(x)

    def pack_uhyper(self, x: int) -> None:
        """Pack an unsigned 64-bit int."""
        self._pack(_UHYPER, x)

    def pack_hyper(self, x: int) -> None:
        """Pack a 64-bit int."""
        self._pack(_HYPER, x)

    def pack_fstring(self, n: int, s: bytes) -> None:
        """Pack `s`, which must be `n` bytes long."""
        if not isinstance(s, bytes) or len(s) != n:
            raise XdrEncodeError(f"must be {n} bytes, not {s!r:.80}")
        super().pack_fstring(n, s)

    def pack_farray(self, n: int, list: Sequence[T], pack_item: Callable[[T], Any]) -> None:
        """Pack `n` elements, which must be all that `list` has."""
        if len(list) != n:
            raise XdrEncodeError(f"{len(list)} elements, but exactly {n} are declared")
        super().pack_farray(n, list, pack_item)


class StrictUnpacker(Unpacker):
    """An `Unpacker` that takes canonical XDR only, within `limits`, and raises XdrDecodeError for the rest."""

    def __init__(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(data)
        self._limits = limits

    def _missing(self, size: int) -> Exception:
        left = max(len(self._data) - self._position, 0)
        return XdrDecodeError(f"needs {size} bytes, but {left} are left", offset=self._position)

    def done(self) -> None:
        """Raise XdrDecodeError unless everything was unpacked, or trailing bytes are permitted."""
        if self._position < len(self._data) and not self._limits.accept_trailing_bytes:
            raise XdrDecodeError(f"{len(self._data) - self._position} bytes follow", offset=self._position)

    def unpack_bool(self) -> bool:
        """Unpack a bool: 0 or 1."""
        word = self.unpack_uint()
        if word > 1 and not self._limits.accept_any_bool:
            raise XdrDecodeError(f"{word} is not a bool", offset=self._position - 4)
        return bool(word)

    def unpack_fstring(self, n: int) -> bytes:
        """Unpack `n` bytes and their fill bytes, which must be zero."""
        data = super().unpack_fstring(n)
        fill = self._data[self._position - (-n & 3) : self._position]
        if any(fill) and not self._limits.accept_nonzero_padding:
            raise XdrDecodeError(f"fill bytes must be zero, not {fill.hex()}", offset=self._position - len(fill))
        return data

    def unpack_list(self, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack a list: at most as many elements as `limits` allow."""
        items: list[T] = []
        while self.unpack_bool():
            self._check_count(len(items) + 1)
            items.append(unpack_item())
        return items

    def unpack_farray(self, n: int, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack `n` elements."""
        self._check_count(n)
        return super().unpack_farray(n, unpack_item)

    def unpack_array(self, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack an array; a count that the rest of the data cannot hold is refused before anything is made."""
        count = self.unpack_uint()
        # Every element of XDR takes a word at least; one that took none would be free for its sender.
        if count * 4 > len(self._data) - self._position:
            raise XdrDecodeError(f"{count} elements cannot follow", offset=self._position - 4)
        return self.unpack_farray(count, unpack_item)

    def _check_count(self, count: int) -> None:
        if count > self._limits.elements:
            reason = f"{count} elements, but at most {self._limits.elements} are allowed"
            raise XdrDecodeError(reason, offset=self._position)
