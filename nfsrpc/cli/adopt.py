"""`nfsrpc adopt`."""

import click

from nfsrpc.store.volume.identity import adopt_volume

from .volumes import volume_failures


@click.command()
@click.argument("path", type=click.Path())
@click.option("--moved", is_flag=True, help="It was moved, and is the only one: file handles stay valid.")
def adopt(path: str, moved: bool) -> None:
    """Make the volume PATH, which was copied or restored from a backup, a volume of its own.

    It gets a new fsid and a new key, so that every file handle of the original
    is stale here: otherwise clients could be led to files that are not those
    they mean. They have to mount anew. `nfsrpc serve` refuses a copy until
    this has been done. What `nfsrpc snapshot` makes does not need it.
    """
    with volume_failures(path):
        superblock = adopt_volume(path, moved=moved)
    what = "stays the volume it was" if moved else "is a volume of its own"
    click.echo(f"{path}: {what}, fsid {superblock.fsid:08x}")
