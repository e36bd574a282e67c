"""Making volumes."""

import errno
import os
import stat

import pytest

from nfsrpc.store.volume import Volume, make_volume
from nfsrpc.store.volume.fsck import check_volume


def root_of(path):
    volume = Volume.open(path)
    try:
        with volume.work(changing=False):
            return volume.getattr(volume.root)
    finally:
        volume.close()


@pytest.mark.parametrize("exists", [True, False])
def test_made(tmp_path, exists):
    path = tmp_path / "volume"
    if exists:
        path.mkdir()
    make_volume(path)
    assert list(check_volume(path)) == []
    root = root_of(path)
    assert (root.inode, root.mode, root.nlink) == (2, stat.S_IFDIR | 0o755, 2)
    assert (root.uid, root.gid) == (os.geteuid(), os.getegid())
    assert sorted(os.listdir(path)) == ["data", "lock", "meta.sqlite", "superblock", "writer"]


def test_owner_and_mode(tmp_path):
    make_volume(tmp_path / "volume", uid=7, gid=8, mode=0o1777)
    root = root_of(tmp_path / "volume")
    assert (root.mode, root.uid, root.gid) == (stat.S_IFDIR | 0o1777, 7, 8)


@pytest.mark.parametrize("name", ["a b", "100%", "what?mode=ro", "#1", "ü", os.fsdecode(b"\xff")])
def test_any_path(tmp_path, name):
    make_volume(tmp_path / name)
    assert root_of(tmp_path / name).inode == 2
    assert list(check_volume(tmp_path / name)) == []


def test_not_over_anything(tmp_path):
    (tmp_path / "something").write_bytes(b"precious")
    with pytest.raises(OSError) as caught:
        make_volume(tmp_path)
    assert caught.value.errno == errno.ENOTEMPTY
    with pytest.raises(OSError):
        make_volume(tmp_path / "something")
    with pytest.raises(FileNotFoundError):
        make_volume(tmp_path / "no" / "parent")
    assert (tmp_path / "something").read_bytes() == b"precious"


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_left_of_one_that_failed(tmp_path, monkeypatch, exists):
    path = tmp_path / "volume"
    if exists:
        path.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.EIO, "no")))
        with pytest.raises(OSError):
            make_volume(path)
    assert path.exists() == exists
    assert not exists or os.listdir(path) == []
    make_volume(path)
    assert list(check_volume(path)) == []
