"""``nfsrpc stat``: everything a server says of a file."""

import os
import stat as modes
import time
from typing import Any

import click

from nfsrpc.client.copying import RemoteEnd

from .errors import printable_name
from .output import print_json
from .places import each

_KINDS = {
    modes.S_IFREG: "regular file",
    modes.S_IFDIR: "directory",
    modes.S_IFLNK: "symbolic link",
    modes.S_IFIFO: "pipe",
    modes.S_IFCHR: "character device",
    modes.S_IFBLK: "block device",
    modes.S_IFSOCK: "socket",
}


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-L", "--dereference", is_flag=True, help="What a link leads to, instead of the link.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def stat(urls: tuple[str, ...], dereference: bool, as_json: bool) -> None:
    """Show everything a server says of files: nfsrpc stat nfs://HOST[:PORT]/PATH..."""
    documents: list[dict[str, Any]] = []

    def show(end: RemoteEnd) -> None:
        found = _described(end, end.mount.stat(end.path, follow_symlinks=dereference))
        documents.append(found)
        if as_json:
            return
        if len(documents) > 1:
            click.echo()
        for name, value in found.items():
            click.echo(f"{name:>7}: {value}")

    each(urls, show)
    if as_json:
        print_json(documents)


def _described(end: RemoteEnd, status: os.stat_result) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": printable_name(os.fsencode(end.url)),
        "kind": _KINDS.get(modes.S_IFMT(status.st_mode), "unknown"),
        "size": status.st_size,
        "blocks": status.st_blocks,
        "mode": f"{modes.S_IMODE(status.st_mode):04o} {modes.filemode(status.st_mode)}",
        "uid": status.st_uid,
        "gid": status.st_gid,
        "links": status.st_nlink,
        "fileid": status.st_ino,
        "fsid": status.st_dev,
    }
    if modes.S_ISCHR(status.st_mode) or modes.S_ISBLK(status.st_mode):
        found["device"] = f"{os.major(status.st_rdev)}, {os.minor(status.st_rdev)}"
    if modes.S_ISLNK(status.st_mode):
        found["target"] = printable_name(os.fsencode(end.mount.readlink(end.path)))
    for name, ns in (("access", status.st_atime_ns), ("modify", status.st_mtime_ns), ("change", status.st_ctime_ns)):
        seconds, rest = divmod(ns, 1_000_000_000)
        found[name] = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{rest // 1000:06d}"
    return found
