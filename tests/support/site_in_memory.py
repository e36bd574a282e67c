"""A store, exported, and spoken to through the dispatcher without a socket."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from nfsrpc.auth import NoneAuthenticator, NoneCredential, SysAuthenticator, SysCredential
from nfsrpc.nfs import mount, nfs2
from nfsrpc.nfs.clients import EVERYBODY
from nfsrpc.nfs.export_options import Access, ExportOptions
from nfsrpc.nfs.export_spec import ANYBODY, ExportSpec, Rule
from nfsrpc.nfs.exports import Exports
from nfsrpc.nfs.hostnames import HostNames
from nfsrpc.nfs.rmtab import Rmtab, Rmtabs
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc.dispatch import Dispatcher, Peer
from nfsrpc.rpc.message import NULL_AUTH, decode_reply, encode_call
from nfsrpc.store.held import Held
from nfsrpc.xdr import DEFAULT_LIMITS, Procedure

FLAVORS = (NoneAuthenticator(), SysAuthenticator())


def rules_for_everybody(**options: bool) -> tuple[Rule, ...]:
    """Everybody is let in, with these fields of `Access`; the others are off."""
    access = Access(**{**dict.fromkeys(Access._fields, False), **options})
    return (Rule(EVERYBODY, ExportOptions(by_security=dict.fromkeys(ANYBODY, access))),)


class MemoryCaller:
    """Carries calls of a generated client straight into a dispatcher."""

    def __init__(self, dispatcher: Dispatcher, credential: Any, peer: Peer, xids: Iterator[int]) -> None:
        self.dispatcher = dispatcher
        self.credential = credential
        self.peer = peer
        self.xids = xids

    def message(self, procedure: Procedure, args: tuple[Any, ...], xid: int) -> bytes:
        parts = [
            encode_call(
                xid,
                procedure.program,
                procedure.version,
                procedure.number,
                self.credential.opaque(),
                NULL_AUTH,
            )
        ]
        procedure.encode_args(args, parts)
        return b"".join(parts)

    def call(self, procedure: Procedure, args: tuple[Any, ...]) -> Any:
        (reply,) = self.dispatcher.turn([(self.message(procedure, args, next(self.xids)), self.peer)])
        assert reply is not None
        data = b"".join(reply)
        result, end = procedure.decode_result(data, decode_reply(data).body, DEFAULT_LIMITS)
        assert end == len(data)
        return result


class Site:
    """A served volume, or plain directory, in this process."""

    def __init__(self, held: Held, path: Path, rules: tuple[Rule, ...], names: HostNames | None = None) -> None:
        self.path = path
        spec = ExportSpec(b"/vol", str(path), rules)
        self.spec = spec if held.user is None else spec.as_one(*held.user)
        self.names = names
        self.xids = count(0x10000)
        self.held = held
        self.open()

    def open(self) -> None:
        self.volume = self.held.attach()
        self.exports = Exports([self.spec], {str(self.path): self.volume}, names=self.names)
        self.rmtab = Rmtab(str(self.held.keep / "rmtab"))
        self.dispatcher = Dispatcher(
            [nfs2.binding(self.exports), *mount.bindings(self.exports, Rmtabs({self.volume.fsid: self.rmtab}))],
            FLAVORS,
        )
        (export,) = self.exports
        self.root = v2.nfs_fh(export.handle(self.volume.root))

    def restart(self) -> None:
        """As a new server process: every cache is gone."""
        self.volume.close()
        self.rmtab.close()
        self.open()

    def close(self) -> None:
        self.volume.close()
        self.rmtab.close()
        self.held.release()

    def caller(
        self, uid: int | None = 0, gid: int = 0, gids: tuple[int, ...] = (), port: int = 700, host: str = "127.0.0.1"
    ) -> MemoryCaller:
        credential = NoneCredential() if uid is None else SysCredential(uid, gid, gids, b"client")
        return MemoryCaller(self.dispatcher, credential, Peer(host, port, "udp"), self.xids)

    def nfs(self, *identity: Any, **more: Any) -> v2.NFS_PROGRAM_2_client:
        return v2.NFS_PROGRAM_2_client(self.caller(*identity, **more))

    def mount(self, *identity: Any, **more: Any) -> mnt.MOUNTPROG_1_client:
        return mnt.MOUNTPROG_1_client(self.caller(*identity, **more))
