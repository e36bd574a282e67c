"""While calls come in, another process swaps a directory for a symbolic link that leads out of the export."""

import contextlib
import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from nfsrpc.store import Changes

REG, DIR = stat.S_IFREG, stat.S_IFDIR
SECRET = b"not to be seen by any client"
FEWEST = 60
"""Times that calls must have met the directory, and the link, before the test may end."""

SWAP = """
import ctypes, os, sys
top, outside = sys.argv[1:]
names = os.fsencode(top + "/d"), os.fsencode(top + "/aside")
os.symlink(outside, names[1])
exchange = ctypes.CDLL(None).renameat2
print("swapping", flush=True)
while exchange(-100, names[0], -100, names[1], 2) == 0:
    pass
"""


@pytest.fixture
def outside(directory):
    """A directory beside the exported one, with the same names in it."""
    path = directory.path.parent / "outside"
    path.mkdir()
    (path / "sub").mkdir()
    for name in ("f", "g", "sub/f"):
        (path / name).write_bytes(SECRET)
    return path


@pytest.fixture
def inside(directory):
    path = directory.path / "d"
    (path / "sub").mkdir(parents=True)
    for name in ("f", "g", "sub/f"):
        (path / name).write_bytes(b"inside")
    return path


@contextlib.contextmanager
def swapping(directory, outside):
    process = subprocess.Popen([sys.executable, "-c", SWAP, directory.path, outside], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"swapping\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def picture(path):
    """All that can be changed from elsewhere."""
    found = {}
    for where, directories, files in os.walk(path):
        for name in (".", *directories, *files):
            one = os.lstat(os.path.join(where, name))
            found[where, name] = one.st_ino, one.st_mode, one.st_uid, one.st_size, one.st_mtime_ns, one.st_nlink
        for name in files:
            with open(os.path.join(where, name), "rb") as file:
                found[where, name] += (file.read(),)
    return found


def calls(store, turn):
    """What clients do, by names from the root and by handles that they hold; every read is checked."""
    name = b"new-%d" % (turn % 5)
    above = store.lookup(store.root, b"d")
    yield "directory" if stat.S_ISDIR(above.mode) else "link"
    node = above.ufid
    attempts = (
        lambda: store.readdir(node, 0, 100),
        lambda: read(store, store.lookup(node, b"f").ufid),
        lambda: read(store, store.lookup(store.lookup(node, b"sub").ufid, b"f").ufid),
        lambda: store.write(store.lookup(node, b"g").ufid, 0, b"inside"),
        lambda: store.setattr(store.lookup(node, b"g").ufid, Changes(mode=0o600, mtime=turn)),
        lambda: store.setattr(node, Changes(mode=0o711)),
        lambda: store.create(node, name, REG | 0o644, 0, 0),
        lambda: store.create(node, name + b"d", DIR | 0o755, 0, 0),
        lambda: store.link(store.lookup(node, b"f").ufid, node, b"linked"),
        lambda: store.rename(node, name, node, b"renamed"),
        lambda: store.rename(node, b"renamed", store.root, b"up"),
        lambda: store.unlink(node, b"linked"),
        lambda: store.unlink(store.root, b"up"),
        lambda: store.rmdir(node, name + b"d"),
        lambda: store.lookup(store.lookup(node, b"sub").ufid, b".."),
    )
    for attempt in attempts:
        with contextlib.suppress(OSError), store.step():
            attempt()


def read(store, node):
    assert store.read(node, 0, 100)[0] == b"inside"


def test_nothing_outside_is_read_or_written(directory, inside, outside):
    before = picture(outside)
    store = directory.open()
    seen = {"directory": 0, "link": 0}
    with swapping(directory, outside):
        for turn in range(20000):
            with store.work(changing=True):
                for kind in calls(store, turn):
                    seen[kind] += 1
            if min(seen.values()) >= FEWEST:
                break
    assert min(seen.values()) >= FEWEST, seen
    assert picture(outside) == before


def test_a_directory_that_is_moved_out_and_back(directory, inside, outside, once):
    """Whether it is inside is asked at every call: what is made is made inside, or nowhere."""
    store = directory.open()
    with store.work(changing=False):
        node = store.lookup(store.root, b"d").ufid
    end = threading.Event()

    def move():
        while not end.is_set():
            os.rename(inside, outside / "moved")
            os.rename(outside / "moved", inside)

    mover = threading.Thread(target=move)
    mover.start()
    made = stale = 0
    deadline = time.monotonic() + 120
    try:
        while min(made, stale) < 20 and time.monotonic() < deadline:
            with store.work(changing=True):
                try:
                    with store.step():
                        store.create(node, b"%d" % made, REG | 0o644, 0, 0)
                    made += 1
                except OSError:
                    stale += 1
    finally:
        end.set()
        mover.join()
    assert min(made, stale) >= 20, (made, stale)
    assert sorted(os.listdir(outside)) == ["f", "g", "sub"]
    assert len(os.listdir(inside)) == 3 + made
