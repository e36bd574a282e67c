"""Contents and attributes."""

import contextlib
import errno
import gc
import itertools
import os
import random
import stat
import time
import tracemalloc

import pytest

from nfsrpc.store import Changes, Store
from nfsrpc.store.volume import Volume, VolumeLimits, VolumeLock
from nfsrpc.store.volume.fsck import check_volume

REG, DIR, LNK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777
US = 1000


@pytest.fixture
def file(volume, once):
    return once(volume, "create", volume.root, b"f", REG, 10, 20).ufid


def whole(volume, node):
    with volume.work(changing=False):
        return volume.read(node, 0, 1 << 24)[0]


def test_it_is_a_store(volume):
    store: Store = volume
    assert store.getattr(store.root).inode == store.root.inode


def test_new_file(volume, once):
    before = time.time_ns()
    row = once(volume, "create", volume.root, b"f", stat.S_IFREG | 0o7755, 4294967294, 65534)
    after = time.time_ns()
    assert (row.mode, row.nlink, row.uid, row.gid) == (stat.S_IFREG | 0o7755, 1, 4294967294, 65534)
    assert (row.size, row.used, row.rdev) == (0, 0, 0)
    assert before <= row.atime == row.mtime == row.ctime <= after
    assert list((volume.path / "data").iterdir()) == [], "contents come with the first write"
    directory = once(volume, "create", volume.root, b"d", DIR, 0, 0)
    assert (directory.nlink, directory.size) == (2, 4096)
    assert volume.getattr(volume.root).nlink == 3


def test_setattr(volume, once, file):
    before = volume.getattr(file)
    changes = Changes(mode=0o170777, uid=1, gid=2, atime=3, mtime=4)
    row = once(volume, "setattr", file, changes)
    assert (row.mode, row.uid, row.gid, row.atime, row.mtime) == (stat.S_IFREG | 0o777, 1, 2, 3, 4)
    assert row.ctime >= before.ctime + US
    assert before.mode == REG, "attributes that were handed out stay as they are"
    assert once(volume, "setattr", file, Changes()) == row
    row = once(volume, "setattr", file, Changes(size=5, mtime=9))
    assert (row.size, row.mtime) == (5, 9)


def test_each_change_can_be_told_by_its_time(volume_path, once):
    """Also when the clock stands still, or goes back."""
    ticks = [10**18]
    volume = Volume.open(volume_path, now=lambda: ticks[0])
    node = once(volume, "create", volume.root, b"f", REG, 0, 0).ufid
    seen = [volume.getattr(node)]
    for number in range(6):
        ticks[0] -= number * 10**8 // 2
        with volume.work(changing=True):
            with volume.step():
                seen.append(volume.write(node, 0, b"x"))
            with volume.step():
                seen.append(volume.setattr(node, Changes(size=number)))
    for old, new in itertools.pairwise(seen):
        assert new.ctime >= old.ctime + US
        assert new.mtime >= old.mtime + US
    chmod = once(volume, "setattr", node, Changes(mode=0o600))
    assert chmod.ctime >= seen[-1].ctime + US
    assert chmod.mtime == seen[-1].mtime
    assert volume.getattr(node).atime == seen[0].atime
    ticks[0] += 10**12
    assert once(volume, "write", node, 0, b"y").ctime == ticks[0]
    volume.close()


def test_an_mtime_set_ahead_becomes_the_present(volume_path, once):
    """As on a local disk; ctime, which nobody can set, never goes back."""
    ticks = [10**18]
    with contextlib.closing(Volume.open(volume_path, now=lambda: ticks[0])) as volume:
        node = once(volume, "create", volume.root, b"f", REG, 0, 0).ufid
        ahead = once(volume, "setattr", node, Changes(mtime=2 * 10**18))
        assert ahead.mtime == 2 * 10**18
        ticks[0] += 10**9
        assert once(volume, "setattr", node, Changes(mode=0o600)).mtime == 2 * 10**18
        assert once(volume, "write", node, 0, b"x").mtime == ticks[0]
        ticks[0] -= 10**12
        row = once(volume, "write", node, 0, b"y")
        assert row.mtime == ticks[0]
        assert row.ctime > ticks[0] + 10**12


def test_reading_and_empty_writes_change_nothing(volume, once, file):
    before = once(volume, "write", file, 0, b"data")
    whole(volume, file)
    assert once(volume, "write", file, 100, b"") == before
    assert volume.getattr(file) == before


def test_reads_at_the_end(volume, once, file):
    once(volume, "write", file, 0, b"0123456789")
    with volume.work(changing=False):
        for offset, count, expected in [
            (0, 4, b"0123"),
            (8, 4, b"89"),
            (10, 4, b""),
            (1 << 40, 4, b""),
            (3, 0, b""),
            (0, 100, b"0123456789"),
        ]:
            data, row = volume.read(file, offset, count)
            assert data == expected
            assert row.size == 10


def test_sparse(volume, once, file):
    once(volume, "write", file, 5 << 30, b"end")
    row = volume.getattr(file)
    assert row.size == (5 << 30) + 3
    assert 0 < row.used <= 65536
    with volume.work(changing=False):
        assert volume.read(file, 1 << 30, 100)[0] == bytes(100)
        assert volume.read(file, (5 << 30) - 2, 100)[0] == b"\0\0end"
    once(volume, "setattr", file, Changes(size=1 << 62))
    with volume.work(changing=False):
        assert volume.read(file, (1 << 62) - 10, 100)[0] == bytes(10)
    row = once(volume, "setattr", file, Changes(size=0))
    assert (row.size, row.used) == (0, 0)


def test_extended_without_contents(volume, once, file):
    once(volume, "setattr", file, Changes(size=100))
    assert whole(volume, file) == bytes(100)
    once(volume, "write", file, 50, b"x")
    assert whole(volume, file) == bytes(50) + b"x" + bytes(49)


def host_file(volume, node):
    (found,) = (volume.path / "data").glob(f"*/{node.inode:08x}.*")
    return found


def test_cut_behind_the_commit(volume, once, file):
    once(volume, "write", file, 0, b"a" * 10000)
    volume.begin(True)
    with volume.step():
        volume.setattr(file, Changes(size=10))
    assert host_file(volume, file).stat().st_size == 10000
    volume.commit()
    assert host_file(volume, file).stat().st_size == 10
    once(volume, "unlink", volume.root, b"f")
    assert list((volume.path / "data").glob("*/*")) == []


SHRINK_AND_EXTEND = [
    [("cut", 100), ("write", 5000, b"x")],
    [("cut", 100), ("cut", 20000)],
    [("cut", 0), ("write", 0, b"new")],
    [("cut", 0), ("write", 9000, b"new"), ("cut", 9001), ("cut", 30000), ("cut", 50)],
    [("write", 10000, b"more"), ("cut", 10002), ("cut", 10004)],
    [("cut", 9000), ("write", 0, b"Z" * 9000), ("cut", 9001)],
    [("write", 30000, b"far"), ("cut", 100), ("write", 200, b"y"), ("cut", 40000)],
]


@pytest.mark.parametrize("calls", SHRINK_AND_EXTEND)
@pytest.mark.parametrize("end", ["commit", "abort"])
def test_cut_and_extended_in_one_unit(volume, once, file, calls, end):
    """What was cut off is zero afterwards; and still there, if the unit comes to nothing."""
    original = random.Random(1).randbytes(10000)
    once(volume, "write", file, 0, original)
    model = bytearray(original)
    volume.begin(True)
    for kind, offset, *data in calls:
        with volume.step():
            if kind == "cut":
                volume.setattr(file, Changes(size=offset))
                del model[offset:]
                model.extend(bytes(offset - len(model)))
            else:
                volume.write(file, offset, data[0])
                model.extend(bytes(max(0, offset + len(data[0]) - len(model))))
                model[offset : offset + len(data[0])] = data[0]
        assert volume.read(file, 0, 1 << 20)[0] == model
    getattr(volume, end)()
    overwrites = any(kind == "write" and offset < 9000 and data[0][:1] == b"Z" for kind, offset, *data in calls)
    if end == "commit":
        assert whole(volume, file) == model
    elif not overwrites:
        assert whole(volume, file) == original
    else:
        assert whole(volume, file)[9000:] == original[9000:]
    volume.close()
    assert list(check_volume(volume.path)) == []


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_cut_and_written_where_only_zeros_were(volume, once, file, end):
    """The host file was short already: there is nothing to cut, but zeros that a unit which fails must leave."""
    once(volume, "write", file, 0, b"start")
    once(volume, "setattr", file, Changes(size=20000))
    volume.begin(True)
    with volume.step():
        volume.setattr(file, Changes(size=100))
    with volume.step():
        volume.write(file, 100, b"x" * 5000)
    getattr(volume, end)()
    assert whole(volume, file) == b"start".ljust(100, b"\0") + (b"x" * 5000 if end == "commit" else bytes(19900))
    volume.close()
    assert list(check_volume(volume.path)) == []


def test_holes_are_kept_by_the_copy(volume, once, file):
    once(volume, "write", file, 0, b"start")
    once(volume, "write", file, 8 << 20, b"middle")
    once(volume, "write", file, 16 << 20, b"end")
    with volume.work(changing=True):
        with volume.step():
            volume.setattr(file, Changes(size=12 << 20))
        with volume.step():
            row = volume.write(file, 14 << 20, b"new end")
    assert row.used < 1 << 20
    with volume.work(changing=False):
        assert volume.read(file, 0, 6)[0] == b"start\0"
        assert volume.read(file, 8 << 20, 6)[0] == b"middle"
        assert volume.read(file, (14 << 20) - 3, 100)[0] == b"\0\0\0new end"
    volume.close()
    assert list(check_volume(volume.path)) == []


def open_descriptors(volume):
    data = str(volume.path / "data") + "/"
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith(data)
        except OSError:
            continue
    return count


def test_descriptors_are_bounded(volume_path, once):
    volume = Volume.open(volume_path, limits=VolumeLimits(descriptors=5))
    nodes = []
    for number in range(20):
        node = once(volume, "create", volume.root, b"%d" % number, REG, 0, 0).ufid
        once(volume, "write", node, 0, b"%d" % number)
        nodes.append(node)
    for number, node in enumerate(nodes):
        assert whole(volume, node) == b"%d" % number
        assert open_descriptors(volume) <= 5
    with volume.work(changing=True):
        for node in nodes:
            with volume.step():
                volume.write(node, 2, b"!")
    assert [whole(volume, node)[2:] for node in nodes] == [b"!"] * 20
    assert open_descriptors(volume) <= 5
    for number in range(20):
        once(volume, "unlink", volume.root, b"%d" % number)
    assert open_descriptors(volume) == 0
    volume.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_short_of_descriptors(volume, once, monkeypatch, code):
    """Those kept for speed are given up; without any, the call fails and the server goes on."""
    nodes = [once(volume, "create", volume.root, b"%d" % number, REG, 0, 0).ufid for number in range(4)]
    for node in nodes:
        once(volume, "write", node, 0, b"data")
    volume.close()
    volume = Volume.open(volume.path)
    plain = os.open

    def short(*arguments, **named):
        if open_descriptors(volume) >= allowed:
            raise OSError(code, os.strerror(code))
        return plain(*arguments, **named)

    monkeypatch.setattr(os, "open", short)
    allowed = 1
    with volume.work(changing=True):
        for node in nodes[:2]:
            assert volume.read(node, 0, 10)[0] == b"data"
        with volume.step():
            volume.write(nodes[2], 0, b"DATA")
        with pytest.raises(OSError) as caught, volume.step():
            volume.write(nodes[3], 0, b"DATA")
        assert caught.value.errno == code
    allowed = 2
    assert [whole(volume, node) for node in nodes] == [b"data", b"data", b"DATA", b"data"]
    volume.close()
    assert list(check_volume(volume.path)) == []


@pytest.mark.parametrize("calls", [[("write", 0)], [("write", 100)], [("cut", 50), ("write", 100)], [("cut", 5000)]])
def test_contents_that_are_lost(volume, once, calls):
    """EIO for writing as for reading, and nothing happens to the rest of the unit."""
    node = once(volume, "create", volume.root, b"f", REG, 0, 0).ufid
    once(volume, "write", node, 0, b"x" * 100)
    volume.close()
    volume = Volume.open(volume.path)
    host_file(volume, node).unlink()
    volume.begin(True)
    *before, last = calls
    for _, size in before:
        with volume.step():
            volume.setattr(node, Changes(size=size))
    kind, number = last
    with pytest.raises(OSError) as caught, volume.step():
        if kind == "write":
            volume.write(node, number, b"y")
        else:
            volume.setattr(node, Changes(size=number))
    assert caught.value.errno == errno.EIO
    with volume.step():
        other = volume.create(volume.root, b"other", REG, 0, 0).ufid
        volume.write(other, 0, b"fine")
    volume.commit()
    assert whole(volume, other) == b"fine"
    volume.close()


def test_removed_files_hold_no_space_in_another_process(volume_path, once):
    with VolumeLock(volume_path) as lock:
        first, second = Volume(volume_path, lock), Volume(volume_path, lock)
        node = once(first, "create", first.root, b"f", REG, 0, 0).ufid
        once(first, "write", node, 0, bytes(range(256)) * 4096)
        whole(second, node)
        held = os.open(host_file(first, node), os.O_RDONLY)
        once(first, "unlink", first.root, b"f")
        assert os.fstat(held).st_size == 0
        os.close(held)
        first.close()
        second.close()


def test_caches_are_bounded(volume_path, once):
    """The walk over many files goes on with few of them in memory."""
    volume = Volume.open(volume_path, limits=VolumeLimits(cached_inodes=10, cached_names=10))
    with volume.work(changing=True):
        for number in range(200):
            with volume.step():
                volume.create(volume.root, b"%d" % number, REG, 0, 0)
    for _ in range(3):
        with volume.work(changing=False):
            found = [volume.lookup(volume.root, b"%d" % number).inode for number in range(200)]
        assert found == list(range(3, 203))
    volume.close()


def test_memory_does_not_grow_with_the_number_of_files(volume_path):
    volume = Volume.open(volume_path, limits=VolumeLimits(cached_inodes=100, cached_names=100))

    def make(start):
        for first in range(start, start + 2000, 50):
            with volume.work(changing=True):
                for number in range(first, first + 50):
                    with volume.step():
                        volume.create(volume.root, b"%d" % number, REG, 0, 0)
                        volume.remember(b"key %d" % number, b"client", b"result")

    make(0)
    tracemalloc.start()
    try:
        make(2000)
        assert tracemalloc.get_traced_memory()[0] < 300_000
    finally:
        tracemalloc.stop()
        volume.close()


def test_changes_need_a_changing_unit(volume, once, file):
    with volume.work(changing=False):
        for call in (
            lambda: volume.write(file, 0, b"x"),
            lambda: volume.setattr(file, Changes(mode=0)),
            lambda: volume.create(volume.root, b"x", REG, 0, 0),
            lambda: volume.unlink(volume.root, b"f"),
            lambda: volume.rename(volume.root, b"f", volume.root, b"g"),
        ):
            with pytest.raises(RuntimeError):
                call()
    with pytest.raises(RuntimeError):
        volume.commit()
    volume.begin(True)
    with pytest.raises(RuntimeError):
        volume.begin(False)
    volume.abort()
    assert whole(volume, file) == b""


def test_statfs(volume, once, file):
    host = os.statvfs(volume.path)
    space = volume.statfs()
    assert space.block_size == host.f_frsize
    assert space.total == host.f_blocks * host.f_frsize
    assert 0 < space.available <= space.free < space.total
    assert space.inodes - space.inodes_free == 2
    once(volume, "unlink", volume.root, b"f")
    assert volume.statfs().inodes_free == space.inodes_free + 1


def test_close_gives_up_every_descriptor(volume_path, once):
    gc.collect()  # others' descriptors may be garbage that closes meanwhile
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        volume = Volume.open(volume_path)
        with volume.work(changing=True):
            for _number in range(5):
                with volume.step():
                    node = volume.create(volume.root, os.urandom(8).hex().encode(), REG, 0, 0)
                    volume.write(node.ufid, 0, b"x")
        volume.close()
        volume.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_handle_survives_everything_but_removal(volume_path, once):
    volume = Volume.open(volume_path)
    a = once(volume, "create", volume.root, b"a", DIR, 0, 0).ufid
    node = once(volume, "create", a, b"f", REG, 0, 0).ufid
    once(volume, "write", node, 0, b"data")
    once(volume, "link", node, volume.root, b"l")
    once(volume, "rename", a, b"f", volume.root, b"g")
    once(volume, "unlink", volume.root, b"l")
    volume.close()
    volume = Volume.open(volume_path)
    assert whole(volume, node) == b"data"
    once(volume, "unlink", volume.root, b"g")
    with volume.work(changing=False), pytest.raises(OSError) as caught:
        volume.getattr(node)
    assert caught.value.errno == errno.ESTALE
    volume.close()
