"""`nfsrpc mkfs`."""

import click

from nfsrpc.store.volume import make_volume
from nfsrpc.store.volume.quota import Limits

from . import amounts
from .errors import Failure


def _octal(text: str) -> int:
    mode = int(text, 8)
    if not 0 <= mode <= 0o7777:
        raise ValueError
    return mode


@click.command()
@click.argument("path", type=click.Path())
@click.option("--uid", type=click.IntRange(0, 2**32 - 2), help="Owner of the root directory; default: you.")
@click.option("--gid", type=click.IntRange(0, 2**32 - 2), help="Group of the root directory; default: yours.")
@click.option(
    "--mode", type=_octal, default="755", show_default=True, metavar="OCTAL", help="Permissions of the root directory."
)
@click.option(
    "--size", type=amounts.size, metavar="SIZE", help="How large it may become, as 20G; `nfsrpc resize` changes it."
)
@click.option("--files", type=amounts.count, metavar="N", help="How many files it may hold.")
def mkfs(path: str, uid: int | None, gid: int | None, mode: int, size: int | None, files: int | None) -> None:
    """Make an empty volume in the directory PATH, which must be empty or not exist yet.

    Needs no special rights. Files in a volume keep whatever owner a client
    gives them; nothing of it shows outside.

    \b
    nfsrpc mkfs /srv/vol
    nfsrpc mkfs /srv/scratch --mode 1777        everybody may make files
    nfsrpc mkfs /srv/vol --size 20G
    """
    try:
        make_volume(path, uid=uid, gid=gid, mode=mode, size=Limits(size, files))
    except FileNotFoundError:
        raise Failure(f"{path}: no such directory to make it in; make its parent first") from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
