"""``nfsrpc get``: one remote file to here."""

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from nfsrpc.client.files import Files, Node
from nfsrpc.client.site import attach
from nfsrpc.client.url import parse_url

from .errors import Failure, printable_name
from .output import progress
from .remote import failing_at


@click.command()
@click.argument("url")
@click.argument("target", default=".", metavar="[FILE|DIRECTORY|-]")
def get(url: str, target: str) -> None:
    """Copy a remote file to here: nfsrpc get nfs://HOST[:PORT]/PATH [FILE|DIRECTORY|-]

    Without a second argument into the working directory, with - to standard output.
    A file of that name is replaced when all of the new one is there, not before.
    """
    with failing_at(url), attach(parse_url(url)) as mounted:
        files = Files(mounted)
        node = files.find(mounted.path)
        name = mounted.path.rsplit(b"/", 1)[-1]
        with _destination(target, name, node) as sink, progress(printable_name(name), node.attributes.size) as advance:
            for data in files.read(node):
                with _writing_to(target):
                    sink.write(data)
                advance(len(data))


@contextlib.contextmanager
def _writing_to(target: str) -> Iterator[None]:
    """Errors of this machine's own files are said with their own name, not the server's."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        raise Failure(f"{error.filename or target}: {error.strerror}") from error


@contextlib.contextmanager
def _destination(target: str, name: bytes, node: Node) -> Iterator[BinaryIO]:
    """What to write into: `name`, in a directory, is the URL's own last one, never one that the server has made up."""
    if target == "-":
        with _writing_to("standard output"):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    path = Path(target)
    if path.is_dir():
        if not name:
            raise Failure(f"{target} is a directory, and the URL names no file to call the copy by")
        path = path / os.fsdecode(name)
        if path.is_dir():
            raise Failure(f"{path} is a directory")
    with _writing_to(str(path)), _replacing(path, node) as sink:
        yield sink


@contextlib.contextmanager
def _replacing(path: Path, node: Node) -> Iterator[BinaryIO]:
    """The file at `path` as it will be: written beside it, renamed at the end. A device or pipe is written itself."""
    if path.exists() and not path.is_file():
        with path.open("wb") as sink:
            yield sink
        return
    path = path.resolve()
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:200]}.")
    try:
        with os.fdopen(descriptor, "wb") as sink:
            yield sink
        os.chmod(beside, stat.S_IMODE(node.attributes.mode) & 0o777 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
