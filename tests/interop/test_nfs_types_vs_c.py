"""Every NFSv2 type: our bytes are those of libtirpc with the system's rpcgen, from the same .x file."""

from __future__ import annotations

import inspect
import subprocess
from pathlib import Path

import pytest

from nfsrpc.protocols import nfs_prot as n
from nfsrpc.xdr import decode, encode

PROGRAM = Path(__file__).parent / "c" / "nfs_types.c"
BLOCK = b"\xa5" * 8192
UNSET = 0xFFFFFFFF


def handle(first: int) -> n.nfs_fh:
    return n.nfs_fh(bytes((first + i) % 256 for i in range(32)))


def where(first: int, name: bytes) -> n.diropargs:
    return n.diropargs(handle(first), name)


FATTR = n.fattr(
    type=n.ftype.NFLNK, mode=0o120777, nlink=3, uid=4, gid=5, size=UNSET, blocksize=8192, rdev=0x0103, blocks=9,
    fsid=10, fileid=11, atime=n.nfstime(12, 13), mtime=n.nfstime(14, 15), ctime=n.nfstime(4294967294, 999999),
)  # fmt: skip
SATTR = n.sattr(
    mode=0o644, uid=UNSET, gid=7, size=0, atime=n.nfstime(seconds=1, useconds=2), mtime=n.nfstime(UNSET, UNSET)
)
ENTRIES = None
for _i, _name in reversed(list(enumerate([b".", b"..", b"twelve bytes"]))):
    ENTRIES = n.entry(fileid=100 + _i, name=_name, cookie=bytes([0, 0, 1, _i]), nextentry=ENTRIES)
OK = n.nfsstat.NFS_OK

# the names are those that c/nfs_types.c prints; the type is the first word
VALUES = {
    "nfsstat ok": OK,
    "nfsstat stale": n.nfsstat.NFSERR_STALE,
    "nfsstat wflush": n.nfsstat.NFSERR_WFLUSH,
    "ftype": n.ftype.NFCHR,
    "nfs_fh": handle(200),
    "nfstime": n.nfstime(seconds=1, useconds=999999),
    "fattr": FATTR,
    "sattr": SATTR,
    "filename empty": b"",
    "filename": "nü".encode(),
    "nfspath": b"/a/b",
    "attrstat ok": n.attrstat(OK, FATTR),
    "attrstat error": n.attrstat(n.nfsstat.NFSERR_IO),
    "sattrargs": n.sattrargs(file=handle(1), attributes=SATTR),
    "diropargs": where(2, b"name"),
    "diropokres": n.diropokres(file=handle(3), attributes=FATTR),
    "diropres ok": n.diropres(OK, n.diropokres(handle(3), FATTR)),
    "diropres error": n.diropres(n.nfsstat.NFSERR_NOENT),
    "readlinkres ok": n.readlinkres(OK, b"../x"),
    "readlinkres error": n.readlinkres(n.nfsstat.NFSERR_NXIO),
    "readargs": n.readargs(file=handle(4), offset=UNSET, count=8192, totalcount=1),
    "readokres": n.readokres(attributes=FATTR, data=BLOCK),
    "readres ok": n.readres(OK, n.readokres(FATTR, BLOCK[:5])),
    "readres error": n.readres(n.nfsstat.NFSERR_ISDIR),
    "writeargs": n.writeargs(file=handle(5), beginoffset=1, offset=2, totalcount=3, data=BLOCK[:6]),
    "createargs": n.createargs(where=where(6, b"new"), attributes=SATTR),
    "renameargs": n.renameargs(where(7, b"a"), where(8, b"bb")),
    "linkargs": n.linkargs(handle(9), where(10, b"ccc")),
    "symlinkargs": n.symlinkargs(where(11, b"s"), b"t/u", SATTR),
    "nfscookie": bytes([1, 2, 3, 4]),
    "readdirargs": n.readdirargs(dir=handle(12), cookie=bytes([0, 0, 0, 7]), count=4096),
    "entry": ENTRIES,
    "dirlist empty": n.dirlist(entries=None, eof=True),
    "dirlist": n.dirlist(entries=ENTRIES, eof=False),
    "readdirres ok": n.readdirres(OK, n.dirlist(ENTRIES, True)),
    "readdirres error": n.readdirres(n.nfsstat.NFSERR_NOTDIR),
    "statfsokres": n.statfsokres(tsize=1, bsize=2, blocks=3, bfree=4, bavail=UNSET),
    "statfsres ok": n.statfsres(OK, n.statfsokres(8192, 0, 0, 0, 0)),
    "statfsres error": n.statfsres(n.nfsstat.NFSERR_PERM),
}


@pytest.fixture(scope="module")
def golden(c_builder) -> dict[str, bytes]:
    program = c_builder.build("nfs_prot", PROGRAM, "xdr")
    done = subprocess.run([program], capture_output=True, text=True, timeout=30, check=True)
    return {name: bytes.fromhex(text) for name, text in (line.rsplit(" ", 1) for line in done.stdout.splitlines())}


@pytest.mark.parametrize("name", VALUES)
def test_our_bytes_are_those_of_the_c_library(golden, name):
    type_name = name.split()[0]
    data = encode(getattr(n, f"encode_{type_name}"), VALUES[name])
    assert data.hex() == golden[name].hex()
    assert decode(getattr(n, f"decode_{type_name}"), golden[name]) == VALUES[name]


def test_every_type_has_a_case(golden):
    functions = [name for name, _ in inspect.getmembers(n, inspect.isfunction)]
    types = {name.removeprefix("encode_") for name in functions if name.startswith("encode_")}
    assert {name.split()[0] for name in VALUES} == types
    assert set(VALUES) == set(golden)
