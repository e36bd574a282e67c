"""tools/bench growth: what a call costs the server, against everything that grows.

    tools/bench growth [--against "files in the volume; exports"] [--scale 1] [--rounds 3] [--json FILE]

The cost is processor time of all the server's processes for a call, in µs: it shows what the rate hides
while the machine has time to spare. For each point a server is started on volumes made for it.
--scale 0.01 takes all the large numbers a hundred times smaller.
"""

from __future__ import annotations

import argparse
import json
import stat
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import peers
from rich.console import Console
from rich.table import Table

from nfsrpc.store.held import hold
from nfsrpc.store.interface import Changes, Ufid

UNIT = 2000
CONNECTIONS, WINDOW = 4, 4


@dataclass(frozen=True)
class Quantity:
    """What grows: its values, the operations it is measured with, and how a server with one of them is made.

    `place`: makes the volumes in a directory and says which. `workers`, `connections`: given the value.
    `floor`: below that no value is scaled.
    """

    name: str
    values: tuple[int, ...]
    operations: tuple[str, ...]
    place: Callable[[Path, int], list[Path]]
    workers: Callable[[int], int] = lambda value: 1
    connections: Callable[[int], tuple[int, int]] = lambda value: (CONNECTIONS, WINDOW)
    floor: int = 1


def fill(volume: Path, directories: tuple[bytes, ...], prefix: bytes, count: int) -> None:
    """So many empty files in a directory, made in the volume itself: it is not served yet."""
    held = hold(volume)
    try:
        store = held.attach()
        for begin in range(0, count, UNIT):
            store.begin(True)
            where = descend(store, directories)
            for number in range(begin, min(begin + UNIT, count)):
                store.create(where, b"%b%07d" % (prefix, number), stat.S_IFREG | 0o644, 0, 0)
            store.commit()
        store.close()
    finally:
        held.release()


def descend(store: Any, names: tuple[bytes, ...]) -> Ufid:
    """The directory, made where it is missing."""
    node: Ufid = store.root
    for name in names:
        try:
            node = store.lookup(node, name).ufid
        except FileNotFoundError:
            node = store.create(node, name, stat.S_IFDIR | 0o755, 0, 0).ufid
    return node


def with_files(top: Path, count: int) -> list[Path]:
    """A volume with so many files, in directories of a thousand."""
    volume = peers.make_volume(top / "volume")
    for number, begin in enumerate(range(0, count, 1000)):
        fill(volume, (b"d%d" % number,), b"f", min(1000, count - begin))
    return [volume]


def with_names(top: Path, count: int) -> list[Path]:
    """A volume where the directory that the load is about has so many names."""
    volume = peers.make_volume(top / "volume")
    fill(volume, (b"bench", b"many"), b"name-", count)
    return [volume]


def with_size(top: Path, mebibytes: int) -> list[Path]:
    """A volume where the file that the load is about is so large (a hole)."""
    volume = peers.make_volume(top / "volume")
    held = hold(volume)
    store = held.attach()
    store.begin(True)
    file = store.create(descend(store, (b"bench",)), b"file", stat.S_IFREG | 0o644, 0, 0).ufid
    store.setattr(file, Changes(size=mebibytes << 20))
    store.commit()
    store.close()
    held.release()
    return [volume]


def empty(top: Path, count: int) -> list[Path]:
    """Nothing to prepare."""
    return [peers.make_volume(top / "volume")]


def many_volumes(top: Path, count: int) -> list[Path]:
    """So many exports."""
    return [peers.make_volume(top / f"volume-{number}") for number in range(count)]


QUANTITIES = (
    Quantity("files in the volume", (100, 1000, 10_000, 100_000), ("GETATTR", "LOOKUP", "CREATE"), with_files),
    Quantity("names in the directory", (100, 1000, 10_000, 100_000), ("LOOKUP", "READDIR"), with_names),
    Quantity("size of the file, MiB", (4, 64, 1024), ("READ", "WRITE"), with_size, floor=4),
    Quantity("connections", (1, 4, 16, 64), ("GETATTR", "READ"), empty, connections=lambda value: (value, 1)),
    Quantity("exports", (1, 8, 64), ("GETATTR", "CREATE"), many_volumes),
    Quantity("workers", (1, 2, 4), ("GETATTR", "READ"), empty, workers=lambda value: value),
)


def cost(peer: peers.Peer, load: measure.Load) -> float:
    """Microseconds of the server's processor time for a call."""
    sample = peer.sample(load)
    return sample.server / sample.answered * 1e6


def curves(quantity: Quantity, o: argparse.Namespace) -> list[dict[str, Any]]:
    """One for each operation."""
    points: dict[str, list[tuple[int, float]]] = {operation: [] for operation in quantity.operations}
    values = sorted({max(quantity.floor, int(v * o.scale)) if v > 64 else v for v in quantity.values})
    for value in values:
        with (
            tempfile.TemporaryDirectory(prefix="nfsrpc-bench.", dir=o.directory) as name,
            peers.serving(quantity.place(Path(name), value), quantity.workers(value)) as peer,
        ):
            for operation in quantity.operations:
                load = measure.Load(operation, "tcp", *quantity.connections(value), o.seconds)
                peer.sample(load)  # makes what the load is about, and fills caches
                costs = [cost(peer, load) for _ in range(o.rounds)]
                points[operation].append((value, statistics.median(costs)))
    return [{"against": quantity.name, "operation": name, "points": some} for name, some in points.items()]


def show(found: list[dict[str, Any]]) -> None:
    """A table."""
    table = Table(title="µs of the server's processor time for a call", box=None)
    for heading in ("against", "operation", "value: µs", "last / first"):
        table.add_column(heading)
    for curve in found:
        points = curve["points"]
        shown = "  ".join(f"{value:,}: {us:.1f}" for value, us in points)
        table.add_row(curve["against"], curve["operation"], shown, f"{points[-1][1] / points[0][1]:.2f}")
    console = Console()
    Console(width=console.width if console.is_terminal else 120).print(table)


def main(argv: list[str]) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/bench growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [quantity.name for quantity in QUANTITIES]
    add = parser.add_argument
    add("--against", default="all", help=f"some of: {'; '.join(names)} (default: %(default)s)")
    add("--scale", type=float, default=1.0, help="of numbers above 64 (default: %(default)s)")
    add("--rounds", type=int, default=3, help="(default: %(default)s)")
    add("--seconds", type=float, default=0.5, help="of one measurement (default: %(default)s)")
    add("--directory", default="/var/tmp", help="on the file system to use (default: %(default)s)")
    add("--json", metavar="FILE", type=Path, help="write the figures there")
    o = parser.parse_args(argv)
    wanted = names if o.against == "all" else [name.strip() for name in o.against.split(";")]
    if unknown := set(wanted) - set(names):
        parser.error(f"--against {', '.join(sorted(unknown))}: there are {'; '.join(names)}")
    found = [curve for quantity in QUANTITIES if quantity.name in wanted for curve in curves(quantity, o)]
    show(found)
    if o.json:
        o.json.write_text(json.dumps({"growth": found}, indent=1) + "\n")
    return 0
