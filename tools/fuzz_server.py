"""What `tools/fuzz serve` runs: bytes -> dispatch -> reply, with a live volume behind it, under atheris.

An input is one turn of a server: a byte that chooses the peer, then messages,
each behind two bytes of length. A handle is sealed, so no fuzzer finds one: the
32 bytes `HANDLES[n]` stand for the nth file of the volume.
"""

import logging
import shutil
import struct
import sys
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nfsrpc"]):
    from nfsrpc.auth import NoneAuthenticator, ShortAuthenticator, Shorthands, SysAuthenticator
    from nfsrpc.auth.sys import SysCredential
    from nfsrpc.nfs import mount, nfs2, rquota
    from nfsrpc.nfs.export_spec import OPEN, ExportSpec, Rule
    from nfsrpc.nfs.exports import Exports
    from nfsrpc.nfs.exports_file import parse_exports
    from nfsrpc.nfs.rmtab import Rmtab, Rmtabs
    from nfsrpc.portmap.registry import Registry
    from nfsrpc.portmap.service import Mapper
    from nfsrpc.protocols import mount as mnt
    from nfsrpc.protocols import nfs_prot as v2
    from nfsrpc.protocols import portmap as pm
    from nfsrpc.protocols import rquota as rq
    from nfsrpc.rpc.dispatch import Dispatcher, Peer
    from nfsrpc.rpc.errors import (
        AuthRefused,
        GarbageArguments,
        ProcedureUnavailable,
        ProgramMismatch,
        ProgramUnavailable,
        RpcMismatch,
    )
    from nfsrpc.rpc.message import decode_reply, encode_call
    from nfsrpc.store import Ufid
    from nfsrpc.store.volume import Volume, VolumeLock, make_volume
    from nfsrpc.store.volume.fsck import check_volume

HANDLES = [b"the handle of file number %-6d" % n for n in range(6)]
"""Of the root, a directory, a file, a symbolic link, a FIFO, and of the root in a read-only export."""
PEERS = [
    Peer("127.0.0.1", 700, "tcp"),
    Peer("10.0.0.1", 700, "udp"),
    Peer("192.0.2.1", 5000, "udp"),
    Peer("fd00::1", 5000, "tcp6"),
]
REFUSALS = (AuthRefused, GarbageArguments, ProcedureUnavailable, ProgramMismatch, ProgramUnavailable, RpcMismatch)
"""What a reply may say besides the result; anything else, SYSTEM_ERR before all, is a finding."""
LONGEST = 65507
"""Bytes that a datagram has room for."""
INPUTS_PER_VOLUME = 1000


RESTRICTED = parse_exports("/ro 10.0.0.0/8(all_squash) *(insecure)")


class Complaints(logging.Handler):
    """Collects what the server logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note one."""
        self.found.append(logging.Formatter().format(record))


class Target:
    """A served volume, made anew from time to time; what it was sent since is kept to be shown."""

    def __init__(self) -> None:
        self.path = Path.cwd() / "volume"
        self.history: list[bytes] = []
        self.complaints = Complaints()
        logging.getLogger("nfsrpc").addHandler(self.complaints)
        logging.getLogger("nfsrpc").propagate = False
        self._open()

    def _open(self) -> None:
        make_volume(self.path, uid=0, gid=0, mode=0o777)
        self._lock = VolumeLock(self.path)
        self._volume = volume = Volume(self.path, self._lock)
        specs = [
            ExportSpec(b"/vol", str(self.path), (Rule(OPEN.client, OPEN.options),)),
            ExportSpec(b"/ro", str(self.path), RESTRICTED.exports[0].rules),
        ]
        exports = Exports(specs, {str(self.path): volume})
        self._rmtab = Rmtab(str(self.path / "rmtab"))
        bindings = [
            nfs2.binding(exports),
            *mount.bindings(exports, Rmtabs({volume.fsid: self._rmtab})),
            *rquota.bindings(exports),
            *Mapper(Registry()).bindings(),
        ]
        flavors = [NoneAuthenticator(), SysAuthenticator(), ShortAuthenticator(Shorthands())]
        self._dispatcher = Dispatcher(bindings, flavors)
        with volume.work(changing=True), volume.step():
            folder = volume.create(volume.root, b"d", 0o040777, 1000, 100)
            inside = Ufid(folder.inode, folder.generation)
            file = volume.create(inside, b"f", 0o100666, 1000, 100)
            link = volume.create(inside, b"l", 0o120777, 1000, 100, target=b"f")
            fifo = volume.create(volume.root, b"p", 0o010666, 1000, 100)
        shown, hidden = exports
        nodes = [volume.root, *(Ufid(one.inode, one.generation) for one in (folder, file, link, fifo))]
        self._handles = [*(shown.handle(node) for node in nodes), hidden.handle(volume.root)]

    def renew(self) -> None:
        """The volume must be whole; then another takes its place."""
        self.close()
        faults = [finding.text for finding in check_volume(self.path) if not finding.leftover]
        assert not faults, faults
        shutil.rmtree(self.path)
        self.history.clear()
        self._open()

    def close(self) -> None:
        """Close everything."""
        self._volume.close()
        self._rmtab.close()
        self._lock.release()

    def turn(self, data: bytes) -> None:
        """One input. Every message is answered well or not at all, and nothing is the server's own fault."""
        if len(self.history) >= INPUTS_PER_VOLUME:
            self.renew()
        self.history.append(data)
        peer = PEERS[data[0] % len(PEERS)] if data else PEERS[0]
        messages = list(self._messages(data[1:]))
        replies = self._dispatcher.turn([(message, peer) for message in messages])
        assert len(replies) == len(messages)
        for message, reply in zip(messages, replies, strict=True):
            if reply is not None:
                judge(message, b"".join(reply))
        assert not self.complaints.found, "\n".join(self.complaints.found)

    def _messages(self, data: bytes) -> list[bytes]:
        found, at = [], 0
        while at + 2 <= len(data):
            (length,) = struct.unpack_from(">H", data, at)
            message = data[at + 2 : at + 2 + length]
            for token, handle in zip(HANDLES, self._handles, strict=True):
                message = message.replace(token, handle)
            found.append(message)
            at += 2 + length
        return found


def judge(message: bytes, reply: bytes) -> None:
    """The reply is one to this message, no longer than a datagram, and can be decoded."""
    assert reply[:4] == message[:4]
    assert reply[4:8] == b"\0\0\0\1"
    assert len(reply) <= LONGEST
    assert len(reply) % 4 == 0
    with suppress(*REFUSALS):
        decode_reply(reply)


def seed(corpus: Path) -> None:
    """Write an input for each procedure of each program, and a turn of several."""
    minus, never = 2**32 - 1, v2.nfstime(2**32 - 1, 2**32 - 1)
    root, folder, file, link, fifo, hidden = (v2.nfs_fh(handle) for handle in HANDLES)
    some = v2.sattr(0o644, minus, minus, minus, never, never)
    named = v2.diropargs
    nfs: list[tuple[int, tuple[object, ...]]] = [
        (0, ()), (1, (root,)), (1, (file,)), (1, (hidden,)), (3, ()), (7, ()),
        (2, (v2.sattrargs(file, v2.sattr(0o600, 5, 5, 10, v2.nfstime(1, 2), v2.nfstime(3, 1000000))),)),
        (4, (named(root, b"d"),)), (4, (named(root, b".."),)), (4, (named(folder, b"f"),)), (5, (link,)),
        (6, (v2.readargs(file, 0, 100, 0),)), (8, (v2.writeargs(file, 0, 3, 0, b"data"),)),
        (9, (v2.createargs(named(root, b"new"), some),)),
        (9, (v2.createargs(named(root, b"dev"), v2.sattr(0o060644, 0, 0, 5, never, never)),)),
        (10, (named(folder, b"f"),)), (11, (v2.renameargs(named(folder, b"f"), named(root, b"g")),)),
        (12, (v2.linkargs(file, named(root, b"h")),)), (13, (v2.symlinkargs(named(root, b"s"), b"target", some),)),
        (14, (v2.createargs(named(root, b"e"), some),)), (15, (named(root, b"d"),)),
        (16, (v2.readdirargs(root, bytes(4), 512),)), (17, (root,)), (1, (fifo,)),
    ]  # fmt: skip
    mounts: list[tuple[int, tuple[object, ...]]] = [
        (0, ()), (1, (b"/vol/d",)), (2, ()), (3, (b"/vol",)), (4, ()), (5, ()), (6, ())
    ]  # fmt: skip
    others = [
        (pm.PMAP_PROG_2_service, [(3, (pm.mapping(100003, 2, 17, 0),)), (4, ())]),
        (rq.RQUOTAPROG_1_service, [(1, (rq.getquota_args(b"/vol", 1000),))]),
    ]
    calls = [(v2.NFS_PROGRAM_2_service, nfs), (mnt.MOUNTPROG_1_service, mounts), *others]
    messages: list[bytes] = []
    for service, rows in calls:
        for number, args in rows:
            procedure = service.procedures[number]
            user = SysCredential(1000 if number % 2 else 0, 100, (4, 5), b"h").opaque()
            parts = [encode_call(len(messages), procedure.program, procedure.version, number, user, (0, b""))]
            procedure.encode_args(args, parts)
            messages.append(b"".join(parts))
    for at, message in enumerate(messages):
        (corpus / f"seed-{at}").write_bytes(bytes([at % 4]) + struct.pack(">H", len(message)) + message)
    whole = b"".join(struct.pack(">H", len(message)) + message for message in messages[:24])
    (corpus / "seed-turn").write_bytes(b"\0" + whole)


def main(arguments: list[str]) -> None:
    """``seed CORPUS`` or ``run HISTORY OPTION...``: serve a volume in this directory, write what led to a finding."""
    if arguments[0] == "seed":
        seed(Path(arguments[1]))
        return
    target = Target()

    def one(data: bytes) -> None:
        try:
            target.turn(data)
        except BaseException:
            Path(arguments[1]).write_bytes(b"".join(struct.pack(">I", len(old)) + old for old in target.history))
            raise

    atheris.Setup([sys.argv[0], *arguments[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
