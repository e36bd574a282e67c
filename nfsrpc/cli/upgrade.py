"""`nfsrpc upgrade`."""

import click

from nfsrpc.store.volume.superblock import FORMAT
from nfsrpc.store.volume.upgrade import upgrade_volume

from .volumes import volume_failures


@click.command()
@click.argument("path", type=click.Path())
def upgrade(path: str) -> None:
    """Bring the volume PATH, made by an older nfsrpc, to the format of this one.

    Stop its server first. It takes a moment however large the volume is, and
    may be broken off and started again. File handles stay valid. Older
    versions of nfsrpc cannot use the volume any more: keep a copy if you may
    want to go back.
    """
    with volume_failures(path):
        before = upgrade_volume(path)
    if before == FORMAT:
        click.echo(f"{path}: format {FORMAT} already")
    else:
        click.echo(f"{path}: upgraded from format {before} to format {FORMAT}")
