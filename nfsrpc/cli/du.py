"""``nfsrpc du``: what takes the room."""

import os
import stat

import click

from nfsrpc.client.copying import RemoteEnd
from nfsrpc.client.trees import usage

from .errors import printable_name
from .output import human
from .places import each


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-s", "--summarize", is_flag=True, help="Only the sum of each URL.")
@click.option("-a", "--all", "everything", is_flag=True, help="Files as well as directories.")
@click.option("-b", "--bytes", "apparent", is_flag=True, help="Sizes in bytes instead of room taken in KiB.")
@click.option("-h", "--human", "humanly", is_flag=True, help="Sizes as 1.2K, 3.4M.")
def du(urls: tuple[str, ...], summarize: bool, everything: bool, apparent: bool, humanly: bool) -> None:
    """Show how much room directories take, with what is in them: nfsrpc du nfs://HOST[:PORT]/PATH...

    A file with several names counts once.
    """

    def show(end: RemoteEnd) -> None:
        base = end.url.partition("?")[0].rstrip("/")
        for path, status, size in usage(end.mount, end.path, apparent=apparent):
            if path != end.path and (summarize or not (everything or stat.S_ISDIR(status.st_mode))):
                continue
            shown = human(size) if humanly else str(size if apparent else -(-size // 1024))
            rest = path.removeprefix(end.path).strip("/")
            click.echo(f"{shown}\t{printable_name(os.fsencode(f'{base}/{rest}'.rstrip('/')))}")

    each(urls, show)
