"""A snapshot is a volume of its own, as the original was at one instant, whoever was writing."""

import contextlib
import errno
import os
import random
import runpy
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from nfsrpc.nfs.handles import HandleSealer
from nfsrpc.store import Changes
from nfsrpc.store.volume import NotAVolume, Volume, VolumeError, VolumeLock, make_volume, sparse
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.quota import Limits, all_quotas, set_limits
from nfsrpc.store.volume.snapshot import Snapshot

REG, DIR, LNK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777
workload = runpy.run_path(str(Path(__file__).with_name("crash_workload.py")))


def take(path, target):
    Snapshot(path, target).make(lambda size: None)


@contextlib.contextmanager
def opened(path):
    volume = Volume.open(path)
    try:
        with volume.work(changing=False):
            yield volume
    finally:
        volume.close()


@pytest.mark.parametrize("served", [True, False])
def test_the_same_tree_and_another_identity(volume_path, tmp_path, served):
    volume = Volume.open(volume_path, limits=workload["LIMITS"])
    for number in range(60):
        workload["run_unit"](volume, 5, number)
    with volume.work(changing=False):
        before = workload["tree"](volume)
        ufids = {volume.lookup(volume.root, entry.name).ufid for entry in volume.readdir(volume.root, 0, 99)[0]}
    sealed = HandleSealer(volume.fsid, volume.key).seal(1, volume.root)
    if not served:
        volume.close()
    set_limits(volume_path, 1, Limits(inodes=1000))
    copy = tmp_path / "copy"
    done = []
    making = Snapshot(volume_path, copy)
    superblock = making.make(done.append)
    assert 0 < sum(done) <= making.size
    assert making.files == len(list(copy.glob("data/*/*")))
    assert superblock.fsid != volume.fsid
    with pytest.raises(OSError) as caught:
        HandleSealer(superblock.fsid, superblock.key).open(sealed)
    assert caught.value.errno == errno.ESTALE
    assert sorted(os.listdir(copy)) == ["data", "lock", "meta.sqlite", "superblock", "writer"]
    assert list(check_volume(copy)) == []
    assert all_quotas(copy) == all_quotas(volume_path)
    with opened(copy) as found:
        assert workload["tree"](found) == before
        assert found.recall([workload["key_of"](5, number) for number in range(60)]) == {}, "calls of the original's"
    made = Volume.open(copy)
    with made.work(changing=True), made.step():
        assert made.create(made.root, b"new", REG, 0, 0).ufid not in ufids
    made.close()
    volume.close()


def test_holes_stay_holes(volume, once, tmp_path):
    file = once(volume, "create", volume.root, b"f", REG, 0, 0).ufid
    for offset in (0, 10 << 20, 3 << 30):
        once(volume, "write", file, offset, b"x" * 5000)
    once(volume, "setattr", file, Changes(size=5 << 30))
    take(volume.path, tmp_path / "copy")
    (original,) = volume.path.glob("data/*/*")
    (copied,) = (tmp_path / "copy").glob("data/*/*")
    assert copied.stat().st_blocks <= original.stat().st_blocks
    with opened(tmp_path / "copy") as copy:
        assert copy.getattr(file).size == 5 << 30
        for offset in (0, 10 << 20, 3 << 30):
            assert copy.read(file, offset, 8192)[0] == (b"x" * 5000).ljust(8192, b"\0")


def test_what_lies_behind_the_end_is_not_copied(volume_path, tmp_path, once):
    """Neither bytes that a killed server has left, nor what it had still to clear away."""
    volume = Volume.open(volume_path)
    file = once(volume, "create", volume.root, b"f", REG, 0, 0).ufid
    once(volume, "write", file, 0, b"all of it")
    volume.close()
    (original,) = volume_path.glob("data/*/*")
    with original.open("ab") as host:
        host.write(b"left by a crash")
    take(volume_path, tmp_path / "copy")
    assert list(check_volume(tmp_path / "copy")) == []
    (copied,) = (tmp_path / "copy").glob("data/*/*")
    assert copied.read_bytes() == b"all of it"


def test_where_it_cannot(volume, once, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    with pytest.raises(OSError) as caught:
        take(volume.path, tmp_path / "full")
    assert caught.value.errno == errno.ENOTEMPTY
    with pytest.raises(FileNotFoundError):
        take(volume.path, tmp_path / "no" / "parent")
    with pytest.raises(NotAVolume):
        take(tmp_path, tmp_path / "copy")
    once(volume, "write", once(volume, "create", volume.root, b"f", REG, 0, 0).ufid, 0, b"data")
    (original,) = volume.path.glob("data/*/*")
    original.unlink()
    with pytest.raises(VolumeError, match="inode 3 has lost its contents"):
        take(volume.path, tmp_path / "copy")
    assert os.listdir(tmp_path / "full") == ["precious"]
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("step", ["copy_sparse", "sync_file_system", "write_new", "sync_path"])
def test_nothing_is_left_of_one_that_failed(volume, once, tmp_path, monkeypatch, step):
    once(volume, "write", once(volume, "create", volume.root, b"f", REG, 0, 0).ufid, 0, b"data")
    (tmp_path / "there").mkdir()
    with monkeypatch.context() as patch:

        def fail(*arguments):
            raise OSError(errno.EIO, "no")

        patch.setattr(f"nfsrpc.store.volume.snapshot.{step}", fail)
        for target in ("there", "new"):
            with pytest.raises(OSError):
                take(volume.path, tmp_path / target)
    assert os.listdir(tmp_path / "there") == []
    assert not (tmp_path / "new").exists()
    once(volume, "create", volume.root, b"goes on", REG, 0, 0)


FILES = 40


def write_for_ever(path, lock, number, ready):
    """A worker: each unit writes one text to two files in different places, with a name that says it."""
    volume = Volume(path, lock)
    rng = random.Random(number)
    turn = 0
    while True:
        pair = rng.randrange(FILES)
        text = b"%08d " % (number * 1000000 + turn) * rng.randrange(1, 3000)
        with volume.work(changing=True), volume.step():
            for side in (b"a", b"b"):
                directory = volume.lookup(volume.root, side).ufid
                name = b"%d" % pair
                with contextlib.suppress(FileNotFoundError):
                    old = volume.lookup(directory, name)
                    if rng.randrange(3):
                        volume.setattr(old.ufid, Changes(size=0))
                        volume.write(old.ufid, 0, text)
                        continue
                    volume.unlink(directory, name)
                volume.write(volume.create(directory, name, REG, 0, 0).ufid, 0, text)
        turn += 1
        if turn == 20:
            os.write(ready, b"x")


def fork_writer(path, lock, number, ready):
    pid = os.fork()
    if not pid:
        try:
            write_for_ever(path, lock, number, ready)
        finally:
            os._exit(1)
    return pid


def check_pairs(path):
    """Both files of a pair are the same, whatever was written when the snapshot was taken."""
    assert list(check_volume(path)) == []
    with opened(path) as volume:
        sides = [volume.lookup(volume.root, side).ufid for side in (b"a", b"b")]
        names = [{entry.name for entry in volume.readdir(side, 2, 1000)[0]} for side in sides]
        assert names[0] == names[1] != set()
        for name in names[0]:
            texts = [volume.read(volume.lookup(side, name).ufid, 0, 1 << 20)[0] for side in sides]
            assert texts[0] == texts[1]
            assert texts[0] == texts[0][:9] * (len(texts[0]) // 9) != b""


@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.full)])
def test_taken_while_others_write(tmp_path, rounds):
    path = tmp_path / "volume"
    make_volume(path)
    reading, writing = os.pipe()
    with VolumeLock(path) as lock:
        volume = Volume(path, lock)
        with volume.work(changing=True), volume.step():
            for side in (b"a", b"b"):
                volume.create(volume.root, side, DIR, 0, 0)
        volume.close()
        pids = [fork_writer(path, lock, number, writing) for number in range(2)]
        try:
            os.read(reading, 1)
            for number in range(rounds):
                copy = tmp_path / f"copy{number}"
                take(path, copy)
                check_pairs(copy)
                shutil.rmtree(copy)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(reading)
            os.close(writing)
    check = [finding for finding in check_volume(path) if not finding.leftover]
    assert check == []


@pytest.mark.parametrize("way", ["in the kernel", "by hand"])
def test_ways_of_copying(tmp_path, monkeypatch, way):
    if way == "by hand":

        def unable(*arguments):
            raise OSError(errno.EXDEV, "no")

        monkeypatch.setattr(os, "copy_file_range", unable)
    data = random.Random(1).randbytes(20 << 20)
    (tmp_path / "a").write_bytes(data)
    done = []
    with open(tmp_path / "a", "rb") as source, open(tmp_path / "b", "wb+") as target:
        sparse.copy_sparse(source.fileno(), target.fileno(), 17 << 20, done.append)
    assert (tmp_path / "b").read_bytes() == data[: 17 << 20]
    assert sum(done) == 17 << 20


@pytest.fixture
def sharing_disk(tmp_path):
    """A mounted file system that can share blocks."""
    for make in (["mkfs.btrfs", "-q"], ["mkfs.xfs", "-q"]):
        if shutil.which(make[0]):
            image, disk = tmp_path / "image", tmp_path / "disk"
            with image.open("wb") as file:
                file.truncate(512 << 20)
            disk.mkdir()
            subprocess.run([*make, image], check=True, capture_output=True)
            if subprocess.run(["mount", "-o", "loop", image, disk], check=False, capture_output=True).returncode == 0:
                yield disk
                subprocess.run(["umount", disk], check=True)
                return
    pytest.skip("no file system with shared blocks can be mounted here")


@pytest.mark.root
def test_blocks_are_shared_where_they_can(sharing_disk, once):
    make_volume(sharing_disk / "volume")
    volume = Volume.open(sharing_disk / "volume")
    file = once(volume, "create", volume.root, b"f", REG, 0, 0).ufid
    for part in range(100):
        once(volume, "write", file, part << 20, bytes([part + 1]) * (1 << 20))
    before = volume.statfs().free
    take(volume.path, sharing_disk / "copy")
    assert before - volume.statfs().free < 30 << 20
    once(volume, "write", file, 0, b"changed")
    volume.close()
    with opened(sharing_disk / "copy") as copy:
        assert copy.read(file, 0, 10)[0] == b"\1" * 10
        assert copy.read(file, 99 << 20, 10)[0] == b"\x64" * 10
