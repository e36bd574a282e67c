"""Which export a URL means, and what a mount server may answer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from by_hand import MOUNT, NFS, PORTMAP, ROOT, Answer, ByHand, chain, opaque, word

from nfsrpc.auth import NoneCredential
from nfsrpc.client.locate import NotServed, Place, open_client
from nfsrpc.client.mountd import Export, Mounted, MountService, longest_export
from nfsrpc.client.site import attach
from nfsrpc.client.url import parse_url
from nfsrpc.rpc.errors import BadReply, ProgramUnavailable, RpcError
from nfsrpc.testing.served import Served
from nfsrpc.transport.client import Client
from nfsrpc.transport.client_tcp import TcpClient
from nfsrpc.transport.client_udp import UdpClient

MNT, DUMP, UMNT, EXPORT = (MOUNT, 1), (MOUNT, 2), (MOUNT, 3), (MOUNT, 5)


def exports(*paths: bytes) -> bytes:
    return chain(*(opaque(path) + chain() for path in paths))


def mounts(**handles: bytes) -> Callable[[bytes], bytes]:
    """MNT that knows the given paths (``__`` for ``/``), ENOENT for others."""
    known = {name.replace("__", "/").encode(): handle for name, handle in handles.items()}

    def answer(arguments: bytes) -> bytes:
        length = int.from_bytes(arguments[:4])
        handle = known.get(arguments[4 : 4 + length])
        return word(2) if handle is None else word(0) + handle

    return answer


@pytest.mark.parametrize(
    ("offered", "path", "expected"),
    [
        ([b"/a", b"/a/b", b"/"], b"/a/b/c", b"/a/b"),
        ([b"/a/b", b"/a"], b"/a/bc", b"/a"),
        ([b"/a"], b"/a", b"/a"),
        ([b"/a/"], b"/a/x", b"/a/"),
        ([b"/"], b"/x", b"/"),
        ([b"/ab"], b"/a", None),
        ([b"/a/b"], b"/a", None),
        ([], b"/a", None),
    ],
)
def test_the_longest_export_that_holds_the_path(offered: list[bytes], path: bytes, expected: bytes | None) -> None:
    assert longest_export([Export(export, ()) for export in offered], path) == expected


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_the_rest_of_the_path_is_left_to_be_looked_up(proto: str) -> None:
    answers: dict[tuple[int, int], Answer | bytes] = {
        EXPORT: exports(b"/srv", b"/srv/sun"),
        MNT: mounts(__srv__sun=ROOT),
        UMNT: b"",
    }
    with ByHand(answers) as server:
        with attach(parse_url(f"nfs://127.0.0.1:{server.port}/srv/sun/etc/motd?proto={proto}")) as mounted:
            assert (mounted.root, mounted.export, mounted.path) == (ROOT, b"/srv/sun", b"etc/motd")
        farewell = server.calls[-1]
    assert farewell[12:24] == word(MOUNT, 1, 3)
    assert farewell.endswith(opaque(b"/srv/sun"))


def test_without_an_export_that_holds_it_the_path_is_mounted_from_the_full_one_upward() -> None:
    answers: dict[tuple[int, int], Answer | bytes] = {EXPORT: exports(b"/other"), MNT: mounts(__a=ROOT), UMNT: b""}
    with ByHand(answers) as server:
        with attach(parse_url(f"nfs://127.0.0.1:{server.port}/a/b/c")) as mounted:
            assert (mounted.export, mounted.path) == (b"/a", b"b/c")
        tried = [call[-12:].rstrip(b"\0") for call in server.calls if call[20:24] == word(1)]
    assert [path[path.index(b"/") :] for path in tried] == [b"/a/b/c", b"/a/b", b"/a"]


def test_a_server_without_export_lists_is_asked_for_the_path() -> None:
    with (
        ByHand({MNT: mounts(__a__b=ROOT), UMNT: b""}) as server,
        attach(parse_url(f"nfs://127.0.0.1:{server.port}/a/b")) as mounted,
    ):
        assert (mounted.export, mounted.path) == (b"/a/b", b"")


@pytest.mark.parametrize(
    ("status", "error"), [(13, PermissionError), (2, FileNotFoundError), (20, NotADirectoryError), (4711, OSError)]
)
def test_a_refused_mount_is_an_oserror_with_the_path(status: int, error: type[OSError]) -> None:
    with (
        ByHand({EXPORT: exports(b"/a"), MNT: word(status)}) as server,
        pytest.raises(error) as raised,
    ):
        attach(parse_url(f"nfs://127.0.0.1:{server.port}/a/b"))
    assert raised.value.filename == "/a"


def test_no_path_that_mounts_is_what_was_said_of_the_whole_one() -> None:
    with (
        ByHand({EXPORT: exports(), MNT: mounts()}) as server,
        pytest.raises(FileNotFoundError) as raised,
    ):
        attach(parse_url(f"nfs://127.0.0.1:{server.port}/a/b"))
    assert raised.value.filename == "/a/b"


def test_a_host_without_a_mount_server_says_so() -> None:
    with ByHand({(NFS, 1): b""}) as server, pytest.raises(ProgramUnavailable):
        attach(parse_url(f"nfs://127.0.0.1:{server.port}/a"))


def test_mount_and_nfs_may_have_ports_of_their_own() -> None:
    with (
        ByHand({EXPORT: exports(b"/a"), MNT: mounts(__a=ROOT), UMNT: b""}) as mountd,
        ByHand({(NFS, 1): b""}) as nfsd,
        attach(parse_url(f"nfs://127.0.0.1/a?mountport={mountd.port}&nfsport={nfsd.port}")) as mounted,
    ):
        assert mounted.nfs.client.peer == f"127.0.0.1:{nfsd.port}"


def test_lists_with_groups_and_mounts() -> None:
    answers: dict[tuple[int, int], Answer | bytes] = {
        EXPORT: chain(opaque(b"/a") + chain(opaque(b"sun"), opaque(b"@lab")), opaque(b"/b\xff") + chain()),
        DUMP: chain(opaque(b"sun") + opaque(b"/a"), opaque(b"sgi") + opaque(b"/b")),
    }
    with ByHand(answers) as server, open_client(Place("127.0.0.1", server.port, "udp"), NoneCredential(), 5) as client:
        service = MountService(client)
        assert service.exports() == [Export(b"/a", (b"sun", b"@lab")), Export(b"/b\xff", ())]
        assert service.dump() == [Mounted(b"sun", b"/a"), Mounted(b"sgi", b"/b")]


HOSTILE = [
    ("a path over 1024 bytes", EXPORT, chain(opaque(b"x" * 1025) + chain())),
    ("a host name over 255 bytes", DUMP, chain(opaque(b"x" * 256) + opaque(b"/"))),
    ("a length near 2^32", EXPORT, word(1, 0xFFFFFFFC) + b"x" * 8),
    ("a list that ends inside", EXPORT, word(1) + opaque(b"/a")),
    ("a boolean of 7", EXPORT, word(7) + opaque(b"/a") + chain() + word(0)),
    ("bytes behind the end", EXPORT, chain() + b"junk"),
    ("more elements than anybody exports", EXPORT, chain(*[opaque(b"") + chain()] * 66_000)),
    ("a group list without an end", EXPORT, word(1) + opaque(b"/a") + word(1) + opaque(b"g")),
]


@pytest.mark.hostile
@pytest.mark.parametrize(("entry", "body"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_list_that_cannot_be_meant_is_a_bad_reply(entry: tuple[int, int], body: bytes) -> None:
    with (
        ByHand({entry: body}) as server,
        open_client(Place("127.0.0.1", server.port, "tcp"), NoneCredential(), 5) as client,
    ):
        service = MountService(client)
        with pytest.raises(BadReply):
            service.exports() if entry == EXPORT else service.dump()


def ports(listed: dict[tuple[int, int], int]) -> Callable[[bytes], bytes]:
    """GETPORT that knows (program, protocol)."""
    return lambda arguments: word(listed.get((int.from_bytes(arguments[:4]), int.from_bytes(arguments[8:12])), 0))


@pytest.mark.parametrize(
    ("argument", "mount_over", "nfs_over", "chosen"),
    [
        ("", (6, 17), (6, 17), TcpClient),
        ("", (17,), (17,), UdpClient),
        ("", (17,), (6, 17), TcpClient),
        ("?proto=udp", (6, 17), (6, 17), UdpClient),
        ("?proto=udp", (6,), (6, 17), None),
        ("?proto=tcp", (6, 17), (17,), None),
        ("", (6, 17), (), None),
    ],
)
def test_without_a_port_the_portmapper_says_where_and_over_what(
    monkeypatch: pytest.MonkeyPatch,
    argument: str,
    mount_over: tuple[int, ...],
    nfs_over: tuple[int, ...],
    chosen: type[Client] | None,
) -> None:
    with ByHand({EXPORT: exports(b"/a"), MNT: mounts(__a=ROOT), UMNT: b"", (NFS, 1): b""}) as server:
        registered = [*((MOUNT, number) for number in mount_over), *((NFS, number) for number in nfs_over)]
        server.answers[(PORTMAP, 3)] = ports(dict.fromkeys(registered, server.port))
        monkeypatch.setattr("nfsrpc.portmap.client.PORT", server.port)
        url = parse_url(f"nfs://127.0.0.1/a{argument}")
        if chosen is None:
            with pytest.raises(NotServed, match=r"knows no (NFS|mount) server of version \d over"):
                attach(url)
            return
        with attach(url) as mounted:
            assert isinstance(mounted.nfs.client, chosen)


@pytest.mark.skipif(os.geteuid() != 0, reason="reserved ports are root's")
@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_root_calls_from_a_reserved_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proto: str) -> None:
    with Served(tmp_path, "--secure") as server:
        url = parse_url(server.url(proto=proto, uid=0))
        with attach(url) as mounted:
            assert mounted.nfs.getattr(mounted.root).nlink >= 2
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(PermissionError):
            attach(url)


def test_the_mount_server_need_not_be_there_for_the_farewell() -> None:
    with ByHand({EXPORT: exports(b"/a"), MNT: mounts(__a=ROOT)}) as server:
        mounted = attach(parse_url(f"nfs://127.0.0.1:{server.port}/a"))
    mounted.close()
    with pytest.raises(RpcError):
        mounted.nfs.getattr(ROOT)
