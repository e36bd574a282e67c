"""The database's log: synced beside the next writer, and folded into the database where syncing it fails."""

import errno
import fcntl
import os
import shutil
import sqlite3
import stat

import pytest

from nfsrpc.store import Changes
from nfsrpc.store.volume import Volume, VolumeLock, log, schema
from nfsrpc.store.volume.database import FILE, Database
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.writer import WRITER_FILE

pytestmark = pytest.mark.interpreted

REG = stat.S_IFREG | 0o644


@pytest.fixture
def file(volume, once):
    """A file of 10 000 bytes."""
    node = once(volume, "create", volume.root, b"old", REG, 0, 0).ufid
    once(volume, "write", node, 0, b"o" * 10000)
    return node


def names(volume):
    with volume.work(changing=False):
        return [entry.name for entry in volume.readdir(volume.root, 2, 100)[0]]


def writer_is_free(path):
    descriptor = os.open(path / WRITER_FILE, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def content_sizes(path):
    return [each.stat().st_size for each in (path / "data").glob("*/*")]


CHANGES = [
    ("create", lambda root, node: (root, b"new", REG, 0, 0), True),
    ("write", lambda root, node: (node, 0, b"new"), True),
    ("rename", lambda root, node: (root, b"old", root, b"newer"), True),
    ("setattr", lambda root, node: (node, Changes(mode=0o600)), True),
    ("setattr", lambda root, node: (node, Changes(size=100)), False),
    ("unlink", lambda root, node: (root, b"old"), False),
]


@pytest.mark.parametrize(("method", "arguments", "free"), CHANGES)
def test_who_waits_for_the_log(volume, once, file, monkeypatch, method, arguments, free):
    """The next writer does not, unless bytes are to go that a power cut now would bring a row back for."""
    seen = []

    def sync(descriptor, real=log.sync_data):
        seen.append((writer_is_free(volume.path), content_sizes(volume.path)))
        real(descriptor)

    monkeypatch.setattr(log, "sync_data", sync)
    once(volume, method, *arguments(volume.root, file))
    assert seen == [(free, [10000])]


def test_the_next_writer_is_done_before(volume_path, once, monkeypatch):
    with VolumeLock(volume_path) as lock:
        first, second = Volume(volume_path, lock), Volume(volume_path, lock)
        pending = [(second, b"b"), (first, b"c")]
        done = []

        def sync(descriptor, real=log.sync_data):
            if pending:
                volume, name = pending.pop(0)
                once(volume, "create", first.root, name, REG, 0, 0)
                done.append(name)
            real(descriptor)

        monkeypatch.setattr(log, "sync_data", sync)
        once(first, "create", first.root, b"a", REG, 0, 0)
        assert done == [b"c", b"b"]
        for volume in (first, second):
            assert names(volume) == [b"a", b"b", b"c"]
            volume.close()
    assert list(check_volume(volume_path)) == []


def test_an_answer_found_is_synced_too(volume, monkeypatch):
    """Whoever made it may have been killed before it was on the disk."""
    with volume.work(changing=True), volume.step():
        volume.remember(b"key", b"client", b"result")
    synced = []
    monkeypatch.setattr(log, "sync_data", synced.append)
    with volume.work(changing=True):
        assert volume.recall([b"key"]) == {b"key": b"result"}
    assert len(synced) == 1


def fail(*arguments):
    raise OSError(errno.EIO, "injected")


def without_log(path, into):
    """Names in the database file alone, as after a power cut that has taken the whole log."""
    shutil.copy(path / FILE, into)
    connection = sqlite3.connect(into)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM names ORDER BY name")]
    finally:
        connection.close()


def test_a_log_that_cannot_be_synced(volume, once, file, monkeypatch, tmp_path):
    """The database takes its pages over; nobody is told of a failure that did not come to anything."""
    assert without_log(volume.path, tmp_path / "before") == []
    monkeypatch.setattr(log, "sync_data", fail)
    once(volume, "create", volume.root, b"new", REG, 0, 0)
    assert without_log(volume.path, tmp_path / "after") == [b"new", b"old"]


@pytest.fixture(params=["busy", "error"])
def dead(request, monkeypatch):
    """A disk that takes neither the log nor the database."""
    plain = Database.one

    def one(self, statement, values=()):
        if statement != schema.FOLD_LOG:
            return plain(self, statement, values)
        if request.param == "error":
            raise OSError(errno.EIO, "injected")
        return 1, 10, 0

    with monkeypatch.context() as patch:
        patch.setattr(log, "sync_data", fail)
        patch.setattr(Database, "one", one)
        yield patch


@pytest.mark.parametrize(("method", "arguments", "free"), CHANGES)
def test_neither_log_nor_database(volume, once, file, dead, method, arguments, free):
    """Calls fail until the disk is well again, also if the log could be synced: what it has may be missing pages."""
    with pytest.raises(OSError) as caught, volume.work(changing=True):
        with volume.step():
            getattr(volume, method)(*arguments(volume.root, file))
        volume.remember(b"key", b"client", b"result")
    assert caught.value.errno == errno.EIO
    assert content_sizes(volume.path) == [10000]
    dead.setattr(log, "sync_data", os.fdatasync)
    with pytest.raises(OSError) as caught, volume.work(changing=True):
        pass
    assert caught.value.errno == errno.EIO
    assert writer_is_free(volume.path)
    with volume.work(changing=False):
        volume.getattr(volume.root)
    dead.undo()
    with volume.work(changing=True):
        assert volume.recall([b"key"]) == {b"key": b"result"}
    volume.close()
    Volume.open(volume.path).close()
    left = {"unlink": [], "setattr": [100] if not free else [10000]}.get(method, [10000])
    assert content_sizes(volume.path) == left
    assert list(check_volume(volume.path)) == []
