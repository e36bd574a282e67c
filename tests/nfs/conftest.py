"""A volume, exported, and spoken to through the dispatcher without a socket."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nfsrpc.auth import NoneAuthenticator, NoneCredential, SysAuthenticator, SysCredential
from nfsrpc.nfs import mount, nfs2
from nfsrpc.nfs.exports import Exports, ExportSpec
from nfsrpc.nfs.rmtab import Rmtab
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc.dispatch import Dispatcher, Peer
from nfsrpc.rpc.message import NULL_AUTH, decode_reply, encode_call
from nfsrpc.store.volume import Volume, VolumeLock, make_volume
from nfsrpc.xdr import DEFAULT_LIMITS, Procedure


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
    """A served volume in this process."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.options = options
        self.xids = count(0x10000)
        self.lock = VolumeLock(path)
        self.open()

    def open(self) -> None:
        self.volume = Volume(self.path, self.lock)
        spec = ExportSpec(b"/vol", str(self.path), **self.options)
        self.exports = Exports([spec], {str(self.path): self.volume})
        self.rmtab = Rmtab(str(self.path / "rmtab"))
        self.dispatcher = Dispatcher(
            [nfs2.binding(self.exports), *mount.bindings(self.exports, self.rmtab)],
            [NoneAuthenticator(), SysAuthenticator()],
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
        self.lock.release()

    def caller(self, uid: int | None = 0, gid: int = 0, gids: tuple[int, ...] = (), port: int = 700) -> MemoryCaller:
        credential = NoneCredential() if uid is None else SysCredential(uid, gid, gids, b"client")
        return MemoryCaller(self.dispatcher, credential, Peer("127.0.0.1", port, "udp"), self.xids)

    def nfs(self, *identity: Any, **more: Any) -> v2.NFS_PROGRAM_2_client:
        return v2.NFS_PROGRAM_2_client(self.caller(*identity, **more))

    def mount(self, *identity: Any) -> mnt.MOUNTPROG_1_client:
        return mnt.MOUNTPROG_1_client(self.caller(*identity))


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes a volume with root-owned top directory of mode 0777, and serves it with the given export options."""
    sites = []

    def make(name: str = "vol", **options: Any) -> Site:
        make_volume(tmp_path / name, uid=0, gid=0, mode=0o777)
        sites.append(Site(tmp_path / name, **options))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()
