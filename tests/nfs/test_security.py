"""sec= of an export: who may do what, by how well he is known (RFC 2623 §2.3.2)."""

from __future__ import annotations

import pytest

from nfsrpc.auth import Accept, NoneAuthenticator, NoneCredential, Principal, SysAuthenticator, SysCredential
from nfsrpc.nfs import mount as mount_program
from nfsrpc.nfs import nfs2
from nfsrpc.nfs.clients import EVERYBODY
from nfsrpc.nfs.export_options import Access, ExportOptions
from nfsrpc.nfs.export_spec import ExportSpec, Rule
from nfsrpc.nfs.exports import Exports
from nfsrpc.nfs.rmtab import Rmtab, Rmtabs
from nfsrpc.nfs.security import BadSecurity, parse_security
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.dispatch import Dispatcher, Peer
from nfsrpc.rpc.message import auth_refusal, encode_call
from nfsrpc.store.volume import Volume, VolumeLock, make_volume

KINDS = ("volume", "directory")

STRONG = 777
PEER = Peer("192.0.2.1", 700, "tcp")


class Strong:
    """A flavour from outside: the credential's body names its security, and root calls."""

    flavor = STRONG
    single_use = False

    def accept(self, header, message, peer):
        security = header.credential.body.decode()
        return Accept(Principal(STRONG, security, 0, 0, security=security))


CREDENTIALS = {
    "none": NoneCredential().opaque(),
    "sys": SysCredential(0, 0, (), b"h").opaque(),
    **{name: (STRONG, name.encode()) for name in ("dh", "krb5", "krb5i", "krb5p")},
}


class Site:
    def __init__(self, path, lock: VolumeLock, security: str) -> None:
        volume = Volume(str(path), lock)
        access = dict.fromkeys(parse_security(security), Access(False, False, False, False))
        spec = ExportSpec(b"/v", str(path), (Rule(EVERYBODY, ExportOptions(by_security=access)),))
        exports = Exports([spec], {str(path): volume})
        (export,) = exports
        self.root = v2.nfs_fh(export.handle(volume.root))
        rmtabs = Rmtabs({volume.fsid: Rmtab(str(path / "rmtab"))})
        flavors = [NoneAuthenticator(), SysAuthenticator(), Strong()]
        self.dispatcher = Dispatcher([nfs2.binding(exports), *mount_program.bindings(exports, rmtabs)], flavors)
        self.xid = 0

    def call(self, name: str, procedure, *args) -> bytes:
        self.xid += 1
        parts = [
            encode_call(
                self.xid, procedure.program, procedure.version, procedure.number, CREDENTIALS[name], (0, b"")
            )
        ]
        procedure.encode_args(args, parts)
        (reply,) = self.dispatcher.turn([(b"".join(parts), PEER)])
        return b"".join(reply)

    def nfs(self, name: str, number: int, *args) -> bytes:
        return self.call(name, v2.NFS_PROGRAM_2_service.procedures[number], *args)

    def mount(self, name: str, number: int, *args) -> bytes:
        return self.call(name, mnt.MOUNTPROG_1_service.procedures[number], *args)


@pytest.fixture
def site(tmp_path, request):
    make_volume(str(tmp_path / "v"), uid=0, gid=0, mode=0o700)
    with VolumeLock(str(tmp_path / "v")) as lock:
        yield Site(tmp_path / "v", lock, request.param)


ALL = ["none", "sys", "dh", "krb5", "krb5i", "krb5p"]


@pytest.mark.parametrize(
    ("site", "good"),
    [
        ("sys", {"sys"}),
        ("krb5:krb5i:krb5p", {"krb5", "krb5i", "krb5p"}),
        ("krb5p", {"krb5p"}),
        ("sys:dh", {"sys", "dh"}),
    ],
    indirect=["site"],
)
def test_what_is_not_listed_is_too_weak_except_to_mount(site: Site, good: set[str]) -> None:
    made = v2.createargs(v2.diropargs(site.root, b"d"), v2.sattr(0o777, 0, 0, 0, v2.nfstime(0, 0), v2.nfstime(0, 0)))
    reply = site.nfs(sorted(good)[0], v2.NFSPROC_MKDIR, made)
    child = v2.nfs_fh(reply[28:60])
    for name in ALL:
        assert auth_refusal(site.nfs(name, 0)) is None
        assert auth_refusal(site.nfs(name, v2.NFSPROC_GETATTR, site.root)) is None
        assert auth_refusal(site.nfs(name, v2.NFSPROC_STATFS, site.root)) is None
        for number in (0, mnt.MOUNTPROC_EXPORT, mnt.MOUNTPROC_DUMP):
            assert auth_refusal(site.mount(name, number)) is None
        assert site.mount(name, mnt.MOUNTPROC_MNT, b"/v")[24:28] == bytes(4)
        expected = None if name in good else auth_stat.AUTH_TOOWEAK
        other = v2.createargs(v2.diropargs(site.root, name.encode()), made.attributes)
        for number, argument in (
            (v2.NFSPROC_GETATTR, child),
            (v2.NFSPROC_STATFS, child),
            (v2.NFSPROC_LOOKUP, v2.diropargs(site.root, b"d")),
            (v2.NFSPROC_READDIR, v2.readdirargs(site.root, bytes(4), 1000)),
            (v2.NFSPROC_MKDIR, other),
        ):
            assert auth_refusal(site.nfs(name, number, argument)) == expected, (name, number)


@pytest.mark.parametrize("site", ["krb5"], indirect=True)
def test_whoever_is_not_known_well_enough_walks_to_a_mount_as_nobody(site: Site) -> None:
    made = v2.createargs(v2.diropargs(site.root, b"d"), v2.sattr(0o777, 0, 0, 0, v2.nfstime(0, 0), v2.nfstime(0, 0)))
    site.nfs("krb5", v2.NFSPROC_MKDIR, made)
    assert site.mount("krb5", mnt.MOUNTPROC_MNT, b"/v/d")[24:28] == bytes(4)
    assert site.mount("sys", mnt.MOUNTPROC_MNT, b"/v/d")[24:28] == bytes([0, 0, 0, 13])


@pytest.mark.parametrize("text", ["", "krb4", "sys:", "SYS", "sys,krb5"])
def test_unknown_names_are_refused(text: str) -> None:
    with pytest.raises(BadSecurity, match="there are none, sys, dh, krb5, krb5i, krb5p"):
        parse_security(text)
