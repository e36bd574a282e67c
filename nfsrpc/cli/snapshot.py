"""`nfsrpc snapshot`."""

import click

from nfsrpc.store.volume.snapshot import Snapshot

from .output import progress
from .volumes import volume_failures


@click.command()
@click.argument("path", type=click.Path())
@click.argument("new", type=click.Path())
def snapshot(path: str, new: str) -> None:
    """Copy the volume PATH, as it is at one instant, to the directory NEW, which must be empty or not exist yet.

    Works while the volume is served; changes wait for a moment at the end. On
    the same disk, if its file system can (Btrfs, XFS), no space is taken until
    one of the two is changed. Holes stay holes.

    NEW is a volume of its own, with its own fsid and key: it can be served
    beside PATH, and file handles of PATH are stale there. Its format is that of
    PATH, its quotas and size are kept.

    \b
    nfsrpc snapshot /srv/vol /backup/vol-monday
    """
    with volume_failures(path):
        making = Snapshot(path, new)
    with volume_failures(new), progress(f"{path} -> {new}", making.size) as advance:
        superblock = making.make(advance)
    click.echo(f"{new}: a snapshot of {path}, fsid {superblock.fsid:08x}")
