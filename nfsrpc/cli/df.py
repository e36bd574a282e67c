"""``nfsrpc df``: room on servers."""

from typing import Any

import click

from nfsrpc.client.copying import RemoteEnd

from .output import human, print_json, print_table
from .places import each


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-h", "--human", "humanly", is_flag=True, help="Sizes as 1.2K, 3.4M.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, in bytes.")
def df(urls: tuple[str, ...], humanly: bool, as_json: bool) -> None:
    """Show the room on remote file systems: nfsrpc df nfs://HOST[:PORT]/PATH...

    In KiB, as df -k. Available is what you may still use.
    """
    found: list[dict[str, Any]] = []

    def look(end: RemoteEnd) -> None:
        space = end.mount.statvfs(end.path)
        size, free, available = (blocks * space.f_frsize for blocks in (space.f_blocks, space.f_bfree, space.f_bavail))
        found.append({"url": end.url, "size": size, "used": size - free, "available": available})

    each(urls, look)
    if as_json:
        print_json(found)
        return

    def shown(size: int) -> str:
        return human(size) if humanly else str(size // 1024)

    rows = []
    for line in found:
        taken = line["used"] + line["available"]
        percent = f"{-(-100 * line['used'] // taken)}%" if taken else "-"
        rows.append((*(shown(line[name]) for name in ("size", "used", "available")), percent, line["url"]))
    print_table(("SIZE", "USED", "AVAILABLE", "USE", "URL"), rows, right=frozenset(range(4)))
