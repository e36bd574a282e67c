"""tools/bench client: the client library beside a C program that makes the same calls, and beside a local file system.

    tools/bench client                           1 GiB each way, over TCP and UDP, 3 rounds
    tools/bench client --size 64 --rounds 5      64 MiB
    tools/bench client --json figures.json

The C program (transfer.c) reads or writes one file from one end to the other with
as many calls in flight as the library has; it and the library take turns, each
alone on a connection of its own. Then warm `stat` and `listdir` of the mount are
timed beside `os.stat` and `os.listdir` of a directory of as many names. Shown are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import peers
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from nfsrpc.client import Mount, mount, parse_url  # noqa: E402
from nfsrpc.client.site import attach  # noqa: E402
from nfsrpc.client.wire import WINDOW  # noqa: E402

MIB = 1 << 20
NAMES = 1000
CALLS = 20_000


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench client", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--size", type=int, default=1024, help="MiB of the file (default: %(default)s)")
    add("--rounds", type=int, default=3, help="(default: %(default)s)")
    add("--transports", default="tcp,udp", help="(default: %(default)s)")
    add("--directory", default="/var/tmp", help="on the file system to measure (default: %(default)s)")
    add("--json", metavar="FILE", help="write the figures there as well")
    return parser.parse_args(argv)


def by_c(program: Path, peer: peers.Peer, proto: str, way: str, size: int) -> float:
    """Seconds that the C program takes."""
    url = parse_url(f"nfs://127.0.0.1:{peer.port}{peer.export}?uid=0&gid=0")
    with attach(url) as attached:
        handle = attached.nfs.lookup(attached.root, b"file")[0].hex()
    command = [str(program), way, proto, str(peer.port), handle, str(size), str(WINDOW)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[0])


def by_library(m: Mount, way: str, size: int, block: bytes) -> float:
    """Seconds that the library takes."""
    begun = time.perf_counter()
    if way == "write":
        with m.open("file", "r+b", 0) as file:
            for _ in range(0, size, len(block)):
                file.write(block)
    else:
        room, total = bytearray(len(block)), 0
        with m.open("file", "rb", 0) as file:
            while count := file.readinto(room):
                total += count
        assert total == size
    return time.perf_counter() - begun


def transfers(o: argparse.Namespace, program: Path, peer: peers.Peer) -> list[dict[str, Any]]:
    size, block, lines = o.size * MIB, os.urandom(MIB), []
    for proto in o.transports.split(","):
        url = f"nfs://127.0.0.1:{peer.port}{peer.export}?uid=0&gid=0&proto={proto}"
        for way in ("write", "read"):
            seconds: dict[str, list[float]] = {"c": [], "library": []}
            for _ in range(o.rounds):
                for who, samples in seconds.items():
                    with mount(url) as m:
                        if way == "write":
                            m.write_bytes("file", b"")
                    if who == "c":
                        samples.append(by_c(program, peer, proto, way, size))
                        continue
                    with mount(url) as m:
                        samples.append(by_library(m, way, size, block))
            c, library = (statistics.median(some) for some in seconds.values())
            lines.append({"what": f"{way} {proto}", "c": o.size / c, "library": o.size / library, "ratio": c / library})
    return lines


def timed(call: Callable[[], object], calls: int) -> float:
    """Microseconds of one call."""
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begun) / calls * 1e6


def warm(o: argparse.Namespace, directory: Path, peer: peers.Peer) -> list[dict[str, Any]]:
    local = directory / "local"
    local.mkdir()
    with mount(f"nfs://127.0.0.1:{peer.port}{peer.export}?uid=0&gid=0") as m:
        m.mkdir("names")
        for number in range(NAMES):
            m.mknod(f"names/file-{number}")
            (local / f"file-{number}").touch()
        top, file = str(local), str(local / "file-7")
        pairs: list[tuple[str, Callable[[], object], Callable[[], object], int]] = [
            ("stat", lambda: os.stat(file), lambda: m.stat("names/file-7"), CALLS),
            ("listdir", lambda: os.listdir(top), lambda: m.listdir("names"), CALLS // 20),
        ]
        lines = []
        for what, here, there, calls in pairs:
            there()
            samples = [(timed(here, calls), timed(there, calls)) for _ in range(o.rounds)]
            ours = statistics.median(there for _, there in samples)
            theirs = statistics.median(here for here, _ in samples)
            lines.append({"what": f"warm {what}", "os": theirs, "library": ours, "ratio": ours / theirs})
    return lines


def show(transferred: list[dict[str, Any]], cached: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="MiB/s; the ratio should be at least 0.8")
    for heading in ("", "C program", "nfsrpc.client", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    for line in transferred:
        table.add_row(line["what"], f"{line['c']:.0f}", f"{line['library']:.0f}", f"{line['ratio']:.2f}")
    console.print(table)
    table = Table(title="us a call; the ratio should be at most 3")
    for heading in ("", "os", "nfsrpc.client", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    for line in cached:
        table.add_row(line["what"], f"{line['os']:.2f}", f"{line['library']:.2f}", f"{line['ratio']:.2f}")
    console.print(table)


def main(argv: list[str]) -> int:
    o = parse(argv)
    program = measure.build("transfer")
    where = tempfile.TemporaryDirectory(prefix="nfsrpc-bench.", dir=o.directory)
    with where as name, peers.nfsrpc(Path(name), 1) as peer:
        transferred = transfers(o, program, peer)
        cached = warm(o, Path(name), peer)
    show(transferred, cached, Console())
    if o.json:
        Path(o.json).write_text(json.dumps({"transfers": transferred, "cached": cached}, indent=1) + "\n")
    return 0
