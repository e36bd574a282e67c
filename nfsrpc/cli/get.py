"""``nfsrpc get``: remote files to here."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from nfsrpc.client.copying import LocalEnd

from .errors import Failure
from .places import each, ends, is_url
from .stream import receive
from .transfer import copy_options, transfer


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL... [FILE|DIRECTORY|-]")
@copy_options
def get(urls: tuple[str, ...], **options: Any) -> None:
    """Copy remote files to here: nfsrpc get nfs://HOST[:PORT]/PATH [FILE|DIRECTORY|-]

    Without a target into the working directory, with - to standard output. A file of that name is replaced when
    all of the new one is there, not before. A copy that was interrupted goes on where it stopped
    when the same command is given again; with -r, files that are there already are not copied again.

    \b
    nfsrpc get nfs://sun/home/me/letter
    nfsrpc get -r nfs://sun/home/me .                 a tree, with modes, times and links
    nfsrpc get 'nfs://sun/home/me/*.c' src            quoted, so that the server's names match
    nfsrpc get nfs://sun/home/me/log - | grep error
    """
    *sources, target = urls if len(urls) > 1 and not is_url(urls[-1]) else (*urls, ".")
    if not all(map(is_url, sources)):
        raise click.UsageError("what is copied must be a URL (nfs://...); `nfsrpc put` copies to a server")
    path = Path(target)
    if target == "-":
        each(sources, lambda end: receive(end, sys.stdout.buffer, "standard output"))
        return
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        with _opened(path) as sink:
            each(sources, lambda end: receive(end, sink, target))
        return
    _check_names(sources, path)
    transfer(ends(sources), LocalEnd(path.resolve() if os.path.isfile(path) else path), **options)


def _opened(path: Path) -> Any:
    try:
        return path.open("wb")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error


def _check_names(sources: list[str], target: Path) -> None:
    inside = os.path.isdir(target)
    directory = target if inside else target.absolute().parent
    if not os.path.isdir(directory):
        raise Failure(f"{target}: No such file or directory; make the directory first: mkdir {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise Failure(f"{directory}: Permission denied: you may not write here; name another target")
    if not inside and len(sources) > 1:
        raise Failure(f"{target} is no directory, and cannot hold {len(sources)} files; make it first: mkdir {target}")
