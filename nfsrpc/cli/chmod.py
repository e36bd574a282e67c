"""``nfsrpc chmod``: permissions of remote files."""

import stat

import click

from nfsrpc.client.copying import RemoteEnd
from nfsrpc.client.modes import BadMode, parse_mode
from nfsrpc.client.trees import below

from .places import each


@click.command()
@click.argument("mode")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-R", "--recursive", is_flag=True, help="And everything in directories; links are left alone.")
def chmod(mode: str, urls: tuple[str, ...], recursive: bool) -> None:
    """Change permissions of remote files: nfsrpc chmod 644|u+x|go-rwx nfs://HOST[:PORT]/PATH..."""
    try:
        change = parse_mode(mode)
    except BadMode as wrong:
        raise click.UsageError(str(wrong)) from None

    def apply(end: RemoteEnd) -> None:
        paths = below(end.mount, end.path) if recursive else [(end.path, end.mount.stat(end.path))]
        for path, status in paths:
            if not stat.S_ISLNK(status.st_mode):
                bits = change(stat.S_IMODE(status.st_mode), stat.S_ISDIR(status.st_mode))
                end.mount.chmod(path, bits)

    each(urls, apply)
