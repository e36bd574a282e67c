"""Words on the wire, written and read by hand (RFC 4506): the suite's own, independent of the package's codec."""

import struct
from typing import NamedTuple, Self

NONE = b"\0" * 8
"""A credential or verifier of AUTH_NONE: flavour 0, no body."""
UNSET = 0xFFFF_FFFF
"""A field of sattr that shall not be changed (RFC 1094 §2.3.6)."""


class Malformed(AssertionError):
    """A reply does not have the form that its RFC gives it."""


def w(*values: int) -> bytes:
    """Unsigned words, big-endian."""
    return struct.pack(f">{len(values)}I", *values)


def opaque(data: bytes) -> bytes:
    """Variable-length opaque data, or a string: length, bytes, zero bytes up to a word."""
    return w(len(data)) + data + bytes(-len(data) % 4)


def auth_sys(uid: int = 0, gid: int = 0, machine: bytes = b"conformance", gids: tuple[int, ...] = ()) -> bytes:
    """A credential of AUTH_SYS (RFC 5531 appendix A), flavour and length in front."""
    return w(1) + opaque(w(7) + opaque(machine) + w(uid, gid, len(gids), *gids))


class Reader:
    """Takes a reply apart from the front, strictly. Raises `Malformed`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def fixed(self, size: int) -> bytes:
        """`size` bytes; a multiple of four."""
        if self._at + size > len(self._data):
            raise Malformed(f"the reply ends after {len(self._data)} bytes, {size} more were due at {self._at}")
        self._at += size
        return self._data[self._at - size : self._at]

    def word(self) -> int:
        """One unsigned word."""
        return int.from_bytes(self.fixed(4), "big")

    def flag(self) -> bool:
        """A bool, 0 or 1."""
        value = self.word()
        if value > 1:
            raise Malformed(f"a bool of {value}")
        return bool(value)

    def opaque(self, most: int) -> bytes:
        """Opaque data or a string of at most `most` bytes, zero padding checked."""
        size = self.word()
        if size > most:
            raise Malformed(f"{size} bytes where at most {most} are allowed")
        data = self.fixed(size + -size % 4)
        if any(data[size:]):
            raise Malformed("padding that is not zero")
        return data[:size]

    def end(self) -> Self:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise Malformed(f"{len(self._data) - self._at} bytes behind the end of the result")
        return self


class Attributes(NamedTuple):
    """The 17 words of fattr (RFC 1094 §2.3.5), times as (seconds, microseconds)."""

    type: int
    mode: int
    nlink: int
    uid: int
    gid: int
    size: int
    blocksize: int
    rdev: int
    blocks: int
    fsid: int
    fileid: int
    atime: tuple[int, int]
    mtime: tuple[int, int]
    ctime: tuple[int, int]


def attributes(reader: Reader) -> Attributes:
    """Read an fattr. Raises `Malformed` for a type that does not exist and for microseconds that are none."""
    plain = [reader.word() for _ in range(11)]
    if plain[0] > 8:
        raise Malformed(f"ftype {plain[0]}")
    times = [(reader.word(), reader.word()) for _ in range(3)]
    if any(useconds >= 1_000_000 for _, useconds in times):
        raise Malformed(f"useconds over 999999 in {times}")
    return Attributes._make([*plain, *times])


def sattr(
    mode: int = UNSET, uid: int = UNSET, gid: int = UNSET, size: int = UNSET, *,
    atime: tuple[int, int] = (UNSET, UNSET), mtime: tuple[int, int] = (UNSET, UNSET),
) -> bytes:  # fmt: skip
    """The eight words of sattr (RFC 1094 §2.3.6)."""
    return w(mode, uid, gid, size, *atime, *mtime)
