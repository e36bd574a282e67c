"""tools/bench memory: what a worker holds in memory while it answers a million calls.

    tools/bench memory [--calls 1000000] [--workers 1] [--json FILE]

The load is the SFS mix, over UDP and TCP in turns; after each part of the calls the
resident memory of each worker is read from /proc. What is told in the end compares the last reading with the first.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import measure
import peers

PARTS = 10
SECONDS = 1.0


def resident(pid: int) -> int:
    """Bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def readings(peer: peers.Peer, calls: int) -> list[tuple[int, int]]:
    """(calls answered, most resident bytes of one process) after each part."""
    found, answered, turns = [], 0, 0
    while answered < calls:
        transport = ("udp", "tcp")[turns % 2]
        load = measure.Load("SFS", transport, connections=16, window=4, seconds=SECONDS)
        answered += int(peer.sample(load).rate * SECONDS)
        turns += 1
        if answered >= calls * (len(found) + 1) / PARTS:
            found.append((answered, max(resident(pid) for pid in peer.processes())))
    return found


def main(argv: list[str]) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/bench memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--directory", default="/var/tmp", help="on the file system to use (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    o = parser.parse_args(argv)
    with (
        tempfile.TemporaryDirectory(prefix="nfsrpc-bench.", dir=o.directory) as name,
        peers.nfsrpc(Path(name), o.workers) as peer,
    ):
        found = readings(peer, o.calls)
    for calls, size in found:
        print(f"{calls:>10,} calls  {size / 1e6:6.1f} MB")
    print(f"from the first reading to the last: {(found[-1][1] / found[0][1] - 1):+.1%}")
    if o.json:
        points = [{"calls": calls, "bytes": size} for calls, size in found]
        o.json.write_text(json.dumps({"memory": points}, indent=1) + "\n")
    return 0
