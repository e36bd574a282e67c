"""RFC 1094 appendix A: the MOUNT program, version 1."""

from typing import Any

import pytest

from .nfs2 import DIRECTORY, Failed, Nfs, exports
from .peer import GARBAGE_ARGS, MOUNT, Peer, call
from .wire import auth_sys, opaque, w

ENOENT, EACCES, ENOTDIR, EINVAL, ENAMETOOLONG = 2, 13, 20, 22, 63


@pytest.fixture
def mounter(mount_peer: Peer, pytestconfig: pytest.Config) -> Nfs:
    """Calls of MOUNT."""
    return Nfs(mount_peer, pytestconfig.getoption("--uid"))


@pytest.mark.rule("RFC 1094 A.5.1")
def test_null(mount_peer: Peer) -> None:
    """MOUNTPROC_NULL takes nothing and gives nothing."""
    mount_peer.call(MOUNT, 1, 0).end()


@pytest.mark.rule("RFC 1094 A.5.2")
def test_mnt_gives_the_handle_of_a_directory(mounter: Nfs, nfs: Nfs, export: bytes) -> None:
    """The handle of an export is one of a directory, for NFS."""
    assert nfs.getattr(mounter.mount(export)).type == DIRECTORY


@pytest.mark.rule("RFC 1094 A.5.2")
def test_mnt_twice_gives_the_same_file(mounter: Nfs, nfs: Nfs, export: bytes) -> None:
    """Two mounts of one path show one directory."""
    first, second = (nfs.getattr(mounter.mount(export)) for _ in range(2))
    assert (first.fsid, first.fileid) == (second.fsid, second.fileid)


@pytest.mark.rule("RFC 1094 A.5.2")
@pytest.mark.parametrize("path", [b"/no-such-export", b"no-slash", b""])
def test_mnt_of_what_is_not_exported(mounter: Nfs, path: bytes) -> None:
    """A path that is not exported gets a UNIX error number."""
    with pytest.raises(Failed) as refused:
        mounter.mount(path)
    assert refused.value.status in (ENOENT, EACCES, ENOTDIR, EINVAL)


@pytest.mark.rule("RFC 1094 A.4.1")
def test_mnt_of_a_path_over_its_bound(mount_peer: Peer, quirk: Any) -> None:
    """MNTPATHLEN is 1024: a longer string cannot be decoded."""
    message = call(mount_peer.xid(), MOUNT, 1, 1, opaque(b"/" + b"x" * 1024), auth_sys())
    reply = mount_peer.ask(message)
    assert reply is not None
    if reply[20:] in (w(0, ENAMETOOLONG), w(0, ENOENT), w(0, EACCES)):
        quirk("decodes strings over their bound")
    assert reply[4:] == w(1, 0, 0, 0, GARBAGE_ARGS)


def _mounted(peer: Peer) -> list[tuple[bytes, bytes]]:
    reader = peer.call(MOUNT, 1, 2)
    found = []
    while reader.flag():
        found.append((reader.opaque(255), reader.opaque(1024)))
    reader.end()
    return found


@pytest.mark.rule("RFC 1094 A.5.3")
def test_dump_lists_mounts(mounter: Nfs, mount_peer: Peer, export: bytes, quirk: Any) -> None:
    """DUMP lists who has mounted what; the protocol says that this list need not be right."""
    mounter.mount(export)
    if export not in [path for _, path in _mounted(mount_peer)]:
        quirk("keeps no list of mounts")


@pytest.mark.rule("RFC 1094 A.5.4")
def test_umnt(mounter: Nfs, mount_peer: Peer, export: bytes) -> None:
    """UMNT takes a path and gives nothing, whether it was mounted or not."""
    mounter.mount(export)
    for path in (export, b"/never/mounted"):
        mount_peer.call(MOUNT, 1, 3, opaque(path), mounter.credential).end()
    _mounted(mount_peer)


@pytest.mark.rule("RFC 1094 A.5.5")
def test_umntall(mounter: Nfs, mount_peer: Peer) -> None:
    """UMNTALL takes nothing and gives nothing."""
    mount_peer.call(MOUNT, 1, 4, b"", mounter.credential).end()


@pytest.mark.rule("RFC 1094 A.5.6")
def test_export(mount_peer: Peer, export: bytes, pytestconfig: pytest.Config) -> None:
    """EXPORT lists what can be mounted."""
    found = exports(mount_peer)
    assert found
    if not pytestconfig.getoption("--export"):
        assert export in found


@pytest.mark.rule("RFC 5531 §9")
def test_unknown_version(mount_peer: Peer) -> None:
    """A version that is not served gets the range of those that are."""
    reply = mount_peer.ask(call(mount_peer.xid(), MOUNT, 99, 0))
    assert reply is not None
    assert reply[4:24] == w(1, 0, 0, 0, 2)
    low, high = (int.from_bytes(reply[at : at + 4], "big") for at in (24, 28))
    assert 1 <= low <= high < 99
