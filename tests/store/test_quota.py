"""What an owner may have, and how large a volume may become: refused in time, nothing half-made, counted right."""

import errno
import stat

import pytest

from nfsrpc.store import Changes, Quota
from nfsrpc.store.volume import Volume, VolumeError, VolumeLock, make_volume
from nfsrpc.store.volume.accounts import WHOLE, growth
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.quota import Limits, all_quotas, set_limits

REG, DIR, LNK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777
K = 1024
ALICE, BOB = 1000, 1001


def account(volume, owner):
    with volume.work(changing=False):
        return volume.quota(owner)


def names(volume):
    with volume.work(changing=False):
        return {entry.name for entry in volume.readdir(volume.root, 2, 1000)[0]}


def whole(volume):
    volume.close()
    assert [finding for finding in check_volume(volume.path) if not finding.leftover] == []


@pytest.mark.parametrize(
    ("size", "used", "offset", "end", "expected"),
    [
        (0, 0, 0, 1, 4096),
        (0, 0, 0, 4096, 4096),
        (0, 0, 0, 4097, 8192),
        (4096, 4096, 0, 4096, 0),
        (100, 4096, 100, 200, 0),
        (4096, 4096, 4096, 4097, 4096),
        (1 << 30, 0, 5000, 5001, 4096),
        (1 << 30, 4096, 0, 8192, 8192),
        (0, 0, 1 << 30, (1 << 30) + 10, 4096),
    ],
)
def test_growth_of_a_write(size, used, offset, end, expected):
    assert growth(size, used, offset, end) == expected


def test_nothing_is_counted_without_a_limit(volume, once):
    once(volume, "create", volume.root, b"f", REG, ALICE, 0)
    assert account(volume, ALICE) is None
    assert all_quotas(volume.path) == []


def test_every_change_is_counted(volume, once):
    """After each call the accounts are what fsck counts; what was there before the first limit is in them."""
    root = volume.root
    old = once(volume, "create", root, b"old", REG, ALICE, 0).ufid
    once(volume, "write", old, 0, bytes(range(256)) * 40)
    set_limits(volume.path, ALICE, Limits(used=1 << 20))
    assert account(volume, ALICE) == Quota(1 << 20, 12 * K, 0, 1)
    new = once(volume, "create", root, b"new", REG, ALICE, 0).ufid
    calls = [
        ("write", new, 0, b"x" * 5000),
        ("write", new, 100 * K, b"x"),
        ("setattr", new, Changes(size=200 * K)),
        ("setattr", new, Changes(size=3)),
        ("setattr", new, Changes(uid=BOB)),
        ("link", new, root, b"link"),
        ("create", root, b"d", DIR, BOB, 0),
        ("create", root, b"s", LNK, BOB, 0, 0, b"target"),
        ("rename", root, b"new", root, b"s"),
        ("unlink", root, b"s"),
        ("unlink", root, b"link"),
        ("rmdir", root, b"d"),
        ("unlink", root, b"old"),
    ]
    for call in calls:
        once(volume, *call)
        assert list(all_quotas(volume.path))
        whole(volume)
        volume = Volume.open(volume.path)
    assert account(volume, ALICE) == Quota(1 << 20, 0, 0, 0)
    assert account(volume, BOB) == Quota(0, 0, 0, 0)
    assert account(volume, WHOLE) == Quota(0, 4096, 0, 1)
    volume.close()


def test_a_step_or_unit_that_fails_counts_nothing(volume, once):
    set_limits(volume.path, ALICE, Limits(inodes=5))
    volume.begin(True)
    with pytest.raises(InterruptedError), volume.step():
        volume.create(volume.root, b"a", REG, ALICE, 0)
        raise InterruptedError
    with volume.step():
        volume.create(volume.root, b"b", REG, ALICE, 0)
    assert volume.quota(ALICE) == Quota(0, 0, 5, 1)
    volume.abort()
    assert account(volume, ALICE) == Quota(0, 0, 5, 0)
    whole(volume)


@pytest.mark.parametrize("owner", [ALICE, WHOLE])
def test_no_more_than_the_limit(volume_path, once, owner):
    """EDQUOT for an owner, ENOSPC for the volume; what was there stays as it is, and other owners go on."""
    set_limits(volume_path, owner, Limits(used=64 * K))
    volume = Volume.open(volume_path)
    root = volume.root
    file = once(volume, "create", root, b"f", REG, ALICE, 0).ufid
    code = errno.EDQUOT if owner == ALICE else errno.ENOSPC
    size = 0
    with pytest.raises(OSError) as caught:
        for _ in range(100):
            once(volume, "write", file, size, b"z" * 8 * K)
            size += 8 * K
    assert caught.value.errno == code
    assert size == (64 * K if owner == ALICE else 56 * K)
    before = volume.getattr(file)
    assert before.size == size
    # Several changes in one step: none of them is left when the last is refused.
    with pytest.raises(OSError) as caught, volume.work(changing=True), volume.step():
        made = volume.create(root, b"g", REG, ALICE, 0)
        volume.write(made.ufid, 0, b"z" * 9 * K)
    assert caught.value.errno == code
    assert names(volume) == {b"f"}
    # In place is no growth; removing makes room.
    once(volume, "write", file, 0, b"new")
    once(volume, "setattr", file, Changes(size=8 * K))
    once(volume, "write", file, 8 * K, b"z" * 8 * K)
    if owner == ALICE:
        other = once(volume, "create", root, b"other", REG, BOB, 0).ufid
        once(volume, "write", other, 0, bytes(1 << 20))
        with pytest.raises(OSError) as caught:
            once(volume, "setattr", other, Changes(uid=ALICE))
        assert caught.value.errno == errno.EDQUOT
        assert volume.getattr(other).uid == BOB
    whole(volume)


@pytest.mark.parametrize("owner", [ALICE, WHOLE])
@pytest.mark.parametrize("kind", [REG, DIR, LNK])
def test_no_more_files_than_the_limit(volume_path, once, owner, kind):
    set_limits(volume_path, owner, Limits(inodes=3))
    volume = Volume.open(volume_path)
    made = 0
    with pytest.raises(OSError) as caught:
        for _ in range(10):
            once(volume, "create", volume.root, b"%d" % made, kind, ALICE, 0, 0, b"target" if kind == LNK else b"")
            made += 1
    assert caught.value.errno == (errno.EDQUOT if owner == ALICE else errno.ENOSPC)
    assert made == (3 if owner == ALICE else 2)
    assert len(names(volume)) == made
    if owner == WHOLE:
        with volume.work(changing=False):
            assert (volume.statfs().inodes, volume.statfs().inodes_free) == (3, 0)
    whole(volume)


def test_limits_hold_at_once_in_every_process(volume_path, once):
    with VolumeLock(volume_path) as lock:
        workers = [Volume(volume_path, lock) for _ in range(2)]
        root = workers[0].root
        for number, worker in enumerate(workers):
            once(worker, "create", root, b"%d" % number, REG, ALICE, 0)
        assert set_limits(volume_path, ALICE, Limits(inodes=3)) == Quota(0, 0, 3, 2)
        once(workers[0], "create", root, b"third", REG, ALICE, 0)
        for worker in workers:
            with pytest.raises(OSError) as caught:
                once(worker, "create", root, b"more", REG, ALICE, 0)
            assert caught.value.errno == errno.EDQUOT
        once(workers[1], "unlink", root, b"0")
        once(workers[0], "create", root, b"more", REG, ALICE, 0)
        assert account(workers[1], ALICE) == Quota(0, 0, 3, 3)
        set_limits(volume_path, ALICE, Limits(inodes=0))
        assert account(workers[0], ALICE) is None
        once(workers[0], "create", root, b"and more", REG, ALICE, 0)
        for worker in workers:
            worker.close()
    assert list(check_volume(volume_path)) == []


def test_a_volume_grows(tmp_path, once):
    path = tmp_path / "volume"
    make_volume(path, size=Limits(used=1 << 20))
    volume = Volume.open(path)
    file = once(volume, "create", volume.root, b"f", REG, 0, 0).ufid
    with volume.work(changing=False):
        space = volume.statfs()
    assert (space.total, space.free) == (1 << 20, (1 << 20) - 4096)
    with pytest.raises(OSError) as caught:
        once(volume, "write", file, 0, bytes(1 << 20))
    assert caught.value.errno == errno.ENOSPC
    set_limits(path, WHOLE, Limits(used=2 << 20))
    once(volume, "write", file, 0, b"x" * (1 << 20))
    with pytest.raises(VolumeError, match="1052672 bytes are in use; remove some, or give it more"):
        set_limits(path, WHOLE, Limits(used=1 << 20))
    assert account(volume, WHOLE).bytes_limit == 2 << 20
    set_limits(path, WHOLE, Limits(used=0))
    with volume.work(changing=False):
        assert volume.statfs().total > 2 << 20
    whole(volume)
