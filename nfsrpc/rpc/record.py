"""Record marking over a byte stream (RFC 5531 §11), as a state machine without a socket."""

from struct import Struct

from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .errors import RecordError

_MARK = Struct(">I")
_LAST = 0x8000_0000


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
        if not self._stream and not self._fragments and (whole := self._sole_record(data)) is not None:
            return [whole]
        records: list[bytes] = []
        try:
            if self._stream:
                self._stream += data
                with memoryview(self._stream) as view:
                    at = self._cut(view, records)
                del self._stream[:at]
            else:
                # Cut where it lies: only what is left over is kept, and copied.
                at = self._cut(data, records)
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

    def _sole_record(self, data: bytes | memoryview) -> bytes | None:
        """The usual case: one whole record in one fragment in one piece."""
        if len(data) < 4:
            return None
        (mark,) = _MARK.unpack_from(data)
        size = mark & ~_LAST
        if mark == size or size != len(data) - 4 or size > self._limits.message:
            return None
        return bytes(data[4:])

    def _cut(self, stream: bytes | memoryview, records: list[bytes]) -> int:
        """Take whole fragments from the front of `stream`; where the first one begins that is not whole."""
        at, end = 0, len(stream)
        while end - at >= 4:
            (mark,) = _MARK.unpack_from(stream, at)
            size = mark & ~_LAST
            self._check(size)
            if end - at - 4 < size:
                break
            self._fragments.append(bytes(stream[at + 4 : at + 4 + size]))
            self._size += size
            at += 4 + size
            if mark & _LAST:
                records.append(b"".join(self._fragments))
                self._fragments.clear()
                self._size = 0
        return at

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
    return [_MARK.pack(_LAST | sum(map(len, parts))), *parts]
