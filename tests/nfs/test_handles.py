"""Handles: what they survive, and everything that must not get through."""

import random
import time
from struct import pack_into

import pytest

from nfsrpc.nfs.handles import HandleSealer, fsid_of
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.store import OldKey, Ufid
from nfsrpc.store.volume.identity import rekey_volume

KINDS = ("volume", "directory")

SEALER = HandleSealer(0x11223344, b"k" * 32)
HANDLE = SEALER.seal(0xABCD, Ufid(5, 6))


def test_layout_is_what_the_docs_say():
    assert len(HANDLE) == 32
    assert HANDLE[:24].hex() == "01" "00" "abcd" "11223344" "0000000000000005" "00000006" "00000000"
    assert SEALER.open(HANDLE) == (0xABCD, 0x11223344, Ufid(5, 6), True)
    assert fsid_of(HANDLE) == 0x11223344
    assert fsid_of(HANDLE[1:]) == 0


def test_another_process_with_the_key_opens_it():
    assert HandleSealer(0x11223344, b"k" * 32).open(HANDLE) == SEALER.open(HANDLE)


@pytest.mark.parametrize("bit", range(256))
def test_no_bit_may_change(bit):
    forged = bytearray(HANDLE)
    forged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(OSError, match=r"[Ss]tale"):
        SEALER.open(bytes(forged))


@pytest.mark.parametrize("data", [b"", HANDLE[:31], HANDLE + b"\0", bytes(32), b"\xff" * 32])
def test_other_shapes_are_stale(data):
    with pytest.raises(OSError, match=r"[Ss]tale"):
        SEALER.open(data)


def test_another_key_or_fsid_is_stale():
    for other in (HandleSealer(0x11223344, b"x" * 32), HandleSealer(0x11223345, b"k" * 32)):
        with pytest.raises(OSError, match=r"[Ss]tale"):
            other.open(HANDLE)


def fattr_or_status(site, handle):
    return site.nfs().NFSPROC_GETATTR(v2.nfs_fh(handle)).status


def create(site, name):
    wanted = v2.sattr(0o644, *[2**32 - 1] * 3, *[v2.nfstime(2**32 - 1, 2**32 - 1)] * 2)
    result = site.nfs().NFSPROC_CREATE(v2.createargs(v2.diropargs(site.root, name), wanted))
    return result.diropres.file, result.diropres.attributes.fileid


def test_handle_outlives_restart_and_rename(site):
    file, _ = create(site, b"a")
    rename = v2.renameargs(v2.diropargs(site.root, b"a"), v2.diropargs(site.root, b"b"))
    assert site.nfs().NFSPROC_RENAME(rename) == s.NFS_OK
    site.restart()
    assert fattr_or_status(site, file.data) == s.NFS_OK


def test_handle_of_a_removed_file_is_stale_also_when_its_inode_number_is_back(site, kind):
    old, number = create(site, b"a")
    assert site.nfs().NFSPROC_REMOVE(v2.diropargs(site.root, b"a")) == s.NFS_OK
    assert fattr_or_status(site, old.data) == s.NFSERR_STALE
    new, again = create(site, b"a")
    assert (again == number) == (kind == "volume")  # a plain directory gives out no number twice
    assert fattr_or_status(site, old.data) == s.NFSERR_STALE
    assert fattr_or_status(site, new.data) == s.NFS_OK


def test_random_and_flipped_handles_open_nothing(site):
    rng = random.Random(1)
    file, _ = create(site, b"a")
    for _ in range(2000):
        forged = bytearray(file.data)
        at = rng.randrange(256)
        forged[at // 8] ^= 1 << at % 8
        assert fattr_or_status(site, bytes(forged)) == s.NFSERR_STALE
        assert fattr_or_status(site, rng.randbytes(32)) == s.NFSERR_STALE


def test_a_handle_of_another_export_is_stale(make_site):
    one, other = make_site("one"), make_site("other")
    assert fattr_or_status(one, other.root.data) == s.NFSERR_STALE


def test_a_handle_with_a_number_of_no_export_is_stale_though_sealed_well(site):
    (export,) = site.exports
    forged = export.sealer.seal(export.number ^ 1, site.volume.root)
    assert fattr_or_status(site, forged) == s.NFSERR_STALE
    wrong = bytearray(site.root.data)
    pack_into(">I", wrong, 16, 0)
    assert fattr_or_status(site, bytes(wrong)) == s.NFSERR_STALE


def test_mount_gives_the_handle_that_nfs_takes(site):
    result = mnt.MOUNTPROG_1_client(site.caller()).MOUNTPROC_MNT(b"/vol")
    assert result.status == 0
    assert result.directory == site.root.data


@pytest.mark.interpreted  # tuples are made anew where they leave compiled code
def test_what_is_remembered_of_handles_is_the_same_object_and_bounded(site):
    (export,) = site.exports
    first, second = export.handle(Ufid(1, 1)), export.handle(Ufid(2, 1))
    opened = site.exports.open(first)
    assert site.exports.open(second) == (export, Ufid(2, 1))
    assert export.handle(Ufid(1, 1)) is first
    assert site.exports.open(first) is opened
    for inode in range(3, 20_000):
        site.exports.open(export.handle(Ufid(inode, 1)))
        assert len(export.sealer._sealed) <= 16_384
        assert len(site.exports._opened) <= 16_384
    assert site.exports.open(first) == (export, Ufid(1, 1))


def test_8192_handles_are_remembered():
    sealer = HandleSealer(1, b"k" * 32)
    first = sealer.seal(1, Ufid(0, 1))
    for inode in range(1, 8192):
        sealer.seal(1, Ufid(inode, 1))
    assert sealer.seal(1, Ufid(0, 1)) is first
    sealer.seal(1, Ufid(8192, 1))
    again = sealer.seal(1, Ufid(0, 1))
    assert (again == first, again is first) == (True, False)


@pytest.mark.parametrize(("now", "good"), [(149, b"kj"), (150, b"k"), (199, b"k"), (200, b"")])
def test_under_an_old_key_as_long_as_it_is_good(now, good):
    sealer = HandleSealer(0x11223344, b"n" * 32, (OldKey(b"k" * 32, 200), OldKey(b"j" * 32, 150)), lambda: now)
    assert sealer.open(sealer.seal(5, Ufid(2, 3))) == (5, 0x11223344, Ufid(2, 3), True)
    for letter in b"kjx":
        under_old = HandleSealer(0x11223344, bytes([letter]) * 32).seal(5, Ufid(2, 3))
        if letter in good:
            assert sealer.open(under_old) == (5, 0x11223344, Ufid(2, 3), False)
        else:
            with pytest.raises(OSError, match=r"[Ss]tale"):
                sealer.open(under_old)


@pytest.mark.parametrize("kind", ["volume"], indirect=True)
def test_a_volume_with_a_new_key(site):
    """Handles under the old one are taken until its time is over, and not from memory after that."""
    file, fileid = create(site, b"a")
    old_root = site.root
    rekey_volume(site.path, 3600 * 10**9)
    site.restart()
    new = site.nfs().NFSPROC_LOOKUP(v2.diropargs(old_root, b"a")).diropres.file
    assert (new.data != file.data, new.data[:24]) == (True, file.data[:24])
    for each in (file, new):
        assert site.nfs().NFSPROC_GETATTR(each).attributes.fileid == fileid
    rekey_volume(site.path, 10**9, now=lambda: time.time_ns() - 2 * 10**9)
    site.restart()
    assert fattr_or_status(site, new.data) == s.NFSERR_STALE
    assert fattr_or_status(site, file.data) == s.NFS_OK
    assert file.data not in site.exports._opened
