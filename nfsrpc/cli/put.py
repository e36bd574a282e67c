"""``nfsrpc put``: one file from here to a server."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from nfsrpc.client.files import Files
from nfsrpc.client.nfs2 import MAX_OFFSET
from nfsrpc.client.site import attach
from nfsrpc.client.url import NfsUrl, parse_url

from .errors import Failure
from .output import progress
from .remote import failing_at

_BLOCK = 1 << 16


@click.command()
@click.argument("source", metavar="FILE|-")
@click.argument("url")
def put(source: str, url: str) -> None:
    """Copy a file to a server: nfsrpc put FILE|- nfs://HOST[:PORT]/PATH

    A path that ends in / or is a directory gets a file of the same name in it; - reads
    standard input. A new file has the mode of the old one, an existing one keeps
    its own. When the command ends with status 0 the file is on the server's disk.
    """
    with failing_at(url):
        place = parse_url(url)
        with _opened(source) as (data, mode, size), attach(place) as mounted:
            files = Files(mounted)
            path = _target(files, mounted.path, source, place, into_directory=url.partition("?")[0].endswith("/"))
            node = files.create(path, mode)
            with progress(source, size) as advance:
                files.write(node, _blocks(source, data), progress=advance)


@contextlib.contextmanager
def _opened(source: str) -> Iterator[tuple[BinaryIO, int, int | None]]:
    """The source, the mode of a new file, and the size if it is known."""
    if source == "-":
        yield sys.stdin.buffer, 0o644, None
        return
    try:
        data = Path(source).open("rb")  # noqa: SIM115 - closed below; only opening it is this try's business
    except OSError as error:
        raise Failure(f"{source}: {error.strerror}") from error
    with data:
        status = os.fstat(data.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size > MAX_OFFSET:
            raise Failure(f"{source}: {status.st_size} bytes; NFS version 2 ends at 4 GiB")
        yield data, stat.S_IMODE(status.st_mode) & 0o777, status.st_size if stat.S_ISREG(status.st_mode) else None


def _target(files: Files, path: bytes, source: str, place: NfsUrl, *, into_directory: bool) -> bytes:
    """Path of the new file under the export."""
    try:
        is_directory = stat.S_ISDIR(files.find(path).attributes.mode)
    except FileNotFoundError:
        is_directory = False
    if not is_directory:
        if into_directory:
            raise Failure(f"{place}: there is no such directory on the server")
        return path
    if source == "-":
        raise Failure(f"{place} is a directory: name the file that standard input shall become")
    return path + b"/" + os.fsencode(Path(source).name)


def _blocks(source: str, data: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            block = data.read(_BLOCK)
        except OSError as error:
            raise Failure(f"{source}: {error.strerror}") from error
        if not block:
            return
        yield block
