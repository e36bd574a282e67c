"""A tree of small files, copied by `nfsrpc put -r` and `get -r`, beside a client that makes one call after the other.

    tools/bench copy [--files 5000] [--rounds 3] [--directory /var/tmp]

The plain client makes the calls that a copy needs and no others: MKDIR and, for each file, CREATE, WRITE, SETATTR on
the way there; READDIR and, for each file, LOOKUP and READ on the way back. Both copy the same tree, in turns,
to and from one server of this project on a volume in --directory, over TCP. Shown are medians.
"""

from __future__ import annotations

import argparse
import os
import stat
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nfsrpc.client import parse_url
from nfsrpc.client.blocking import mount
from nfsrpc.client.copying import LocalEnd, Options, RemoteEnd, Silent, copy
from nfsrpc.client.nfs2 import Nfs2, attributes_to_set
from nfsrpc.client.site import attach
from nfsrpc.testing.served import Served

SIZE = 1000
PER_DIRECTORY = 100
Copier = Callable[[str, Path], None]


def make_tree(top: Path, files: int) -> None:
    """`files` files of some 1 000 bytes, a hundred to a directory."""
    for number in range(files):
        directory = top / f"d{number // PER_DIRECTORY:03}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number:05}").write_bytes(os.urandom(SIZE + number % 100))


def put_plainly(url: str, source: Path) -> None:
    """Call after call."""
    with attach(parse_url(url)) as site:
        _put(site.nfs, site.nfs.lookup(site.root, site.path)[0], source)


def _put(nfs: Nfs2, directory: bytes, source: Path) -> None:
    for path in sorted(source.iterdir()):
        status, name = path.lstat(), os.fsencode(path.name)
        if stat.S_ISDIR(status.st_mode):
            _put(nfs, nfs.mkdir(directory, name, attributes_to_set(mode=0o755))[0], path)
            continue
        handle, _ = nfs.create(directory, name, attributes_to_set(mode=0o600, size=0))
        nfs.write(handle, 0, path.read_bytes())
        times = (status.st_atime_ns // 10**9, 0), (status.st_mtime_ns // 10**9, 0)
        nfs.setattr(handle, attributes_to_set(mode=status.st_mode & 0o777, atime=times[0], mtime=times[1]))


def get_plainly(url: str, target: Path) -> None:
    """Call after call."""
    with attach(parse_url(url)) as site:
        _get(site.nfs, site.nfs.lookup(site.root, site.path)[0], target)


def _get(nfs: Nfs2, directory: bytes, target: Path) -> None:
    target.mkdir()
    for entry in [entry for entry in nfs.readdir(directory) if entry.name not in (b".", b"..")]:
        handle, attributes = nfs.lookup(directory, entry.name)
        path = target / os.fsdecode(entry.name)
        if stat.S_ISDIR(attributes.mode):
            _get(nfs, handle, path)
            continue
        data, _ = nfs.read(handle, 0, 8192)
        path.write_bytes(data)
        path.chmod(attributes.mode & 0o777)
        os.utime(path, (attributes.atime.seconds, attributes.mtime.seconds))


def put(url: str, source: Path) -> None:
    """As `nfsrpc put -r`."""
    with mount(url) as m:
        _run(LocalEnd(source), RemoteEnd(m, "tree", url))


def get(url: str, target: Path) -> None:
    """As `nfsrpc get -r`."""
    with mount(url) as m:
        _run(RemoteEnd(m, "tree", url), LocalEnd(target))


def _run(source: LocalEnd | RemoteEnd, target: LocalEnd | RemoteEnd) -> None:
    report = Silent()
    copy([source], target, report, Options(), recursive=True)
    assert not report.errors, report.errors[0]


def timed(work: Copier, url: str, path: Path) -> float:
    """Seconds."""
    begin = time.perf_counter()
    work(url, path)
    return time.perf_counter() - begin


def measure(files: int, rounds: int, directory: str) -> dict[str, tuple[float, float]]:
    """Seconds of the plain client and of ours, there ("put") and back ("get")."""
    found: dict[str, list[float]] = {name: [] for name in ("plain put", "put", "plain get", "get")}
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        top = Path(scratch)
        make_tree(top / "tree", files)
        (top / "server").mkdir()
        with Served(top / "server") as server:
            for number in range(rounds):
                ours, plain = f"/ours{number}", f"/plain{number}"
                with mount(server.url()) as m:
                    m.mkdir(ours)
                    m.makedirs(plain)
                found["plain put"].append(timed(put_plainly, server.url(plain), top / "tree"))
                found["put"].append(timed(put, server.url(ours), top / "tree"))
                found["plain get"].append(timed(get_plainly, server.url(plain), top / f"plain{number}"))
                found["get"].append(timed(get, server.url(ours), top / f"ours{number}"))
    medians = {name: statistics.median(times) for name, times in found.items()}
    return {way: (medians[f"plain {way}"], medians[way]) for way in ("put", "get")}


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="tools/bench copy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=5000, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--directory", default="/var/tmp", help="on the file system to measure (default: %(default)s)")
    options = parser.parse_args(argv)
    table = Table(f"{options.files} files of 1 KB", "call by call, s", "nfsrpc, s", "ratio", box=None)
    for way, (plain, ours) in measure(options.files, options.rounds, options.directory).items():
        table.add_row(f"{way} -r", f"{plain:.2f}", f"{ours:.2f}", f"{plain / ours:.1f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
