"""``nfsrpc put``: files from here to a server."""

import stat
import sys
from pathlib import Path
from typing import Any

import click

from nfsrpc.client.copying import End, LocalEnd, RemoteEnd
from nfsrpc.client.nfs2 import MAX_OFFSET
from nfsrpc.client.url import parse_url

from .errors import Failure
from .places import is_url, place
from .remote import failing_at
from .stream import send
from .transfer import copy_options, transfer


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|-...")
@click.argument("url")
@copy_options
def put(paths: tuple[str, ...], url: str, recursive: bool, **options: Any) -> None:
    """Copy files to a server: nfsrpc put FILE|- nfs://HOST[:PORT]/PATH

    A path that ends in / or is a directory gets a file of the same name in it; - reads
    standard input. A new file has the mode of the old one, an existing one keeps its own; with -r or -p the copies have
    the modes and times of their originals. When the command ends with status 0 everything is on the server's disk.
    A large file that was interrupted goes on where it stopped when the same command is given again.

    \b
    nfsrpc put letter nfs://sun/home/me/
    nfsrpc put -r src nfs://sun/home/me               a tree, with modes, times and links
    tar c . | nfsrpc put - nfs://sun/home/me/all.tar
    """
    with failing_at(url):
        parse_url(url)
    for path in paths:
        _check(path, recursive=recursive)
    slash = url.partition("?")[0].endswith("/")
    with place(url) as target:
        if slash and not target.is_directory():
            raise Failure(f"{url}: there is no such directory on the server; make it first: nfsrpc mkdir {url}")
        if len(paths) == 1 and not (recursive or Path(paths[0]).is_file()):
            _piped(paths[0], target)
            return
        sources: list[End] = [LocalEnd(path) for path in paths]
    transfer(sources, target, recursive=recursive, **options)


def _check(path: str, *, recursive: bool) -> None:
    """What is wrong here is said before anything is sent."""
    if is_url(path):
        raise click.UsageError("what is copied must be a local file; `nfsrpc cp` copies between URLs")
    if path == "-":
        return
    try:
        status = Path(path).stat()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode) and not recursive:
        raise Failure(f"{path}: Is a directory; -r copies it with what is in it")
    if stat.S_ISREG(status.st_mode) and status.st_size > MAX_OFFSET:
        raise Failure(f"{path}: {status.st_size} bytes; NFS version 2 ends at 4 GiB")


def _piped(path: str, target: RemoteEnd) -> None:
    """Standard input, a pipe or a device."""
    if path == "-":
        if target.is_directory():
            raise Failure(f"{target} is a directory: name the file that standard input shall become")
        send(sys.stdin.buffer, "standard input", target, 0o644)
        return
    end = target
    if target.is_directory():
        end = RemoteEnd(target.mount, f"{target.path}/{Path(path).name}", target.url)
    try:
        source = Path(path).open("rb")  # noqa: SIM115 - closed below; only opening it is this try's business
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    with source:
        send(source, path, end, stat.S_IMODE(Path(path).stat().st_mode) & 0o777)
