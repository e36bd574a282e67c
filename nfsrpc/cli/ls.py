"""``nfsrpc ls``: a directory or file of a server."""

import stat
import time
from typing import Any

import click

from nfsrpc.client.files import Files, Node
from nfsrpc.client.site import attach
from nfsrpc.client.url import parse_url
from nfsrpc.protocols.nfs_prot import fattr

from .errors import printable_name
from .output import aligned, print_json
from .remote import failing_at

NO_DEVICE = 0xFFFF_FFFF
_HALF_YEAR = 182 * 86400


@click.command()
@click.argument("url")
@click.option("-l", "--long", is_flag=True, help="Mode, links, owner, group, size and time of each file.")
@click.option("-a", "--all", "everything", is_flag=True, help="Names that begin with a dot as well.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ls(url: str, long: bool, everything: bool, as_json: bool) -> None:
    """List a remote directory, or a single file: nfsrpc ls nfs://HOST[:PORT]/PATH

    Names are sorted by their bytes. Bytes that a terminal should not get are
    printed as escapes (\\xNN, \\\\ for a backslash).
    """
    with failing_at(url), attach(parse_url(url)) as mounted:
        files = Files(mounted)
        node = files.find(mounted.path, follow=not long)
        if stat.S_ISDIR(node.attributes.mode):
            names = _names(files, node, everything)
            single = False
        else:
            names, single = [mounted.path.rsplit(b"/", 1)[-1]], True
        if not long and not as_json:
            for name in names:
                click.echo(printable_name(name))
            return
        found = [(name, node if single else _child(files, node, name)) for name in names]
        lines = [_described(files, name, child) for name, child in found]
    if as_json:
        print_json(lines)
    else:
        _print_long(lines)


def _names(files: Files, directory: Node, everything: bool) -> list[bytes]:
    names = {entry.name for entry in files.entries(directory)}
    return sorted(names if everything else (name for name in names if not name.startswith(b".")))


def _child(files: Files, directory: Node, name: bytes) -> Node | None:
    """What `name` is; None if it has gone since the directory was read."""
    try:
        return files.child(directory, name)
    except FileNotFoundError:
        return None


def _described(files: Files, name: bytes, node: Node | None) -> dict[str, Any]:
    if node is None:
        return {"name": printable_name(name)}
    attributes = node.attributes
    line = {
        "name": printable_name(name),
        "mode": stat.filemode(_mode(attributes)),
        "nlink": attributes.nlink,
        "uid": attributes.uid,
        "gid": attributes.gid,
        "size": attributes.size,
        "mtime": _seconds(attributes),
        "fileid": attributes.fileid,
    }
    if stat.S_ISLNK(attributes.mode):
        line["target"] = printable_name(files.readlink(node))
    if stat.S_ISCHR(_mode(attributes)) or stat.S_ISBLK(attributes.mode):
        line["rdev"] = attributes.rdev
    return line


def _mode(attributes: fattr) -> int:
    """The mode with a pipe's type: version 2 has none and says character device -1 (as SunOS and Linux do)."""
    if stat.S_ISCHR(attributes.mode) and attributes.rdev == NO_DEVICE:
        return stat.S_IFIFO | stat.S_IMODE(attributes.mode)
    return attributes.mode


def _seconds(attributes: fattr) -> float:
    return float(attributes.mtime.seconds) + attributes.mtime.useconds / 1_000_000


def _print_long(lines: list[dict[str, Any]]) -> None:
    rows = [_row(line) for line in lines]
    for line in aligned(rows, right=frozenset({1, 2, 3, 4})) if rows else ():
        click.echo(line)


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    name = f"{line['name']} -> {line['target']}" if "target" in line else line["name"]
    if "mode" not in line:
        return ("?", "?", "?", "?", "?", "?", name)
    size = line["rdev"] if "rdev" in line else line["size"]
    numbers = (str(value) for value in (line["nlink"], line["uid"], line["gid"], size))
    return (line["mode"], *numbers, _date(line["mtime"]), name)


def _date(seconds: float) -> str:
    """Day and time, or day and year for what is older than half a year or in the future: as ls(1) does."""
    recent = 0 <= time.time() - seconds < _HALF_YEAR
    return time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", time.localtime(seconds))
