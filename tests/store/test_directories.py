"""Names and cookies."""

import errno
import os
import stat

import pytest

from nfsrpc.store import Entry
from nfsrpc.store.volume import Volume, VolumeLimits
from nfsrpc.store.volume.fsck import check_volume

REG, DIR = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755


def page(volume, directory, cookie=0, limit=1000):
    with volume.work(changing=False):
        return volume.readdir(directory, cookie, limit)


def test_cookies_count_up_and_are_never_reused(volume, once):
    root = volume.root
    for name in (b"a", b"b", b"c"):
        once(volume, "create", root, name, REG, 0, 0)
    once(volume, "unlink", root, b"c")
    once(volume, "create", root, b"d", REG, 0, 0)
    entries, last = page(volume, root)
    assert last
    assert [(entry.name, entry.cookie) for entry in entries] == [(b".", 1), (b"..", 2), (b"a", 3), (b"b", 4), (b"d", 6)]
    assert entries[:2] == [Entry(2, b".", 1), Entry(2, b"..", 2)]


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 5, 6, 100])
def test_pages(volume, once, limit):
    for name in (b"a", b"b", b"c"):
        once(volume, "create", volume.root, name, REG, 0, 0)
    whole = page(volume, volume.root)[0]
    for start in range(6):
        entries, last = page(volume, volume.root, start, limit)
        assert entries == whole[start : start + limit]
        assert last == (start + limit >= 5)
    assert page(volume, volume.root, 0xFFFFFFFF, 5) == ([], True)


def test_paging_while_names_come_and_go(volume, once):
    """Every untouched name comes exactly once, whatever happens around it."""
    root = volume.root
    for number in range(30):
        once(volume, "create", root, b"%02d" % number, REG, 0, 0)
    seen, cookie, last, turn = [], 0, False, 0
    while not last and turn < 100:
        entries, last = page(volume, root, cookie, 4)
        seen += [entry.name for entry in entries]
        cookie = entries[-1].cookie if entries else cookie
        once(volume, "unlink", root, b"%02d" % (3 * turn)) if turn < 10 else None
        if turn < 8:
            once(volume, "rename", root, b"%02d" % (3 * turn + 1), root, b"r%02d" % turn)
            once(volume, "create", root, b"new%02d" % turn, REG, 0, 0)
        turn += 1
    untouched = {b"%02d" % number for number in range(30) if number % 3 == 2} | {b"25", b"28"}
    assert untouched <= set(seen)
    assert len(seen) == len(set(seen))


def test_rename_in_place_is_not_listed_again(volume, once):
    """A client that renames each file it is told of comes to an end."""
    for number in range(10):
        once(volume, "create", volume.root, b"f%d" % number, REG, 0, 0)
    cookie, renamed = 2, 0
    while True:
        entries, last = page(volume, volume.root, cookie, 1)
        for entry in entries:
            once(volume, "rename", volume.root, entry.name, volume.root, b"r" + entry.name)
            cookie = entry.cookie
            renamed += 1
        if last:
            break
    assert renamed == 10


def test_exhausted_cookies_are_numbered_anew(volume_path, once):
    volume = Volume.open(volume_path, limits=VolumeLimits(cookie=10))
    root = volume.root
    for number in range(20):
        once(volume, "create", root, b"%d" % number, REG, 0, 0)
        if number >= 4:
            once(volume, "unlink", root, b"%d" % (number - 4))
        entries, last = page(volume, root)
        names = [b"%d" % kept for kept in range(max(0, number - 3), number + 1)]
        assert [entry.name for entry in entries[2:]] == names
        assert [entry.cookie for entry in entries] == sorted({entry.cookie for entry in entries})
        assert entries[-1].cookie <= 10
        assert last
    volume.close()
    assert list(check_volume(volume_path)) == []


def test_a_directory_can_be_full(volume_path, once):
    volume = Volume.open(volume_path, limits=VolumeLimits(cookie=10))
    for number in range(8):
        once(volume, "create", volume.root, b"%d" % number, REG, 0, 0)
    with pytest.raises(OSError) as caught:
        once(volume, "create", volume.root, b"8", REG, 0, 0)
    assert caught.value.errno == errno.ENOSPC
    assert len(page(volume, volume.root)[0]) == 10
    volume.close()
    assert list(check_volume(volume_path)) == []


def test_renumbering_many(volume_path, once):
    """More names than are renumbered at once, in a unit that is undone, then in one that is not."""
    volume = Volume.open(volume_path)
    with volume.work(changing=True):
        for number in range(2500):
            with volume.step():
                volume.create(volume.root, b"%04d" % number, REG, 0, 0)
        for number in range(0, 2500, 2):
            with volume.step():
                volume.unlink(volume.root, b"%04d" % number)
    before = page(volume, volume.root, 0, 10000)
    volume.close()
    volume = Volume.open(volume_path, limits=VolumeLimits(cookie=2502))
    with pytest.raises(RuntimeError), volume.work(changing=True), volume.step():
        volume.create(volume.root, b"x", REG, 0, 0)
        raise RuntimeError
    assert page(volume, volume.root, 0, 10000) == before
    once(volume, "create", volume.root, b"x", REG, 0, 0)
    entries = page(volume, volume.root, 0, 10000)[0]
    assert [entry.name for entry in entries] == [entry.name for entry in before[0]] + [b"x"]
    assert [entry.cookie for entry in entries] == list(range(1, len(entries) + 1))
    volume.close()


def test_dots(volume, once):
    a = once(volume, "create", volume.root, b"a", DIR, 0, 0).ufid
    b = once(volume, "create", a, b"b", DIR, 0, 0).ufid
    with volume.work(changing=False):
        assert volume.lookup(b, b".").ufid == b
        assert volume.lookup(b, b"..").ufid == a
        assert volume.lookup(a, b"..").ufid == volume.root
        assert volume.lookup(volume.root, b"..").ufid == volume.root
    once(volume, "rename", a, b"b", volume.root, b"b")
    with volume.work(changing=False):
        assert volume.lookup(b, b"..").ufid == volume.root
        assert volume.readdir(b, 1, 1)[0] == [Entry(2, b"..", 2)]


@pytest.mark.parametrize("limit", [2, 3])
def test_link_limits(volume_path, once, limit):
    volume = Volume.open(volume_path, limits=VolumeLimits(links=limit))
    root = volume.root
    file = once(volume, "create", root, b"f", REG, 0, 0).ufid
    for number in range(limit - 1):
        once(volume, "link", file, root, b"l%d" % number)
    for number in range(limit - 2):
        once(volume, "create", root, b"d%d" % number, DIR, 0, 0)
    for call in (("link", file, root, b"one more"), ("create", root, b"one more", DIR, 0, 0)):
        with pytest.raises(OSError) as caught:
            once(volume, *call)
        assert caught.value.errno == errno.EMLINK
    volume.close()
    assert list(check_volume(volume_path)) == []


def test_what_changes_the_times_of_directories(volume, once):
    root = volume.root
    other = once(volume, "create", root, b"other", DIR, 0, 0).ufid
    file = once(volume, "create", root, b"f", REG, 0, 0).ufid
    calls = [
        (("create", root, b"g", REG, 0, 0), {root}, set()),
        (("link", file, other, b"l"), {other}, {file}),
        (("unlink", other, b"l"), {other}, {file}),
        (("rename", root, b"f", root, b"h"), {root}, {file}),
        (("rename", root, b"h", other, b"h"), {root, other}, {file}),
        (("rename", other, b"h", root, b"g"), {root, other}, {file}),
        (("create", other, b"d", DIR, 0, 0), {other}, set()),
        (("rename", other, b"d", root, b"d"), {root, other}, set()),
        (("rmdir", root, b"d"), {root}, set()),
    ]
    for call, directories, files in calls:
        before = {node: volume.getattr(node) for node in (root, other, file)}
        once(volume, *call)
        for node, old in before.items():
            new = volume.getattr(node)
            assert (new.mtime > old.mtime) == (node in directories), (call, node)
            assert (new.ctime > old.ctime) == (node in directories | files), (call, node)


def test_names_survive_reopening(volume_path, once):
    volume = Volume.open(volume_path)
    names = [os.urandom(12).replace(b"/", b"_").replace(b"\0", b"_") for _ in range(50)]
    for name in names:
        once(volume, "create", volume.root, name, REG, 0, 0)
    volume.close()
    volume = Volume.open(volume_path)
    assert [entry.name for entry in page(volume, volume.root)[0][2:]] == names
    volume.close()


def names_of(volume):
    return {entry.name: entry.inode for entry in volume.readdir(volume.root, 2, 10000)[0]}


@pytest.mark.parametrize("look", [False, True])
def test_names_that_change_places_in_one_unit(volume, once, look):
    """Each keeps its cookie on the way; a look at the directory in between changes nothing."""
    inodes = {name: once(volume, "create", volume.root, name, REG, 0, 0).inode for name in (b"a", b"b", b"c")}
    with volume.work(changing=True):
        for old, new in [(b"a", b"t"), (b"b", b"a"), (b"t", b"b"), (b"c", b"d"), (b"d", b"c")]:
            with volume.step():
                volume.rename(volume.root, old, volume.root, new)
            if look:
                assert names_of(volume)[new]
        for _ in range(2):
            with volume.step():
                volume.create(volume.root, b"x", REG, 0, 0)
            with volume.step():
                volume.unlink(volume.root, b"x")
            assert not look or b"x" not in names_of(volume)
    expected = {b"a": inodes[b"b"], b"b": inodes[b"a"], b"c": inodes[b"c"]}
    assert names_of(volume) == expected
    volume.close()
    assert list(check_volume(volume.path)) == []
    volume = Volume.open(volume.path)
    assert names_of(volume) == expected
    volume.close()


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_a_step_that_looked_and_failed(volume, once, end):
    """What the steps before it did stays, though the look had written it together with what is taken back."""
    once(volume, "create", volume.root, b"old", REG, 0, 0)
    volume.begin(True)
    with volume.step():
        volume.create(volume.root, b"kept", REG, 0, 0)
        volume.unlink(volume.root, b"old")
    with pytest.raises(OSError), volume.step():
        volume.create(volume.root, b"gone", REG, 0, 0)
        assert set(names_of(volume)) == {b"kept", b"gone"}
        volume.rename(volume.root, b"kept", volume.root, b"moved")
        volume.create(volume.root, b"old", REG, 0, 0)
        raise OSError
    assert set(names_of(volume)) == {b"kept"}
    getattr(volume, end)()
    assert set(names_of(volume)) == ({b"kept"} if end == "commit" else {b"old"})
    volume.close()
    assert list(check_volume(volume.path)) == []


def test_numbers_are_used_again_lowest_first(volume, once):
    with volume.work(changing=True):
        for number in range(200):
            with volume.step():
                assert volume.create(volume.root, b"%d" % number, REG, 0, 0).inode == number + 3
    once(volume, "unlink", volume.root, b"199")
    with volume.work(changing=True):
        for number in range(150):
            with volume.step():
                volume.unlink(volume.root, b"%d" % number)
        with pytest.raises(OSError), volume.step():
            assert volume.create(volume.root, b"undone", REG, 0, 0).inode == 3
            raise OSError
        with volume.step():
            assert volume.create(volume.root, b"first", REG, 0, 0).inode == 3
    made = []
    for number in range(200):
        with volume.work(changing=True):
            with volume.step():
                made.append(volume.create(volume.root, b"new %d" % number, REG, 0, 0).inode)
            with pytest.raises(OSError), volume.step():
                volume.create(volume.root, b"undone", REG, 0, 0)
                raise OSError
    assert made == [*range(4, 153), 202, *range(203, 253)]
    once(volume, "unlink", volume.root, b"new 5")
    assert once(volume, "create", volume.root, b"again", REG, 0, 0).inode == made[5]
    volume.close()
    assert list(check_volume(volume.path)) == []
