"""The host fails: a failed commit leaves nothing, and what is cached is right again."""

import contextlib
import ctypes
import errno
import itertools
import os
import resource
import shutil
import stat
import subprocess

import pytest

from nfsrpc.store import Changes
from nfsrpc.store.volume import Volume, host, make_volume, schema
from nfsrpc.store.volume.database import Database
from nfsrpc.store.volume.fsck import check_volume

REG = stat.S_IFREG | 0o644


def names(volume):
    with volume.work(changing=False):
        return sorted(entry.name for entry in volume.readdir(volume.root, 2, 10000)[0])


def contents(volume, name):
    with volume.work(changing=False):
        return volume.read(volume.lookup(volume.root, name).ufid, 0, 1 << 24)[0]


def failing(code):
    def fail(*arguments, **named):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def filled(volume, once):
    node = once(volume, "create", volume.root, b"old", REG, 0, 0).ufid
    once(volume, "write", node, 0, b"o" * 10000)
    return volume, node


@pytest.mark.parametrize("function", ["fdatasync", "fsync"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_sync_that_fails(filled, once, monkeypatch, function, code):
    volume, node = filled
    before = volume.getattr(node)
    with monkeypatch.context() as patch:
        patch.setattr(os, function, failing(code))
        volume.begin(True)
        with volume.step():
            fresh = volume.create(volume.root, b"new", REG, 0, 0)
            volume.write(fresh.ufid, 0, b"data")
            volume.setattr(node, Changes(size=100))
            volume.write(node, 20000, b"far")
        volume.remember(b"key", b"client", b"result")
        with pytest.raises(OSError) as caught:
            volume.commit()
        assert caught.value.errno == code
    volume.abort()
    assert names(volume) == [b"old"]
    assert contents(volume, b"old") == b"o" * 10000
    with volume.work(changing=True):
        assert volume.getattr(node) == before
        assert volume.recall([b"key"]) == {}
        with pytest.raises(OSError) as caught:
            volume.getattr(fresh.ufid)
        assert caught.value.errno == errno.ESTALE
    again = once(volume, "create", volume.root, b"new", REG, 0, 0)
    assert again.inode == fresh.inode
    assert again.generation > fresh.generation
    once(volume, "write", again.ufid, 3, b"x")
    assert contents(volume, b"new") == b"\0\0\0x"
    volume.close()
    assert list(check_volume(volume.path)) == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_the_disk_refuses_at_once(filled, once, monkeypatch, code):
    """What the host says when it begins to write it need not say again."""
    volume, node = filled

    def refuse(*arguments):
        ctypes.set_errno(code)
        return -1

    with monkeypatch.context() as patch:
        patch.setattr(host, "_start", refuse)
        with pytest.raises(OSError) as caught:
            once(volume, "write", node, 0, b"new")
    assert caught.value.errno == code
    once(volume, "write", node, 20000, b"later")
    assert len(contents(volume, b"old")) == 20005


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ESPIPE])
def test_a_host_that_cannot_begin_early(filled, once, monkeypatch, code):
    volume, node = filled

    def unable(*arguments):
        ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(host, "_start", unable)
    once(volume, "write", node, 0, b"new")
    monkeypatch.setattr(host, "_start", None)
    once(volume, "write", node, 3, b"er")
    assert contents(volume, b"old").startswith(b"newero")


def test_one_of_many_syncs_fails(volume, once, monkeypatch):
    nodes = [once(volume, "create", volume.root, b"%d" % number, REG, 0, 0).ufid for number in range(12)]
    calls = itertools.count()
    plain = os.fdatasync

    def fail_once(descriptor):
        if next(calls) == 5:
            raise OSError(errno.EIO, "no")
        plain(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail_once)
        volume.begin(True)
        for node in nodes:
            with volume.step():
                volume.write(node, 0, b"data")
        with pytest.raises(OSError):
            volume.commit()
    with volume.work(changing=False):
        assert [volume.getattr(node).size for node in nodes] == [0] * 12
    with volume.work(changing=True):
        for node in nodes:
            with volume.step():
                volume.write(node, 0, b"data")
    assert contents(volume, b"11") == b"data"
    volume.close()
    assert list(check_volume(volume.path)) == []


@pytest.mark.interpreted
def test_the_database_gives_up_in_the_middle(filled, monkeypatch):
    """Nothing of the unit may become durable by itself when its transaction is gone."""
    volume, _ = filled
    plain = Database.one

    def one(self, statement, values=()):
        if statement == schema.NAME_GET:
            self.run(schema.ROLLBACK)
            raise OSError(errno.EIO, "no")
        return plain(self, statement, values)

    volume.begin(True)
    with volume.step():
        volume.create(volume.root, b"first", REG, 0, 0)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "one", one)
        with pytest.raises(OSError), volume.step():
            volume.create(volume.root, b"second", REG, 0, 0)
    with pytest.raises(OSError), volume.step():
        volume.create(volume.root, b"third", REG, 0, 0)
    with pytest.raises(OSError):
        volume.commit()
    assert names(volume) == [b"old"]
    volume.close()
    assert list(check_volume(volume.path)) == []


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.interpreted
def test_the_commit_itself_fails(filled, once, monkeypatch, done):
    """Whether the database has the unit after all cannot be known; either way the volume is whole."""
    volume, node = filled
    plain = Database.run

    def run(self, statement, values=()):
        if statement == "COMMIT":
            if done:
                plain(self, statement, values)
            raise OSError(errno.EIO, "no")
        return plain(self, statement, values)

    volume.begin(True)
    with volume.step():
        fresh = volume.create(volume.root, b"new", REG, 0, 0)
        volume.write(fresh.ufid, 0, b"data")
        volume.write(node, 10000, b"more")
        volume.setattr(node, Changes(size=10002))
    with monkeypatch.context() as patch:
        patch.setattr(Database, "run", run)
        with pytest.raises(OSError):
            volume.commit()
    assert names(volume) == ([b"new", b"old"] if done else [b"old"])
    assert contents(volume, b"old") == b"o" * 10000 + (b"mo" if done else b"")
    assert not done or contents(volume, b"new") == b"data"
    volume.close()
    assert [finding for finding in check_volume(volume.path) if not finding.leftover] == []


@pytest.mark.interpreted
def test_the_end_of_a_reading_unit_fails(filled, once, monkeypatch):
    """The transaction that stayed open is in nobody's way."""
    volume, node = filled
    plain = Database.run

    def run(self, statement, values=()):
        if statement == schema.COMMIT:
            raise OSError(errno.EIO, "no")
        return plain(self, statement, values)

    for changing in (False, True):
        volume.begin(False)
        volume.readdir(volume.root, 0, 10)
        with monkeypatch.context() as patch:
            patch.setattr(Database, "run", run)
            with pytest.raises(OSError):
                volume.commit()
        volume.abort()
        with volume.work(changing=changing):
            assert volume.getattr(node).size == 10000


@pytest.mark.parametrize(
    ("statement", "asked"),
    [(schema.COMMIT, 1), (schema.BEGIN, 0), (schema.BEGIN, 1), (schema.VERSION, 0), (schema.VERSION, 1)],
    ids=str,
)
@pytest.mark.interpreted
def test_moving_a_reading_unit_on_fails(filled, once, monkeypatch, statement, asked):
    """A unit that lost its snapshot on the way cannot end well; the next is as any other."""
    volume, node = filled
    once(volume, "setattr", node, Changes(size=20000))
    for method in ("run", "one"):
        plain = getattr(Database, method)

        def refusing(self, wanted, values=(), plain=plain):
            if wanted == statement:
                raise OSError(errno.EIO, "no")
            return plain(self, wanted, values)

        monkeypatch.setattr(Database, method, refusing)
    refused, statement = statement, ""
    volume.begin(False)
    for _ in range(asked):
        volume.readdir(volume.root, 0, 10)
    statement = refused
    with pytest.raises(OSError):
        volume.read(node, 15000, 10)
    statement = ""
    with pytest.raises(OSError):
        volume.commit()
    volume.abort()
    with volume.work(changing=False):
        assert volume.read(node, 15000, 10)[0] == bytes(10)


@pytest.mark.parametrize("function", ["ftruncate", "unlink"])
def test_what_follows_a_commit_fails(filled, once, monkeypatch, function):
    """The change is done; the host's space is given back at the next start."""
    volume, node = filled
    with monkeypatch.context() as patch:
        patch.setattr(os, function, failing(errno.EIO))
        once(volume, "setattr", node, Changes(size=10))
        once(volume, "unlink", volume.root, b"old")
        once(volume, "create", volume.root, b"more", REG, 0, 0)
        assert names(volume) == [b"more"]
        volume.close()
        # A host that goes on refusing does not keep the volume from being served.
        volume = Volume.open(volume.path)
        assert names(volume) == [b"more"]
        volume.close()
    assert {finding.leftover for finding in check_volume(volume.path)} == {True}
    Volume.open(volume.path).close()
    assert list(check_volume(volume.path)) == []


def test_a_write_that_fails_is_undone_alone(filled, once, monkeypatch):
    volume, node = filled
    volume.begin(True)
    with volume.step():
        volume.create(volume.root, b"kept", REG, 0, 0)
    with monkeypatch.context() as patch, pytest.raises(OSError) as caught, volume.step():
        fresh = volume.create(volume.root, b"gone", REG, 0, 0)
        patch.setattr(os, "pwrite", failing(errno.ENOSPC))
        volume.write(fresh.ufid, 0, b"data")
    assert caught.value.errno == errno.ENOSPC
    with volume.step():
        volume.write(node, 0, b"n")
    volume.commit()
    assert names(volume) == [b"kept", b"old"]
    assert contents(volume, b"old")[:2] == b"no"
    volume.close()
    assert list(check_volume(volume.path)) == []


@contextlib.contextmanager
def largest_file(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_database_cannot_grow(filled, once):
    volume, _ = filled
    grown = max(file.stat().st_size for file in volume.path.glob("meta.sqlite*"))
    with largest_file(grown + 20000):
        volume.begin(True)
        with pytest.raises(OSError):
            for number in range(3000):
                with volume.step():
                    volume.create(volume.root, b"%0200d" % number, REG, 0, 0)
            volume.commit()
        volume.abort()
    assert names(volume) == [b"old"]
    once(volume, "create", volume.root, b"new", REG, 0, 0)
    assert names(volume) == [b"new", b"old"]
    volume.close()
    assert list(check_volume(volume.path)) == []


def test_a_file_cannot_grow(filled, once):
    volume, node = filled
    with largest_file(1 << 20), pytest.raises(OSError) as caught:
        once(volume, "write", node, 2 << 20, b"far")
    assert caught.value.errno == errno.EFBIG
    assert contents(volume, b"old") == b"o" * 10000


@pytest.fixture(params=["tmpfs", "ext4"])
def small_disk(request, tmp_path):
    """A file system of some 20 MB, in memory or in a file: the one knows at once that it is full, the other later."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if request.param == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "none", disk]
    else:
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(24 << 20)
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("mkfs.ext4 is not installed")
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        mount = ["mount", "-o", "loop", image, disk]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip(f"mounting {request.param} is not allowed here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.root
def test_a_full_disk(small_disk, once):
    fill_disk(small_disk / "volume", once)


def fill_disk(path, once):
    make_volume(path)
    with contextlib.closing(Volume.open(path)) as volume:
        fill_volume(volume, once)
    assert list(check_volume(path)) == []


def fill_volume(volume, once):
    node = once(volume, "create", volume.root, b"big", REG, 0, 0).ufid
    sparse = once(volume, "create", volume.root, b"sparse", REG, 0, 0).ufid
    once(volume, "write", sparse, 30 << 20, b"end")
    size = 0
    with pytest.raises(OSError) as caught:
        for _ in range(1000):
            once(volume, "write", node, size, b"b" * 65536)
            size += 65536
    assert caught.value.errno == errno.ENOSPC
    assert contents(volume, b"big") == b"b" * size
    with pytest.raises(OSError) as caught:
        once(volume, "create", volume.root, b"new", REG, 0, 0)
    assert caught.value.errno == errno.ENOSPC
    assert volume.statfs().available == 0
    # A hole of a file that is there already is new data, too.
    with pytest.raises(OSError) as caught:
        once(volume, "write", sparse, 0, b"s" * 65536)
    assert caught.value.errno == errno.ENOSPC
    # Somebody else on the disk takes most of what is kept back, too.
    with open(volume.path.parent / "other", "wb") as other:
        other.write(bytes(volume.statfs().free - (1 << 20)))
    once(volume, "write", node, 0, b"in place")
    once(volume, "unlink", volume.root, b"big")
    once(volume, "create", volume.root, b"after", REG, 0, 0)
    assert names(volume) == [b"after", b"sparse"]
