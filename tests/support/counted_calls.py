"""A program whose instructions are counted: calls of NFS version 2 in memory, and something to compare them with.

    valgrind --tool=callgrind --dump-before=getppid python counted_calls.py VOLUME

It makes a volume, and prints the names of what it does, in order. Each is done once uncounted, so that what is known
after the first time is known, and again between two calls of `getppid`, which nothing else calls.
"""

import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TypeVar

import nfs2_calls
from site_in_memory import MemoryCaller, Site, rules_for_everybody

from nfsrpc.nfs.fattr2 import TRANSFER
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc.dispatch import Reply
from nfsrpc.rpc.message import decode_reply
from nfsrpc.store.held import hold
from nfsrpc.store.volume import make_volume

T = TypeVar("T")

COUNT = 64
"""Calls of each procedure that are counted, and rounds of what they are compared with."""
TURN = 4
"""Calls that are there at once."""
BLOCKS = 32
DATA = bytes(TRANSFER)


class Unsent:
    """Makes messages of a generated client's calls."""

    def __init__(self, caller: MemoryCaller) -> None:
        self.caller = caller

    def call(self, procedure, args) -> bytes:
        return self.caller.message(procedure, args, next(self.caller.xids))


def served(path: Path) -> tuple[Site, list[v2.nfs_fh]]:
    """A volume with some files, of which the first has some data."""
    make_volume(path, uid=0, gid=0, mode=0o777)
    site = Site(hold(path), path, rules_for_everybody())
    files = [nfs2_calls.made(site.nfs(), site.root, b"file %d" % n) for n in range(COUNT)]
    for n in range(BLOCKS):
        nfs2_calls.write(site.nfs(), files[0], n * TRANSFER, DATA)
    return site, files


def messages(site: Site, files: list[v2.nfs_fh]) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    """What is counted, by its name: the message of each of 2 * COUNT calls."""
    calls, root, first = v2.NFS_PROGRAM_2_client(Unsent(site.caller())), site.root, files[0]
    yield "NULL", lambda n: calls.NFSPROC_NULL()
    yield "GETATTR", lambda n: calls.NFSPROC_GETATTR(files[n % COUNT])
    yield "LOOKUP", lambda n: nfs2_calls.lookup(calls, root, b"file %d" % (n % COUNT))
    yield "READ", lambda n: calls.NFSPROC_READ(v2.readargs(first, n % BLOCKS * TRANSFER, TRANSFER, 0))
    yield "READDIR", lambda n: calls.NFSPROC_READDIR(v2.readdirargs(root, bytes(4), TRANSFER))
    yield "WRITE", lambda n: nfs2_calls.write(calls, first, n % BLOCKS * TRANSFER, DATA)
    new = nfs2_calls.sattr(mode=0o644)
    yield "CREATE", lambda n: calls.NFSPROC_CREATE(v2.createargs(nfs2_calls.where(root, b"new %d" % n), new))


def check(replies: Iterable[Reply]) -> None:
    """Every reply must say that all went well."""
    for reply in replies:
        data = b"".join(reply)
        assert data[decode_reply(data).body :][:4] in (b"", bytes(4))


def standard(rounds: int) -> None:
    """What calls are compared with: some of all that Python is made of."""
    seen = {}
    for n in range(rounds):
        packed = struct.pack(">4I", n, n + 1, n + 2, n + 3)
        first, *others = struct.unpack(">4I", packed)
        seen[packed[8:]] = [first, others, str(n).encode()]
        assert seen.get(packed[8:], b"")[0] == n


def counted(name: str, act: Callable[[], T]) -> T:
    print(name)
    os.getppid()
    result = act()
    os.getppid()
    return result


def main(path: Path) -> None:
    site, files = served(path)
    peer, turn = site.caller().peer, site.dispatcher.turn
    for name, message in messages(site, files):
        calls = [(message(n), peer) for n in range(2 * COUNT)]
        turns = [calls[start : start + TURN] for start in range(0, len(calls), TURN)]
        first, second = turns[: len(turns) // 2], turns[len(turns) // 2 :]
        check(chain(*map(turn, first)))
        check(chain(*counted(name, lambda: list(map(turn, second)))))  # noqa: B023 - called at once
    standard(COUNT)
    counted("standard", lambda: standard(COUNT))
    site.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
