"""tools/bench recorded: the NFSv2 calls of a capture, as a load that `tools/bench --recording` makes of any server.

    tools/bench recorded FILE.pcap calls.txt

Kept are the order, the pauses, the operations and, of READ and WRITE, places and sizes. Each file handle of the
capture becomes one of the files that the generator works on, always the same one; so the load is like the
recorded one in what it asks and when, not in the tree that it asks about. Procedures that the generator does not
know, and calls that failed when they were recorded, are left out and told.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nfsrpc.packets.capture import CaptureError, CaptureReader
from nfsrpc.packets.decoded import Decoded
from nfsrpc.packets.dissect import Dissection
from nfsrpc.packets.programs import Programs
from nfsrpc.protocols import nfs_prot

KNOWN = frozenset({
    "NULL", "GETATTR", "SETATTR", "LOOKUP", "READLINK", "READ", "WRITE", "CREATE", "REMOVE", "READDIR", "STATFS",
})  # fmt: skip
BLOCK = 8192


def handle_of(argument: Any) -> bytes:
    """The first file handle in the arguments of a call; empty for NULL."""
    while not isinstance(argument, nfs_prot.nfs_fh):
        for name in ("file", "dir", "where"):
            if hasattr(argument, name):
                argument = getattr(argument, name)
                break
        else:
            return b""
    return bytes(argument.data)


def place_of(argument: Any) -> tuple[int, int]:
    """Offset and size of READ and WRITE; all else counts as one byte."""
    if isinstance(argument, nfs_prot.readargs):
        return argument.offset, min(max(argument.count, 1), BLOCK)
    if isinstance(argument, nfs_prot.writeargs):
        return argument.offset, min(max(len(argument.data), 1), BLOCK)
    return 0, 1


def lines(calls: Iterator[Decoded], left_out: Counter[str]) -> Iterator[str]:
    """"MICROSECONDS OPERATION OBJECT OFFSET COUNT", from the first call on."""
    objects: dict[bytes, int] = {}
    began: int | None = None
    for call in calls:
        exchange = call.exchange
        if (exchange.program, exchange.version) != (nfs_prot.NFS_PROGRAM, nfs_prot.NFS_VERSION):
            continue
        operation = call.procedure.removeprefix("NFSPROC_")
        if operation not in KNOWN or not call.ok or call.arguments is None:
            left_out[operation if call.ok else f"{operation} ({call.status})"] += 1
            continue
        argument = call.arguments[0] if call.arguments else None
        began = exchange.time if began is None else began
        number = objects.setdefault(handle_of(argument), len(objects))
        offset, count = place_of(argument)
        yield f"{max(exchange.time - began, 0) / 1000:.3f} {operation} {number} {offset} {count}\n"


def convert(source: Path, target: Path) -> tuple[int, Counter[str]]:
    """How many calls were written, and what was left out. CaptureError; OSError."""
    left_out: Counter[str] = Counter()
    with source.open("rb") as stream:
        calls = sorted(Dissection(Programs()).run(CaptureReader(stream)), key=lambda call: call.exchange.time)
    written = list(lines(iter(calls), left_out))
    target.write_text("".join(written))
    return len(written), left_out


def main(argv: list[str]) -> int:
    """Convert; the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/bench recorded", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capture", type=Path, metavar="FILE.pcap")
    parser.add_argument("calls", type=Path, metavar="CALLS")
    o = parser.parse_args(argv)
    try:
        written, left_out = convert(o.capture, o.calls)
    except (CaptureError, OSError) as error:
        raise SystemExit(f"bench: {o.capture}: {error}") from None
    print(f"{written} calls in {o.calls}")
    if left_out:
        print("left out: " + ", ".join(f"{count} {name}" for name, count in left_out.most_common()))
    if not written:
        raise SystemExit(f"bench: {o.capture}: no NFSv2 call that can be made again")
    return 0
