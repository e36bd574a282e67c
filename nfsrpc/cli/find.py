"""``nfsrpc find``: files of a server that pass tests."""

import os
import sys
import time

import click

from nfsrpc.client.copying import RemoteEnd
from nfsrpc.client.matching import BadTest, Test, by_age, by_kind, by_name, by_size
from nfsrpc.client.trees import MAX_DEPTH, below

from .errors import printable_name
from .places import each


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--name", metavar="PATTERN", help="The last name matches, as *.c does.")
@click.option("--iname", metavar="PATTERN", help="The same, capitals or not.")
@click.option("--type", "kind", metavar="f|d|l|...", help="Regular file, directory, link, pipe (p), device (c, b).")
@click.option("--size", metavar="[+-]N[k|M|G]", help="Exactly, more than, less than so many bytes, KiB...")
@click.option("--mtime", metavar="+N|-N[d|h|m]", help="Changed longer ago or more recently; days, hours, minutes.")
@click.option("--max-depth", default=MAX_DEPTH, type=click.IntRange(0, MAX_DEPTH), help="Directories deep at most.")
@click.option("-0", "--print0", "zero", is_flag=True, help="Raw names that end with NUL, for xargs -0.")
def find(
    urls: tuple[str, ...],
    name: str | None,
    iname: str | None,
    kind: str | None,
    size: str | None,
    mtime: str | None,
    max_depth: int,
    zero: bool,
) -> None:
    """Find remote files that pass all tests: nfsrpc find nfs://HOST[:PORT]/PATH... --name '*.c' --mtime -7d

    Prints paths that count from the URL; links are not followed.
    """
    try:
        tests: list[Test] = [
            *([by_name(name)] if name is not None else ()),
            *([by_name(iname, ignore_case=True)] if iname is not None else ()),
            *([by_kind(kind)] if kind is not None else ()),
            *([by_size(size)] if size is not None else ()),
            *([by_age(mtime, time.time())] if mtime is not None else ()),
        ]
    except BadTest as wrong:
        raise click.UsageError(str(wrong)) from None

    def look(end: RemoteEnd) -> None:
        for path, status in below(end.mount, end.path, max_depth):
            if all(test(path, status) for test in tests):
                _print(path.removeprefix(end.path).strip("/") or ".", zero)

    each(urls, look)


def _print(path: str, zero: bool) -> None:
    if zero:
        sys.stdout.buffer.write(os.fsencode(path) + b"\0")
    else:
        click.echo(printable_name(os.fsencode(path)))
