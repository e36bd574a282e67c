"""``nfsrpc cp``: copies between servers, or between here and a server."""

from typing import Any

import click

from .errors import Failure
from .places import end, ends, is_url
from .transfer import copy_options, transfer


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target", metavar="TARGET")
@copy_options
def cp(sources: tuple[str, ...], target: str, **options: Any) -> None:
    """Copy files; each of SOURCE and TARGET is a URL or a local path.

    The contents travel through this machine. As cp(1): into TARGET if it is a directory, else under its name.

    \b
    nfsrpc cp nfs://sun/home/a nfs://sun/home/b
    nfsrpc cp -r nfs://sun/home nfs://newserver/backup/
    """
    if not any(map(is_url, (*sources, target))):
        raise Failure("none of these is a URL (nfs://HOST/PATH); cp copies local files")
    slash = target.partition("?")[0].endswith("/")
    transfer(ends(sources), end(target), into_directory=slash, **options)
