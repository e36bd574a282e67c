"""``nfsrpc mv``: renames on a server."""

import click

from nfsrpc.client.copying import RemoteEnd

from .errors import Failure
from .places import each, place


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="URL...")
@click.argument("target", metavar="TARGET")
@click.option("-n", "--no-clobber", is_flag=True, help="Do not replace what is there.")
def mv(sources: tuple[str, ...], target: str, no_clobber: bool) -> None:
    """Rename, or move into a directory, on one server: nfsrpc mv nfs://HOST/OLD nfs://HOST/NEW

    A file that has the new name is replaced. Between two exports nothing can be renamed: `nfsrpc cp -r` copies,
    `nfsrpc rm -r` removes.
    """
    with place(target) as to:
        inside = to.is_directory()
        if not inside and len(sources) > 1:
            raise Failure(f"{target} is no directory, and cannot hold {len(sources)} files")

    def move(end: RemoteEnd) -> None:
        if end.mount is not to.mount:
            raise Failure(f"{target}: another export; copy it with `nfsrpc cp -r`, then `nfsrpc rm -r` the old one")
        path = f"{to.path}/{end.name.decode(errors='surrogateescape')}" if inside else to.path
        if no_clobber and to.mount.exists(path, follow_symlinks=False):
            raise Failure(f"{target}: there is something of that name")
        to.mount.rename(end.path, path)

    each(sources, move)
