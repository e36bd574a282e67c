"""Capture files, frame by frame: pcap (micro- and nanoseconds, either byte order) and pcapng.

A reader in plain structs, because a million packets are to be read in seconds: scapy's readers build a
packet object for each one. One frame is held at a time.
"""

import io
from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO, NamedTuple

LARGEST_FRAME = 1 << 18
"""Bytes: the largest snapshot length that tcpdump and Wireshark write. Anything longer is a damaged file."""
LARGEST_BLOCK = 16 << 20
"""Bytes of a pcapng block: those that hold no packets (comments, name tables, keys) are skipped whole."""

_PCAP_MAGIC = {
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}
_SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_IF_TSRESOL = 9
_SECOND = 1_000_000_000


class CaptureError(ValueError):
    """The file is not a capture, or is damaged."""


class Frame(NamedTuple):
    """One captured packet: nanoseconds since 1970, the link type of its first byte (pcap's LINKTYPE numbers), bytes."""

    time: int
    link: int
    data: bytes


class CaptureReader:
    """The frames of a capture stream.

    `position` is how far the file has been read, in bytes; `cut` whether it ended inside a frame.

    Raises `CaptureError` at once for what is no capture, and while iterating where the file is damaged.
    """

    def __init__(self, stream: BinaryIO) -> None:
        # Frames are small: without a large buffer most of the time would go into the read calls.
        self._stream = io.BufferedReader(stream, 1 << 20) if isinstance(stream, io.RawIOBase) else stream
        self.position = 0
        self.cut = False
        magic = self._read(4)
        if magic in _PCAP_MAGIC:
            self._frames = self._pcap(*_PCAP_MAGIC[magic])
        elif magic == _SECTION_MAGIC:
            self._frames = _PcapNg(self).frames()
        else:
            raise CaptureError("not a capture: neither pcap nor pcapng")

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.position += len(data)
        return data

    def read_whole(self, size: int) -> bytes | None:
        """The next `size` bytes; None, and `cut` set, where the file ends before them."""
        data = self._read(size)
        if len(data) == size:
            return data
        self.cut = self.cut or bool(data)
        return None

    def _pcap(self, order: str, unit: int) -> Iterator[Frame]:
        header = self.read_whole(20)
        if header is None:
            self.cut = True
            return
        *_, link = Struct(order + "HHiIII").unpack(header)
        link &= 0xFFFF
        record = Struct(order + "4I")
        while (head := self.read_whole(16)) is not None:
            seconds, fraction, size, _ = record.unpack(head)
            if size > LARGEST_FRAME:
                raise CaptureError(f"a packet of {size} bytes at byte {self.position - 16} of the file")
            data = self.read_whole(size)
            if data is None:
                self.cut = True
                return
            yield Frame(seconds * _SECOND + fraction * unit, link, data)


class _PcapNg:
    """Blocks of a pcapng file; interfaces are counted anew in each section."""

    def __init__(self, reader: CaptureReader) -> None:
        self._reader = reader
        self._order = ">"
        self._interfaces: list[tuple[int, int, bool]] = []

    def frames(self) -> Iterator[Frame]:
        if not self._section():
            return
        while (head := self._reader.read_whole(8)) is not None:
            if head[:4] == _SECTION_MAGIC:
                if not self._section(head[4:]):
                    return
                continue
            kind, size = Struct(self._order + "2I").unpack(head)
            body = self._body(size)
            if body is None:
                return
            if kind == _INTERFACE:
                self._interfaces.append(self._interface(body))
            elif kind in (_PACKET, _OLD_PACKET):
                if (frame := self._packet(kind, body)) is not None:
                    yield frame
            elif kind == _SIMPLE and self._interfaces and len(body) >= 4:
                (length,) = Struct(self._order + "I").unpack_from(body)
                yield Frame(0, self._interfaces[0][0], body[4 : 4 + min(length, len(body) - 4)])

    def _section(self, length: bytes | None = None) -> bool:
        """Read the rest of a section header, whose length is told in the order that it announces itself."""
        if length is None:
            length = self._reader.read_whole(4) or b""
        magic = self._reader.read_whole(4)
        if magic is None or len(length) < 4:
            self._reader.cut = True
            return False
        orders = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
        if magic not in orders:
            raise CaptureError(f"a section header without its mark at byte {self._reader.position - 4} of the file")
        self._order = orders[magic]
        self._interfaces = []
        (size,) = Struct(self._order + "I").unpack(length)
        return self._body(size - 4) is not None

    def _body(self, size: int) -> bytes | None:
        """What a block of `size` bytes in all has left behind its first eight, its trailing length dropped."""
        if not 12 <= size <= LARGEST_BLOCK or size % 4:
            raise CaptureError(f"a block of {size} bytes at byte {self._reader.position} of the file")
        body = self._reader.read_whole(size - 8)
        if body is None:
            self._reader.cut = True
            return None
        return body[:-4]

    def _interface(self, body: bytes) -> tuple[int, int, bool]:
        """Link type, and the resolution of time stamps: ticks a second as a power of ten, or of two."""
        if len(body) < 8:
            raise CaptureError(f"an interface block of {len(body)} bytes before byte {self._reader.position}")
        (link,) = Struct(self._order + "H").unpack_from(body)
        option = Struct(self._order + "2H")
        at, resolution = 8, 6
        while at + 4 <= len(body):
            code, length = option.unpack_from(body, at)
            if code == 0:
                break
            if code == _IF_TSRESOL and length >= 1 and at + 4 < len(body):
                resolution = body[at + 4]
            at += 4 + length + (-length & 3)
        return link, resolution & 0x7F, bool(resolution & 0x80)

    def _packet(self, kind: int, body: bytes) -> Frame | None:
        layout = Struct(self._order + ("5I" if kind == _PACKET else "2H4I"))
        if len(body) < layout.size:
            raise CaptureError(f"a packet block of {len(body)} bytes before byte {self._reader.position} of the file")
        fields = layout.unpack_from(body)
        interface, (high, low, size) = fields[0], fields[-4:-1]
        if interface >= len(self._interfaces) or size > len(body) - layout.size:
            raise CaptureError(f"a packet block that lies about itself before byte {self._reader.position} of the file")
        link, power, binary = self._interfaces[interface]
        ticks = high << 32 | low
        time = ticks * _SECOND >> power if binary else ticks * _SECOND // 10**power
        return Frame(time, link, body[layout.size : layout.size + size])


class CaptureWriter:
    """Writes frames of one link type as a pcap file with nanoseconds."""

    def __init__(self, stream: BinaryIO, link: int) -> None:
        self._stream = stream
        stream.write(b"\xa1\xb2\x3c\x4d" + Struct(">HHiIII").pack(2, 4, 0, 0, LARGEST_FRAME, link))

    def write(self, time: int, data: bytes) -> None:
        """Append one frame; `time` in nanoseconds since 1970."""
        self._stream.write(Struct(">4I").pack(time // _SECOND, time % _SECOND, len(data), len(data)) + data)
