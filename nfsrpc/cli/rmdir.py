"""``nfsrpc rmdir``: removes empty remote directories."""

import click

from .places import each


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
def rmdir(urls: tuple[str, ...]) -> None:
    """Remove remote directories that are empty: nfsrpc rmdir nfs://HOST[:PORT]/PATH..."""
    each(urls, lambda end: end.mount.rmdir(end.path))
