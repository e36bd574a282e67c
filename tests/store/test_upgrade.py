"""A volume of format 1, made by the nfsrpc that wrote it (commit 4d67143), goes on in the present format."""

import shutil
import stat
from pathlib import Path

import pytest

from nfsrpc.nfs.handles import HandleSealer
from nfsrpc.store import Ufid
from nfsrpc.store.volume import NotAVolume, Volume, VolumeInUse, VolumeLock, upgrade
from nfsrpc.store.volume.database import Database
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.quota import Limits, set_limits
from nfsrpc.store.volume.superblock import FORMAT, SuperblockFile
from nfsrpc.store.volume.upgrade import upgrade_volume

FSID = 2996203220
HANDLE = bytes.fromhex("0100004db2966ed4000000000000000400007f12000000000047fe5b253e1b63")
SPARSE = Ufid(4, 32530)
"""As the old version printed them: the fsid, and the handle of /d/sparse through export 77."""


@pytest.fixture
def old(tmp_path):
    """The volume, unpacked."""
    shutil.unpack_archive(Path(__file__).with_name("format1.tar.xz"), tmp_path)
    return tmp_path / "format1"


def check_contents(path):
    volume = Volume.open(path)
    assert volume.fsid == FSID
    assert HandleSealer(volume.fsid, volume.key).open(HANDLE)[2] == SPARSE
    with volume.work(changing=False):
        assert volume.recall([b"key"]) == {b"key": b"result"}
        root = volume.getattr(volume.root)
        assert (root.uid, root.gid) == (5, 6)
        found = {entry.name: volume.lookup(volume.root, entry.name) for entry in volume.readdir(volume.root, 2, 99)[0]}
        assert found.keys() == {b"d", b"link", b"symlink", b"tty", b"empty"}
        assert found[b"link"].ufid == SPARSE
        assert found[b"tty"].rdev == 0x0501
        assert volume.readlink(found[b"symlink"].ufid) == b"d/sparse"
        sparse = volume.lookup(found[b"d"].ufid, b"sparse")
        assert (stat.S_IMODE(sparse.mode), sparse.uid, sparse.nlink) == (0o640, 7, 2)
        assert (sparse.mtime, sparse.atime) == (10**18, 10**18 + 7)
        assert volume.read(SPARSE, 0, 1 << 21)[0] == b"start".ljust(1 << 20, b"\0") + b"end"
    volume.close()


def test_upgraded(old, once):
    assert upgrade_volume(old) == 1
    assert upgrade_volume(old) == FORMAT, "and once more does nothing"
    assert list(check_volume(old)) == []
    check_contents(old)
    # What the new format is for.
    set_limits(old, 7, Limits(inodes=2))
    volume = Volume.open(old)
    generation = once(volume, "create", volume.root, b"new", stat.S_IFREG | 0o644, 0, 0).generation
    assert generation > SPARSE.generation + 100, "the block that the old version had reserved is not used again"
    volume.close()
    assert list(check_volume(old)) == []


@pytest.mark.parametrize("opening", [Volume.open, VolumeLock, lambda path: next(check_volume(path))])
def test_what_to_do_is_said(old, opening):
    with pytest.raises(NotAVolume) as caught:
        opening(old)
    assert str(caught.value) == f"{old}: volume format 1; `nfsrpc upgrade {old}` brings it to format {FORMAT}"


@pytest.mark.parametrize("place", ["the tables", "the superblock"])
def test_broken_off(old, monkeypatch, place):
    with monkeypatch.context() as patch:

        def fail(*arguments, **named):
            raise OSError("no")

        patch.setattr(*((Database, "run", fail) if place == "the tables" else (SuperblockFile, "update", fail)))
        with pytest.raises(OSError):
            upgrade_volume(old)
    with pytest.raises(NotAVolume, match="volume format 1"):
        Volume.open(old)
    assert upgrade_volume(old) == 1
    check_contents(old)


def test_not_under_a_server(old):
    upgrade_volume(old)
    with VolumeLock(old), pytest.raises(VolumeInUse):
        upgrade_volume(old)


def test_every_older_format_has_its_step():
    assert set(upgrade.STEPS) == set(range(1, FORMAT))
