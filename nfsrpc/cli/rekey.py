"""`nfsrpc rekey`."""

import time

import click

from nfsrpc.store.volume.identity import rekey_volume

from . import amounts
from .volumes import volume_failures


@click.command()
@click.argument("path", type=click.Path())
@click.option("--accept-old", type=amounts.span, default="7d", show_default=True, metavar="TIME",
              help="How long handles under the present key stay good: 90s, 12h, 7d, 2w; 0 for not at all.")  # fmt: skip
def rekey(path: str, accept_old: int) -> None:
    """Give the volume PATH a new key to seal its file handles with.

    Handles under the present key are accepted for TIME, then they are stale:
    what clients have mounted until then has to be mounted anew. A server uses
    the new key once it is started or reloaded (SIGHUP).
    """
    with volume_failures(path):
        old = rekey_volume(path, accept_old * 10**9)
    click.echo(f"{path}: new key; servers take it when they are started or reloaded (SIGHUP)")
    for each in old:
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.until / 10**9))
        click.echo(f"{path}: an older key is good until {until}")
