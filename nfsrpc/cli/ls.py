"""``nfsrpc ls``: directories and files of a server."""

import os
import stat
import time
from collections.abc import Iterator
from typing import Any

import click

from nfsrpc.client.blocking import Mount
from nfsrpc.client.copying import RemoteEnd
from nfsrpc.client.trees import below

from .errors import printable_name
from .output import aligned, human, print_json
from .places import each, is_pattern

_HALF_YEAR = 182 * 86400
Found = tuple[str, str, os.stat_result | None]
"""Path, name as shown, status; None for what has gone since its directory was read."""


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-l", "--long", is_flag=True, help="Mode, links, owner, group, size and time of each file.")
@click.option("-a", "--all", "everything", is_flag=True, help="Names that begin with a dot as well.")
@click.option("-R", "--recursive", is_flag=True, help="And what is in directories.")
@click.option("-h", "--human", "humanly", is_flag=True, help="Sizes as 1.2K, 3.4M.")
@click.option("-d", "--directory", "itself", is_flag=True, help="Directories themselves, not what is in them.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ls(
    urls: tuple[str, ...], long: bool, everything: bool, recursive: bool, humanly: bool, itself: bool, as_json: bool
) -> None:
    """List remote directories or files: nfsrpc ls nfs://HOST[:PORT]/PATH...

    Names are sorted by their bytes. Bytes that a terminal should not get are
    printed as escapes (\\xNN, \\\\ for a backslash).
    """
    documents: list[dict[str, Any]] = []
    several = len(urls) > 1 or recursive or any(map(is_pattern, urls))
    printed = 0
    files: list[tuple[Mount, Found]] = []

    def show_files() -> None:
        nonlocal printed
        if files:
            _print(files, long=long, humanly=humanly)
            files.clear()
            printed += 1

    def show(end: RemoteEnd) -> None:
        nonlocal printed
        for heading, found in _listings(end, everything=everything, recursive=recursive, long=long, itself=itself):
            if as_json:
                documents.extend(_described(end.mount, *line) for line in found)
                continue
            if heading is None:  # files are shown together, so that their columns are as wide
                files.extend((end.mount, line) for line in found)
                continue
            show_files()
            if several:
                click.echo(f"{chr(10) if printed else ''}{heading}:")
            _print([(end.mount, line) for line in found], long=long, humanly=humanly)
            printed += 1

    try:
        each(urls, show)
    finally:
        show_files()
    if as_json:
        print_json(documents)


def _listings(
    end: RemoteEnd, *, everything: bool, recursive: bool, long: bool, itself: bool
) -> Iterator[tuple[str | None, list[Found]]]:
    """Lists to print, each with its heading; None for a file."""
    mount = end.mount
    status = mount.stat(end.path, follow_symlinks=not long)
    if itself or not stat.S_ISDIR(status.st_mode):
        yield None, [(end.path, end.name.decode(errors="surrogateescape"), status)]
        return
    shown = end.url.partition("?")[0].rstrip("/")
    if not recursive:
        yield shown, _names(mount, end.path, everything, long)
        return
    for path, what in below(mount, end.path):
        if stat.S_ISDIR(what.st_mode):
            rest = path.removeprefix(end.path).strip("/")
            if everything or not any(name.startswith(".") for name in rest.split("/")):
                yield printable_name(os.fsencode(f"{shown}/{rest}".rstrip("/"))), _names(
                    mount, path, everything, long
                )


def _names(mount: Mount, path: str, everything: bool, long: bool) -> list[Found]:
    names = mount.listdir(path)
    if everything:
        names += [".", ".."]
    else:
        names = [name for name in names if not name.startswith(".")]
    names.sort(key=os.fsencode)
    paths = [f"{path}/{name}" if path else name for name in names]
    known = _statuses(mount, path) if long else {}
    return [(at, name, known.get(name)) for at, name in zip(paths, names, strict=True)]


def _statuses(mount: Mount, path: str) -> dict[str, os.stat_result]:
    """What is in a directory, asked for many at a time."""
    found = {".": mount.stat(path), "..": mount.stat(f"{path}/..")}
    for entry in mount.scandir(path):
        try:
            found[entry.name] = entry.stat(follow_symlinks=False)
        except OSError:
            continue
    return found


def _print(found: list[tuple[Mount, Found]], *, long: bool, humanly: bool) -> None:
    if not long:
        for _, (_, name, _) in found:
            click.echo(printable_name(os.fsencode(name)))
        return
    rows = [_row(_described(mount, *line), humanly) for mount, line in found]
    for line in aligned(rows, right=frozenset({1, 2, 3, 4})) if rows else ():
        click.echo(line)


def _described(mount: Mount, path: str, name: str, status: os.stat_result | None) -> dict[str, Any]:
    shown = printable_name(os.fsencode(name))
    if status is None:
        try:
            status = mount.lstat(path)
        except FileNotFoundError:
            return {"name": shown}
    line = {
        "name": shown,
        "mode": stat.filemode(status.st_mode),
        "nlink": status.st_nlink,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "size": status.st_size,
        "mtime": status.st_mtime,
        "fileid": status.st_ino,
    }
    if stat.S_ISLNK(status.st_mode):
        line["target"] = printable_name(os.fsencode(mount.readlink(path)))
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        line["rdev"] = f"{os.major(status.st_rdev)},{os.minor(status.st_rdev)}"
    return line


def _row(line: dict[str, Any], humanly: bool) -> tuple[str, ...]:
    name = f"{line['name']} -> {line['target']}" if "target" in line else line["name"]
    if "mode" not in line:
        return ("?", "?", "?", "?", "?", "?", name)
    size = human(line["size"]) if humanly else str(line["size"])
    numbers = (str(line["nlink"]), str(line["uid"]), str(line["gid"]), line.get("rdev", size))
    return (line["mode"], *numbers, date(line["mtime"]), name)


def date(seconds: float) -> str:
    """Day and time, or day and year for what is older than half a year or in the future: as ls(1) does."""
    when = time.localtime(seconds)
    recent = 0 <= time.time() - seconds < _HALF_YEAR
    return time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", when)
