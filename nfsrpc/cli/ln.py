"""``nfsrpc ln``: hard and symbolic links on a server."""

import click

from .errors import Failure
from .places import is_url, place


@click.command()
@click.argument("target")
@click.argument("url")
@click.option("-s", "--symbolic", is_flag=True, help="A symbolic link: TARGET is its text.")
@click.option("-f", "--force", is_flag=True, help="In the place of what has that name.")
def ln(target: str, url: str, symbolic: bool, force: bool) -> None:
    """Link on a server: nfsrpc ln nfs://HOST/OLD nfs://HOST/NEW, nfsrpc ln -s TEXT nfs://HOST/NEW

    Into URL, if that is a directory, under the target's last name.
    """
    if not symbolic and not is_url(target):
        raise click.UsageError("a hard link needs the URL of a file (nfs://...); -s makes a symbolic link of any text")
    with place(url) as to:
        path = to.path
        if to.is_directory():
            path = f"{path}/{target.partition('?')[0].rstrip('/').rpartition('/')[2]}"
        if force and to.mount.exists(path, follow_symlinks=False):
            to.mount.remove(path)
        if symbolic:
            to.mount.symlink(target, path)
            return
    with place(target) as source, place(url):
        if source.mount is not to.mount:
            raise Failure(f"{url}: another export; hard links stay in one, -s makes a symbolic one")
        to.mount.link(source.path, path, follow_symlinks=False)
