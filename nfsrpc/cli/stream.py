"""Contents of remote files through pipes."""

import os
import sys
from typing import BinaryIO

from nfsrpc.client.copying import RemoteEnd

from .errors import Failure, printable_name
from .output import progress

_BLOCK = 1 << 18


def receive(end: RemoteEnd, sink: BinaryIO, name: str) -> None:
    """Write a remote file's contents into `sink`, which is called `name`."""
    with end.mount.open(end.path, "rb", 0) as file, progress(printable_name(end.name), file.stat().st_size) as advance:
        while data := file.read(_BLOCK):
            _write(sink, data, name)
            advance(len(data))
    _write(sink, b"", name)


def _write(sink: BinaryIO, data: bytes, name: str) -> None:
    try:
        sink.write(data)
        sink.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        raise Failure(f"{name}: {error.strerror}") from error


def send(source: BinaryIO, name: str, end: RemoteEnd, permissions: int) -> None:
    """Write everything that `source`, which is called `name`, gives into a remote file."""
    with progress(name, None) as advance, end.mount.open(end.path, "wb", 0, permissions=permissions) as file:
        while True:
            try:
                data = source.read(_BLOCK)
            except OSError as error:
                raise Failure(f"{name}: {error.strerror}") from error
            if not data:
                return
            file.write(data)
            advance(len(data))
