"""A store, exported, and spoken to through the dispatcher without a socket."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nfsrpc.auth import NoneAuthenticator, NoneCredential, SysAuthenticator, SysCredential
from nfsrpc.nfs import mount, nfs2
from nfsrpc.nfs.clients import EVERYBODY
from nfsrpc.nfs.export_options import Access, ExportOptions
from nfsrpc.nfs.export_spec import ANYBODY, ExportSpec, Rule
from nfsrpc.nfs.exports import Exports
from nfsrpc.nfs.exports_file import parse_exports
from nfsrpc.nfs.hostnames import HostNames
from nfsrpc.nfs.rmtab import Rmtab, Rmtabs
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc.dispatch import Dispatcher, Peer
from nfsrpc.rpc.message import NULL_AUTH, decode_reply, encode_call
from nfsrpc.store.held import Held, hold
from nfsrpc.store.volume import make_volume
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
    """A served volume, or plain directory, in this process."""

    def __init__(self, held: Held, path: Path, rules: tuple[Rule, ...], names: HostNames | None = None) -> None:
        self.path = path
        self.spec = ExportSpec(b"/vol", str(path), rules)
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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of a module that names KINDS of stores run on each of them, others on a volume."""
    kinds = getattr(metafunc.module, "KINDS", None)
    chosen = any("kind" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if kinds and not chosen and "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", kinds, indirect=True)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of store that is served: "volume", or "directory" for a plain one."""
    found = str(getattr(request, "param", "volume"))
    if found == "directory" and os.geteuid() != 0:
        pytest.skip("only root can give files of a plain directory to others")
    return found


@pytest.fixture
def make_site(tmp_path: Path, kind: str) -> Iterator[Callable[..., Site]]:
    """Makes a store with root-owned top directory of mode 0777, and serves it to everybody with these fields of
    `Access`, or as an exports line says."""
    sites = []

    def make(name: str = "vol", line: str | None = None, names: HostNames | None = None, **options: bool) -> Site:
        if kind == "volume":
            make_volume(tmp_path / name, uid=0, gid=0, mode=0o777)
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name).chmod(0o777)
        access = Access(**{**dict.fromkeys(Access._fields, False), **options})
        rules = (Rule(EVERYBODY, ExportOptions(by_security=dict.fromkeys(ANYBODY, access))),)
        if line is not None:
            rules = parse_exports(f"/vol {line}").exports[0].rules
        held = hold(tmp_path / name, state=tmp_path / "state")
        sites.append(Site(held, tmp_path / name, rules, names))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()
