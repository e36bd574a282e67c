"""`nfsrpc resize`."""

import click

from nfsrpc.store.volume.accounts import WHOLE
from nfsrpc.store.volume.quota import Limits, set_limits

from . import amounts
from .volumes import volume_failures


@click.command()
@click.argument("path", type=click.Path())
@click.argument("size", type=amounts.size, required=False)
@click.option("--files", type=amounts.count, metavar="N|none", help="How many files and directories it may hold.")
def resize(path: str, size: int | None, files: int | None) -> None:
    """Let the volume PATH grow to SIZE; `none`: as far as its disk reaches.

    Works while the volume is served, and holds at once. A volume cannot be
    made smaller than what is in it. Without SIZE, shows what it is.

    \b
    nfsrpc resize /srv/vol 20G
    nfsrpc resize /srv/vol none --files 1000000
    """
    with volume_failures(path):
        account = set_limits(path, WHOLE, Limits(size, files))
    if not (account.bytes_limit or account.inodes_limit):
        click.echo(f"{path}: as large as its disk")
        return
    limit = amounts.size_text(account.bytes_limit) if account.bytes_limit else "no limit"
    count = str(account.inodes_limit) if account.inodes_limit else "no limit"
    click.echo(f"{path}: {amounts.size_text(account.bytes_used)} of {limit}, {account.inodes_used} files of {count}")
