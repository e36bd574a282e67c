"""Several processes on one volume, and who may have it."""

import errno
import fcntl
import os
import stat
import sys

import pytest

from nfsrpc.store import Changes
from nfsrpc.store.volume import NotAVolume, Volume, VolumeInUse, VolumeLock
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.writer import WRITER_FILE

REG, DIR = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755


@pytest.fixture
def pair(volume_path):
    """Two objects on one volume, as two workers of one server have them."""
    with VolumeLock(volume_path) as lock:
        first, second = Volume(volume_path, lock), Volume(volume_path, lock)
        yield first, second
        first.close()
        second.close()


def test_each_sees_at_once_what_the_other_did(pair, once):
    first, second = pair
    root = first.root
    file = once(first, "create", root, b"f", REG, 0, 0).ufid
    for round_number in range(5):
        for volume, other in (pair, pair[::-1]):
            data = b"%d" % round_number * 10000
            once(volume, "write", file, 0, data)
            with other.work(changing=False):
                assert other.read(file, 0, 1 << 20)[0] == data
            once(volume, "setattr", file, Changes(size=5))
            with other.work(changing=False):
                assert other.read(file, 0, 1 << 20) == (data[:5], other.getattr(file))
            once(volume, "rename", root, b"f", root, b"g")
            with other.work(changing=False):
                assert other.lookup(root, b"g").ufid == file
                with pytest.raises(FileNotFoundError):
                    other.lookup(root, b"f")
            once(other, "rename", root, b"g", root, b"f")
    once(second, "unlink", root, b"f")
    with first.work(changing=False), pytest.raises(OSError) as caught:
        first.read(file, 0, 1)
    assert caught.value.errno == errno.ESTALE


def test_a_unit_is_one_snapshot(pair, once):
    first, second = pair
    root = first.root
    file = once(first, "create", root, b"f", REG, 0, 0).ufid
    first.begin(False)
    assert [entry.name for entry in first.readdir(root, 2, 10)[0]] == [b"f"]
    once(second, "rename", root, b"f", root, b"g")
    once(second, "setattr", file, Changes(mode=0o600))
    assert [entry.name for entry in first.readdir(root, 2, 10)[0]] == [b"f"]
    assert first.lookup(root, b"f").mode == REG
    first.commit()
    with first.work(changing=False):
        assert first.lookup(root, b"g").mode == stat.S_IFREG | 0o600


def test_a_unit_that_comes_to_need_the_database_goes_on_in_the_newest_snapshot(pair, once):
    """What one call is answered is of one snapshot: never a name of the old one with the file of the new one."""
    first, second = pair
    root = first.root
    file = once(first, "create", root, b"f", REG, 0, 0).ufid
    once(second, "lookup", root, b"f")
    once(first, "lookup", root, b"f")
    first.begin(False)
    once(second, "unlink", root, b"f")
    other = once(second, "create", root, b"other", REG, 0, 0)
    assert other.inode == file.inode
    assert first.lookup(root, b"f").ufid == file
    assert [entry.name for entry in first.readdir(root, 2, 10)[0]] == [b"other"]
    with pytest.raises(FileNotFoundError):
        first.lookup(root, b"f")
    with pytest.raises(OSError) as caught:
        first.getattr(file)
    assert caught.value.errno == errno.ESTALE
    first.commit()


def test_a_process_that_was_killed_behind_its_commit_is_noticed(pair, once):
    """It leaves the count of changes odd, which says nothing: not even that all is as it was when it was odd before."""
    first, second = pair
    root = first.root
    file = once(first, "create", root, b"f", REG, 0, 0).ufid
    for mode in (0o600, 0o700, 0o755):
        once(second, "setattr", file, Changes(mode=mode))
        with open(first.path / WRITER_FILE, "r+b") as writer:
            count = int.from_bytes(writer.read(8), sys.byteorder)
            assert count & 1 == 0
            writer.seek(0)
            writer.write((count - 1).to_bytes(8, sys.byteorder))
        with first.work(changing=False):
            assert first.getattr(file).mode == stat.S_IFREG | mode


@pytest.mark.parametrize("change", ["cut", "remove", "replace"])
def test_contents_that_go_while_a_unit_is_open(pair, once, change):
    """The reader gets the file before the change or after it, never zeros in place of what was there."""
    first, second = pair
    root = first.root
    file = once(first, "create", root, b"f", REG, 0, 0).ufid
    once(first, "write", file, 0, b"a" * 10000)
    with second.work(changing=False):
        second.read(file, 0, 10)
    second.begin(False)
    assert second.getattr(file).size == 10000
    if change == "cut":
        once(first, "setattr", file, Changes(size=100))
        assert second.read(file, 0, 10000)[0] == b"a" * 100
    else:
        once(first, "unlink", root, b"f")
        if change == "replace":
            again = once(first, "create", root, b"f", REG, 0, 0)
            assert again.inode == file.inode
            once(first, "write", again.ufid, 0, b"b" * 10000)
        with pytest.raises(OSError) as caught:
            second.read(file, 0, 10000)
        assert caught.value.errno == errno.ESTALE
    second.commit()


def in_child(work):
    """Run `work` in a forked process; its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def joined(pids):
    return [os.waitpid(pid, 0)[1] for pid in pids]


def test_workers_forked_under_one_lock(volume_path, once):
    with VolumeLock(volume_path) as lock:
        volume = Volume(volume_path, lock)
        file = once(volume, "create", volume.root, b"count", REG, 0, 0).ufid
        once(volume, "write", file, 0, b"%8d" % 0)
        volume.close()

        def count():
            mine = Volume(volume_path, lock)
            for turn in range(25):
                with mine.work(changing=True), mine.step():
                    value = int(mine.read(file, 0, 8)[0])
                    mine.write(file, 0, b"%8d" % (value + 1))
                    made = mine.create(mine.root, b"%d-%d" % (os.getpid(), turn), DIR, 0, 0)
                    assert made.nlink == 2
            mine.close()

        assert joined([in_child(count) for _ in range(3)]) == [0, 0, 0]
        volume = Volume(volume_path, lock)
        with volume.work(changing=False):
            assert int(volume.read(file, 0, 8)[0]) == 75
            entries = volume.readdir(volume.root, 2, 1000)[0]
            assert len(entries) == 76
            assert volume.getattr(volume.root).nlink == 77
            ufids = {volume.lookup(volume.root, entry.name).ufid for entry in entries}
            assert len({ufid.generation for ufid in ufids}) == 76
        volume.close()
    assert list(check_volume(volume_path)) == []


def test_a_killed_worker_gives_its_unit_back(volume_path, once):
    with VolumeLock(volume_path) as lock:
        reading, writing = os.pipe()

        def stall():
            volume = Volume(volume_path, lock)
            volume.begin(True)
            with volume.step():
                volume.create(volume.root, b"never", REG, 0, 0)
            os.write(writing, b"x")
            signal_never = os.pipe()[0]
            os.read(signal_never, 1)

        pid = in_child(stall)
        os.read(reading, 1)
        os.kill(pid, 9)
        volume = Volume(volume_path, lock)
        once(volume, "create", volume.root, b"after", REG, 0, 0)
        with volume.work(changing=False):
            assert [entry.name for entry in volume.readdir(volume.root, 2, 10)[0]] == [b"after"]
        volume.close()
        joined([pid])
        os.close(reading)
        os.close(writing)


def test_one_server_at_a_time(volume_path):
    with VolumeLock(volume_path):
        for again in (
            lambda: VolumeLock(volume_path),
            lambda: VolumeLock(volume_path, shared=True),
            lambda: Volume.open(volume_path),
            lambda: next(check_volume(volume_path)),
        ):
            with pytest.raises(VolumeInUse) as caught:
                again()
            assert isinstance(caught.value, OSError)
            assert str(caught.value).startswith(f"{volume_path}: the volume is in use by a running server")
    Volume.open(volume_path).close()


def test_servers_that_share(volume_path):
    with VolumeLock(volume_path, shared=True), VolumeLock(volume_path, shared=True), pytest.raises(VolumeInUse):
        VolumeLock(volume_path)
    VolumeLock(volume_path).release()


def test_workers_keep_the_lock(volume_path):
    lock = VolumeLock(volume_path)
    reading, writing = os.pipe()

    def stay():
        os.close(writing)
        os.read(reading, 1)

    pid = in_child(stay)
    lock.release()
    with pytest.raises(VolumeInUse):
        VolumeLock(volume_path)
    os.close(writing)
    os.close(reading)
    assert joined([pid]) == [0]
    VolumeLock(volume_path).release()


def test_the_lock_must_be_the_volumes(volume_path, tmp_path):
    with VolumeLock(volume_path) as lock, pytest.raises(ValueError):
        Volume(tmp_path, lock)


def test_what_is_no_volume(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        for opening in (VolumeLock, Volume.open):
            with pytest.raises(NotAVolume) as caught:
                opening(path)
            assert str(caught.value) == f"{path}: not a volume; `nfsrpc mkfs` makes one"
            assert isinstance(caught.value, OSError)
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_descriptors_are_not_handed_on(volume):
    """A program that a server starts must not hold the volume's locks."""
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(str(volume.path)):
            assert fcntl.fcntl(int(name), fcntl.F_GETFD) & fcntl.FD_CLOEXEC, target
