"""``nfsrpc chown``: owners of remote files."""

import grp
import pwd

import click

from nfsrpc.client.copying import RemoteEnd
from nfsrpc.client.trees import below

from .places import each


@click.command()
@click.argument("owner", metavar="[OWNER][:GROUP]")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-R", "--recursive", is_flag=True, help="And everything in directories.")
def chown(owner: str, urls: tuple[str, ...], recursive: bool) -> None:
    """Change owner and group of remote files: nfsrpc chown 1000:100 nfs://HOST[:PORT]/PATH...

    Numbers are the server's; names are looked up on this machine. A link's own owner is changed.
    """
    user, _, group = owner.partition(":")
    uid = _number(user, lambda name: pwd.getpwnam(name).pw_uid)
    gid = _number(group, lambda name: grp.getgrnam(name).gr_gid)
    if (uid, gid) == (-1, -1):
        raise click.UsageError("give an owner, :GROUP, or both")

    def apply(end: RemoteEnd) -> None:
        paths = (path for path, _ in below(end.mount, end.path)) if recursive else [end.path]
        for path in paths:
            end.mount.chown(path, uid, gid, follow_symlinks=False)

    each(urls, apply)


def _number(text: str, look_up: object) -> int:
    if not text:
        return -1
    if text.isascii() and text.isdecimal():
        number = int(text)
        if number >= 2**32 - 1:
            raise click.UsageError(f"{text} is no uid or gid")
        return number
    try:
        return look_up(text)  # type: ignore[operator,no-any-return]
    except KeyError:
        raise click.UsageError(f"{text!r} is nobody known here; give a number") from None
