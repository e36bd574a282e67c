"""A program whose instructions are counted: calls of NFS version 2 in memory, and something to compare them with.

    valgrind --tool=callgrind --dump-before=getppid python counted_calls.py VOLUME

It makes a volume, and prints the names of what it does, in order. Each is done once uncounted, so that what is known
after the first time is known, and again between two calls of `getppid`, which nothing else calls. Calls that change
nothing are made by a second user then, to whom no answer has been given; "again" is what he has been told before.
Garbage is not looked for: whatever is under way at that moment would seem to cost more.
"""

import gc
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
from nfsrpc.rpc.dispatch import Peer, Reply
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
Named = tuple[str, Callable[[int], bytes]]


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


def reading(calls: v2.NFS_PROGRAM_2_client, root: v2.nfs_fh, files: list[v2.nfs_fh]) -> Iterator[Named]:
    """Calls that change nothing, by their names: the message of each of COUNT different ones."""
    yield "GETATTR", lambda n: calls.NFSPROC_GETATTR(files[n])
    yield "LOOKUP", lambda n: nfs2_calls.lookup(calls, root, b"file %d" % n)
    yield "READ", lambda n: calls.NFSPROC_READ(v2.readargs(files[0], n % BLOCKS * TRANSFER, TRANSFER, n))
    yield "READDIR", lambda n: calls.NFSPROC_READDIR(v2.readdirargs(root, bytes(4), TRANSFER - n))


def changing(calls: v2.NFS_PROGRAM_2_client, root: v2.nfs_fh, files: list[v2.nfs_fh]) -> Iterator[Named]:
    """Calls that change something."""
    yield "WRITE", lambda n: nfs2_calls.write(calls, files[0], n % BLOCKS * TRANSFER, DATA)
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
    gc.disable()
    site, files = served(path)
    first, second = site.caller(0), site.caller(0, gid=1)  # with the same rights

    def turns(messages: Iterable[bytes]) -> list[list[tuple[bytes, Peer]]]:
        calls = [(message, first.peer) for message in messages]
        return [calls[start : start + TURN] for start in range(0, len(calls), TURN)]

    def run(turns: list[list[tuple[bytes, Peer]]]) -> Iterable[Reply]:
        return chain(*[site.dispatcher.turn(turn) for turn in turns])

    def count(name: str, turns: list[list[tuple[bytes, Peer]]]) -> None:
        check(counted(name, lambda: run(turns)))

    ours, others = (v2.NFS_PROGRAM_2_client(Unsent(caller)) for caller in (first, second))
    nothing = turns(ours.NFSPROC_NULL() for _ in range(COUNT))
    check(run(nothing))
    count("NULL", nothing)
    for (name, known), (_, new) in zip(reading(ours, site.root, files), reading(others, site.root, files), strict=True):
        check(run(turns(map(known, range(COUNT)))))
        asked = turns(map(new, range(COUNT)))
        check(run(asked[-1:]))  # now the second user's header is known as well
        count(name, asked)
        for _ in range(2 * TURN):  # until answers have been given often enough to stand
            check(run(asked))
        count(f"{name} again", asked)
    for name, message in changing(ours, site.root, files):
        asked = turns(map(message, range(2 * COUNT)))
        check(run(asked[: len(asked) // 2]))
        count(name, asked[len(asked) // 2 :])
    standard(COUNT)
    counted("standard", lambda: standard(COUNT))
    site.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
