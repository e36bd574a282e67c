"""``nfsrpc rm``: removes remote files."""

import click

from nfsrpc.client.copying import RemoteEnd

from .errors import Failure
from .places import each
from .remote import failing_at


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories as well, with everything in them.")
@click.option("-f", "--force", is_flag=True, help="What is not there is no error.")
def rm(urls: tuple[str, ...], recursive: bool, force: bool) -> None:
    """Remove remote files: nfsrpc rm nfs://HOST[:PORT]/PATH...

    Links are removed, never followed.
    """

    def remove(end: RemoteEnd) -> None:
        mount = end.mount
        if force and not mount.exists(end.path, follow_symlinks=False):
            return
        if not mount.isdir(end.path) or mount.islink(end.path):
            mount.remove(end.path)
            return
        if not recursive:
            raise Failure(f"{end.url}: Is a directory; -r removes it with everything in it")
        if not end.path.strip("/"):
            raise Failure(f"{end.url}: that is the whole export; name what is in it")
        failures: list[OSError] = []
        mount.rmtree(end.path, onerror=failures.append)
        if failures:
            with failing_at(end.url):
                raise failures[0]

    each(urls, remove)
