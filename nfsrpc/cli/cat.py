"""``nfsrpc cat``: contents of remote files."""

import sys

import click

from .places import each
from .stream import receive


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
def cat(urls: tuple[str, ...]) -> None:
    """Print remote files, one after the other: nfsrpc cat nfs://HOST[:PORT]/PATH..."""
    each(urls, lambda end: receive(end, sys.stdout.buffer, "standard output"))
