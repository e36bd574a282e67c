"""``nfsrpc mkdir``: makes remote directories."""

import click

from nfsrpc.client.copying import RemoteEnd
from nfsrpc.client.modes import BadMode, parse_mode

from .places import place


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-p", "--parents", is_flag=True, help="Those above it too; one that is there is no error.")
@click.option("-m", "--mode", metavar="MODE", help="Permissions, as for chmod; default: 777 without the umask's bits.")
def mkdir(urls: tuple[str, ...], parents: bool, mode: str | None) -> None:
    """Make remote directories: nfsrpc mkdir nfs://HOST[:PORT]/PATH..."""
    try:
        change = None if mode is None else parse_mode(mode)
    except BadMode as wrong:
        raise click.UsageError(f"--mode: {wrong}") from None

    def make(end: RemoteEnd) -> None:
        if parents:
            end.mount.makedirs(end.path, exist_ok=True)
        else:
            end.mount.mkdir(end.path)
        if change is not None:
            end.mount.chmod(end.path, change(0o777, True))

    for url in urls:
        with place(url) as end:
            make(end)
