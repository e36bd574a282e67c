"""An open remote file as the `io` module wants it: the raw, unbuffered layer. `io`'s own classes do the rest."""

import io
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from .opened import Files, Opened

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview
BUFFER = 1 << 18
"""Bytes of the buffer of a buffered file."""


class Runner(Protocol):
    """What drives the core: `BlockingWire.run`."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T: ...


class RemoteFile(io.RawIOBase):
    """An open remote file. Besides what `io.RawIOBase` has: `pread`, `pwrite`, `fsync` and `stat`.

    Reads come from the cache, writes go behind: an error of a write is raised by a later write, by
    `fsync`, or by `close`. Any number of threads may use it; those that share the
    position should know what they do.
    """

    def __init__(self, run: Runner, files: Files, opened: Opened, name: str | bytes, mode: str) -> None:
        super().__init__()
        self._run = run
        self._files = files
        self._opened = opened
        self._position = 0
        self._moving = threading.Lock()
        self.name = name
        self.mode = mode

    # --- at a place, leaving the position alone

    def pread(self, size: int, offset: int) -> bytes:
        """At most `size` bytes at `offset`; fewer only at the end of the file."""
        self._check(self._opened.mode.readable, "not readable")
        size = max(0, min(size, self._opened.contents.size - offset))
        data = bytearray(size)
        count = self._run(self._files.read_into(self._opened, memoryview(data), offset)) if size else 0
        return bytes(data) if count == size else bytes(data[:count])

    def pwrite(self, data: Buffer, offset: int) -> int:
        """Write all of `data` at `offset`."""
        self._check(self._opened.mode.writable, "not writable")
        view = memoryview(data).cast("B")
        self._run(self._files.write(self._opened, view, None if self._opened.mode.append else offset))
        return len(view)

    # --- what io.RawIOBase is made of

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` from the position on."""
        self._check(self._opened.mode.readable, "not readable")
        with memoryview(buffer).cast("B") as view, self._moving:
            count = self._run(self._files.read_into(self._opened, view, self._position))
            self._position += count
        return count

    def readall(self) -> bytes:
        """Everything from the position to the end."""
        blocks: list[bytes] = []
        while True:
            size = max(BUFFER, min(self._opened.contents.size - self._position, 1 << 26))
            block = bytearray(size)
            count = self.readinto(block)
            if not count:
                return b"".join(blocks)
            with memoryview(block) as view:
                blocks.append(bytes(view[:count]))

    def write(self, data: Any, /) -> int:
        """Write all of `data` at the position, or, opened for appending, at the end."""
        self._check(self._opened.mode.writable, "not writable")
        with memoryview(data).cast("B") as view, self._moving:
            offset = None if self._opened.mode.append else self._position
            self._position = self._run(self._files.write(self._opened, view, offset))
            return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position, return it."""
        self._check(True, "")
        with self._moving:
            if whence == io.SEEK_SET:
                place = offset
            elif whence == io.SEEK_CUR:
                place = self._position + offset
            elif whence == io.SEEK_END:
                place = self._run(self._files.status(self._opened)).st_size + offset
            else:
                raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
            if place < 0:
                raise OSError(22, "a position cannot be negative")
            self._position = place
        return place

    def tell(self) -> int:
        """The position."""
        self._check(True, "")
        return self._position

    def truncate(self, size: int | None = None, /) -> int:
        """Make the file `size` bytes long, or end it at the position."""
        self._check(self._opened.mode.writable, "not writable")
        end = self._position if size is None else size
        if end < 0:
            raise OSError(22, "a size cannot be negative")
        self._run(self._files.truncate(self._opened, end))
        return end

    def fsync(self) -> None:
        """Wait until everything that was written is on the server's stable storage; raises what went wrong with it."""
        self._check(True, "")
        self._run(self._files.sync(self._opened))

    def stat(self) -> Any:
        """Status, an `os.stat_result`: as `os.fstat`."""
        self._check(True, "")
        return self._run(self._files.status(self._opened))

    def close(self) -> None:
        """Wait until everything is on the server, and close; raises what went wrong with it, but is closed then too."""
        if self.closed:
            return
        try:
            super().close()
        finally:
            self._run(self._files.close(self._opened))

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        self._check(True, "")
        return self._opened.mode.readable

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        self._check(True, "")
        return self._opened.mode.writable

    def seekable(self) -> bool:
        """True."""
        self._check(True, "")
        return True

    def _check(self, permitted: bool, words: str) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not permitted:
            raise io.UnsupportedOperation(words)

    def __repr__(self) -> str:
        return f"<RemoteFile {self.name!r} mode={self.mode!r}{' closed' if self.closed else ''}>"


def layered(
    raw: RemoteFile,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> Any:
    """`raw` with the layers of `io` on it that `mode` and `buffering` ask for, as the built-in `open` has them."""
    binary = "b" in mode
    if binary and (encoding is not None or errors is not None or newline is not None):
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    if not buffering:
        if not binary:
            raise ValueError("can't have unbuffered text I/O")
        return raw
    size = buffering if buffering > 1 else BUFFER
    layer: Callable[..., Any] = (
        io.BufferedRandom if "+" in mode else io.BufferedReader if raw.readable() else io.BufferedWriter
    )
    buffered = layer(raw, size)
    if binary:
        return buffered
    text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
    text.mode = mode  # type: ignore[misc]
    return text
