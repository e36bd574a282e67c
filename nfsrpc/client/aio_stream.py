"""An open remote file for asyncio: the twin of `stream`, with the layers of `io` that it needs of its own."""

import codecs
import io
import os
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from .opened import Files, Opened
from .stream import BUFFER

Data = TypeVar("Data", str, bytes)
Run = Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]


class AsyncRemoteFile:
    """An open remote file, binary and unbuffered; methods as of `nfsrpc.client.RemoteFile`, awaited.

    An asynchronous context manager. Several tasks may use `pread` and `pwrite` at once.
    """

    def __init__(self, run: Run, files: Files, opened: Opened, name: str | bytes, mode: str) -> None:
        self._run = run
        self._files = files
        self._opened = opened
        self._position = 0
        self.name = name
        self.mode = mode

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._opened.closed

    async def pread(self, size: int, offset: int) -> bytes:
        """At most `size` bytes at `offset`; fewer only at the end of the file."""
        self._check(self._opened.mode.readable, "not readable")
        data = bytearray(max(0, min(size, self._opened.contents.size - offset)))
        count = await self._run(self._files.read_into(self._opened, memoryview(data), offset)) if data else 0
        return bytes(data[:count])

    async def pwrite(self, data: bytes, offset: int) -> int:
        """Write all of `data` at `offset`."""
        self._check(self._opened.mode.writable, "not writable")
        await self._run(
            self._files.write(self._opened, memoryview(data).cast("B"), None if self._opened.mode.append else offset)
        )
        return len(data)

    async def read(self, size: int = -1) -> bytes:
        """At most `size` bytes from the position on, or all there are."""
        blocks: list[bytes] = []
        left = size
        while left:
            block = await self.pread(BUFFER if left < 0 else min(left, BUFFER), self._position)
            self._position += len(block)
            if not block:
                break
            blocks.append(block)
            left -= len(block) if left > 0 else 0
        return b"".join(blocks)

    async def write(self, data: bytes) -> int:
        """Write all of `data` at the position, or, opened for appending, at the end."""
        self._check(self._opened.mode.writable, "not writable")
        offset = None if self._opened.mode.append else self._position
        self._position = await self._run(self._files.write(self._opened, memoryview(data).cast("B"), offset))
        return len(data)

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, return it."""
        self._check(True, "")
        if whence == os.SEEK_SET:
            place = offset
        elif whence == os.SEEK_CUR:
            place = self._position + offset
        elif whence == os.SEEK_END:
            place = (await self.stat()).st_size + offset
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

    async def truncate(self, size: int | None = None) -> int:
        """Make the file `size` bytes long, or end it at the position."""
        self._check(self._opened.mode.writable, "not writable")
        end = self._position if size is None else size
        if end < 0:
            raise OSError(22, "a size cannot be negative")
        await self._run(self._files.truncate(self._opened, end))
        return end

    async def fsync(self) -> None:
        """Wait until everything that was written is on the server's stable storage; raises what went wrong."""
        self._check(True, "")
        await self._run(self._files.sync(self._opened))

    async def stat(self) -> os.stat_result:
        """Status, as of `os.fstat`."""
        self._check(True, "")
        return cast(os.stat_result, await self._run(self._files.status(self._opened)))

    async def close(self) -> None:
        """Wait until everything is on the server, and close; raises what went wrong, but is closed then too."""
        await self._run(self._files.close(self._opened))

    def _check(self, permitted: bool, words: str) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not permitted:
            raise io.UnsupportedOperation(words)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncFile(Generic[Data]):
    """An open remote file, buffered, of text or bytes: ``read readline write seek tell flush close`` are awaited.

    ``async for`` yields lines. Made by `AsyncMount.open`; `raw` is the `AsyncRemoteFile` below it. In a text file
    `seek` goes to 0, to the end, or to what `tell` has returned, as everywhere.
    """

    def __init__(
        self, raw: AsyncRemoteFile, empty: Data, encoding: str = "utf-8", errors: str = "strict", newline: str | None
        = None
    ) -> None:
        self.raw = raw
        self._empty: Data = empty
        self._encoding = encoding
        self._errors = errors
        self._newline = newline
        self._unread: Data = empty
        self._unwritten: list[bytes] = []
        self._size = 0
        self._encoder = self._encoder_at(raw._position == 0)
        self._start_decoding()

    def _start_decoding(self) -> None:
        decoder: Any = codecs.getincrementaldecoder(self._encoding)(self._errors)
        if self._newline is None or self._newline == "":
            decoder = io.IncrementalNewlineDecoder(decoder, translate=self._newline is None)
        self._decoder = decoder

    def _encoder_at(self, start: bool) -> codecs.IncrementalEncoder:
        """An encoder for the start of a file, or for further on, where no byte order mark belongs."""
        encoder = codecs.getincrementalencoder(self._encoding)(self._errors)
        if not start:
            encoder.encode("")
        return encoder

    def _decoded(self, data: bytes) -> Data:
        decoded: Any = self._decoder.decode(data, final=not data) if isinstance(self._empty, str) else data
        return cast(Data, decoded)

    def _encoded(self, data: Data, encoder: codecs.IncrementalEncoder) -> bytes:
        if not isinstance(data, str):
            return bytes(data)
        newline = os.linesep if self._newline is None else self._newline
        return encoder.encode(data.replace("\n", newline) if newline not in ("", "\n") else data)

    async def read(self, size: int = -1) -> Data:
        """At most `size` characters or bytes, or all there are."""
        await self.flush()
        pieces, held = [self._unread], len(self._unread)
        while size < 0 or held < size:
            block = await self.raw.pread(BUFFER, self.raw._position)
            self.raw._position += len(block)
            piece = self._decoded(block)
            pieces.append(piece)
            held += len(piece)
            if not block:
                break
        data = self._empty.join(pieces)
        end = len(data) if size < 0 else size
        self._unread = data[end:]
        return data[:end]

    async def readline(self) -> Data:
        """The next line with its end; nothing at the end of the file."""
        await self.flush()
        end: Any = "\n" if isinstance(self._empty, str) else b"\n"
        while (at := self._unread.find(end)) < 0:
            block = await self.raw.pread(BUFFER, self.raw._position)
            self.raw._position += len(block)
            self._unread += self._decoded(block)
            if not block:
                at = len(self._unread) - 1
                break
        line, self._unread = self._unread[: at + 1], self._unread[at + 1 :]
        return line

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Data:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def write(self, data: Data) -> int:
        """Take all of `data`; it leaves when there is enough of it, or with `flush`."""
        await self._back_to_what_was_read()
        self.raw._check(self.raw._opened.mode.writable, "not writable")
        encoded = self._encoded(data, self._encoder)
        self._unwritten.append(encoded)
        self._size += len(encoded)
        if self._size >= BUFFER:
            await self.flush()
        return len(data)

    async def writelines(self, lines: Iterable[Data]) -> None:
        """Write each of `lines`."""
        for line in lines:
            await self.write(line)

    async def _back_to_what_was_read(self) -> None:
        """Put the position where the reader is: what was read ahead of it has not been read."""
        if self._unread:
            ahead = len(self._encoded(self._unread, self._encoder_at(False)))
            self._unread = self._empty
            await self.raw.seek(-ahead, os.SEEK_CUR)

    async def flush(self) -> None:
        """Hand what was written to the mount. `fsync` waits for the server."""
        if self._unwritten:
            data, self._unwritten, self._size = b"".join(self._unwritten), [], 0
            await self.raw.write(data)

    async def fsync(self) -> None:
        """Wait until everything that was written is on the server's stable storage."""
        await self.flush()
        await self.raw.fsync()

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, return it."""
        await self.flush()
        await self._back_to_what_was_read()
        self._start_decoding()
        place = await self.raw.seek(offset, whence)
        self._encoder = self._encoder_at(place == 0)
        return place

    async def tell(self) -> int:
        """The position."""
        await self.flush()
        await self._back_to_what_was_read()
        return self.raw.tell()

    async def truncate(self, size: int | None = None) -> int:
        """Make the file `size` bytes long, or end it at the position."""
        await self.tell()
        return await self.raw.truncate(size)

    async def close(self) -> None:
        """Wait until everything is on the server, and close; raises what went wrong, but is closed then too."""
        try:
            if not self.raw.closed:
                await self.flush()
        finally:
            await self.raw.close()

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self.raw.closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
