"""Keys and fsids through time: what becomes of a volume's handles."""

import os
import shutil

import pytest

from nfsrpc.store.volume import Volume, VolumeError, VolumeInUse, VolumeLock
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.identity import adopt_volume, rekey_volume
from nfsrpc.store.volume.superblock import SuperblockFile

REG = 0o100644


def superblock_of(path):
    file = SuperblockFile(path)
    try:
        return file.read()
    finally:
        file.close()


def test_keys_one_after_the_other(volume_path):
    keys = [superblock_of(volume_path).key]
    for number in range(4):
        old = rekey_volume(volume_path, 100 + number, now=lambda number=number: number)
        assert [each.key for each in old] == keys
        assert old[0].until == 100 + number + number
        keys.insert(0, superblock_of(volume_path).key)
        assert superblock_of(volume_path).old_keys == old
    assert len(set(keys)) == 5
    with pytest.raises(VolumeError, match="4 older keys are still good"):
        rekey_volume(volume_path, 100, now=lambda: 50)
    # At 102 the two oldest have gone; a key that is given up at once is not kept.
    old = rekey_volume(volume_path, 0, now=lambda: 103)
    assert [each.key for each in old] == keys[1:3]
    assert list(check_volume(volume_path)) == []


def test_a_new_key_beside_a_server(volume, once):
    """The server goes on reserving generations, and does not undo the new key by it."""
    limits_reached = volume._limits.generation_block + 1
    old = rekey_volume(volume.path, 10**9)
    with volume.work(changing=True), volume.step():
        for number in range(limits_reached):
            volume.create(volume.root, b"%d" % number, REG, 0, 0)
    superblock = superblock_of(volume.path)
    assert superblock.old_keys == old
    assert superblock.key != volume.key


def test_a_copy_is_not_served_as_the_original(volume_path, tmp_path, once):
    volume = Volume.open(volume_path)
    once(volume, "create", volume.root, b"f", REG, 0, 0)
    volume.close()
    copy = tmp_path / "copy"
    shutil.copytree(volume_path, copy)
    before = superblock_of(copy)
    for opening in (Volume.open, VolumeLock):
        with pytest.raises(VolumeError) as caught:
            opening(copy)
        assert f"the volume was copied here; `nfsrpc adopt {copy}` makes it a volume of its own" in str(caught.value)
    adopt_volume(copy)
    after = superblock_of(copy)
    assert (after.fsid != before.fsid, after.key != before.key) == (True, True)
    assert after.reserved == before.reserved
    volume = Volume.open(copy)
    assert (volume.fsid, volume.key) == (after.fsid, after.key)
    volume.close()
    assert list(check_volume(copy)) == []


def test_a_volume_that_was_moved(volume_path, tmp_path):
    before = superblock_of(volume_path)
    os.rename(volume_path, tmp_path / "here")
    Volume.open(tmp_path / "here").close()
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    adopt_volume(tmp_path / "there", moved=True)
    after = superblock_of(tmp_path / "there")
    assert (after.fsid, after.key) == (before.fsid, before.key)
    Volume.open(tmp_path / "there").close()


def test_not_under_a_server(volume_path):
    with VolumeLock(volume_path), pytest.raises(VolumeInUse):
        adopt_volume(volume_path)
