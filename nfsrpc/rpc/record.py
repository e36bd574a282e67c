"""Record marking over a byte stream (RFC 5531 §11), as a state machine without a socket."""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .errors import RecordError

_MARK: Final = Struct(">I")
_LAST: Final = 0x8000_0000
_SIZE: Final = 0x7FFF_FFFF


class RecordReader:
    """Cuts a stream into records. Memory held never exceeds `limits.message` plus one `feed`.

    Fragments may be empty (RFC 5531 does not forbid it) but count towards
    `limits.fragments`. A record over either cap raises `RecordError` as soon
    as its mark has been seen, before its bytes are awaited.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._stream = bytearray()
        self._fragments: list[bytes] = []
        self._size = 0
        self._broken: RecordError | None = None

    @property
    def pending(self) -> int:
        """Bytes held of a record that is not complete yet; 0 between records."""
        return len(self._stream) + self._size + len(self._fragments)

    @property
    def broken(self) -> bool:
        """Whether the stream has broken the rules, so that nothing more can come of it."""
        return self._broken is not None

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """Take the next bytes of the stream, return the records that they complete.

        Records that came before a broken one are returned; the error is raised
        by the next call (and ever after), so that nothing received is lost.
        """
        if self._broken is not None:
            raise self._broken
        records: list[bytes] = []
        try:
            at = self._cut(data, self._resume(data, records) if self._stream else 0, records)
            if at < len(data):
                self._stream += memoryview(data)[at:]
        except RecordError as broken:
            self._stream.clear()
            self._fragments.clear()
            self._size = 0
            if not records:
                raise
            self._broken = broken
        return records

    def _resume(self, data: bytes | memoryview, records: list[bytes]) -> int:
        """Go on with the fragment that an earlier feed began; how many bytes of `data` belong to it."""
        stream, at = self._stream, 0
        if len(stream) < 4:
            at = 4 - len(stream)
            stream += data[:at]
            if len(stream) < 4:
                return len(data)
        mark: int = _MARK.unpack_from(stream)[0]
        size: int = mark & _SIZE
        self._check(size)
        end = at + 4 + size - len(stream)
        if end > len(data):
            stream += memoryview(data)[at:]
            return len(data)
        fragment = b"".join((memoryview(stream)[4:], memoryview(data)[at:end]))
        stream.clear()
        self._take(fragment, mark, records)
        return end

    def _cut(self, data: bytes | memoryview, at: int, records: list[bytes]) -> int:
        """Take whole fragments out of `data` from `at` on; where the first one begins that is not whole."""
        end, most = len(data), self._limits.message
        while end - at >= 4:
            # Said to be numbers: so they are counted with in C where this is compiled.
            mark: int = _MARK.unpack_from(data, at)[0]
            size: int = mark & _SIZE
            if self._fragments or mark == size or size > most:
                self._check(size)
            next_at = at + 4 + size
            if next_at > end:
                break
            self._take(bytes(data[at + 4 : next_at]), mark, records)
            at = next_at
        return at

    def _take(self, fragment: bytes, mark: int, records: list[bytes]) -> None:
        if mark & _LAST and not self._fragments:
            records.append(fragment)
            return
        self._fragments.append(fragment)
        self._size += len(fragment)
        if mark & _LAST:
            records.append(b"".join(self._fragments))
            self._fragments.clear()
            self._size = 0

    def _check(self, size: int) -> None:
        if self._size + size > self._limits.message:
            self._broken = RecordError(
                f"a record of at least {self._size + size} bytes, over the cap of {self._limits.message}"
            )
        elif len(self._fragments) >= self._limits.fragments:
            self._broken = RecordError(f"a record of more than {self._limits.fragments} fragments")
        if self._broken is not None:
            raise self._broken


def frame(parts: list[bytes]) -> list[bytes]:
    """One record, as one fragment: `parts` with a mark in front. Nothing is copied."""
    return [_MARK.pack(_LAST | length(parts)), *parts]


def length(parts: Sequence[bytes | memoryview]) -> int:
    """Bytes of all `parts` together."""
    size = 0
    for part in parts:
        size += len(part)
    return size


def framed(messages: list[bytes]) -> list[bytes]:
    """A record for each of `messages`, one behind the other: each in one piece with a mark in front."""
    parts: list[bytes] = []
    for message in messages:
        parts += (_MARK.pack(_LAST | len(message)), message)
    return parts
