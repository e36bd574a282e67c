"""``nfsrpc touch``: times of remote files, and empty files."""

import click

from .places import place


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-c", "--no-create", is_flag=True, help="Make no file that is not there.")
def touch(urls: tuple[str, ...], no_create: bool) -> None:
    """Make empty files, or set the times of those that are there to now: nfsrpc touch nfs://HOST[:PORT]/PATH..."""
    for url in urls:
        with place(url) as end:
            if not no_create or end.mount.exists(end.path):
                end.mount.path(end.path).touch()
