"""Stores for the tests of the store."""

import contextlib
import itertools
import os

import privileges
import pytest

from nfsrpc.store.passthrough import DirectoryLock, Passthrough
from nfsrpc.store.volume import Volume, make_volume


@pytest.fixture
def volume_path(tmp_path):
    """Path of a fresh volume."""
    path = tmp_path / "volume"
    make_volume(path, uid=0, gid=0)
    return path


@pytest.fixture
def volume(volume_path):
    """A fresh volume, opened."""
    opened = Volume.open(volume_path)
    yield opened
    opened.close()


class Directory:
    """An existing directory as a store, on a file system of the machine: opened, closed, opened again."""

    def __init__(self, base, way="handle"):
        self.path = base / "directory"
        self.path.mkdir(exist_ok=True)
        self.state = base / "state"
        self.way = way
        self.stack = contextlib.ExitStack()

    def open(self, **options):
        if self.way == "hint":
            self.stack.enter_context(privileges.without(privileges.CAP_DAC_READ_SEARCH))
        lock = self.stack.enter_context(DirectoryLock(self.path, self.state))
        store = Passthrough(lock, **options)
        self.stack.callback(store.close)
        return store

    def close(self):
        self.stack.close()


WAYS = [
    pytest.param("handle", marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_DAC_READ_SEARCH")),
    "hint",
]


@pytest.fixture(params=WAYS)
def directory(request, tmp_path):
    """A fresh directory, not yet opened, in which files are found in either way."""
    made = Directory(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def passthrough(directory):
    """A fresh directory as a store."""
    return directory.open()


@pytest.fixture(params=["volume", *WAYS])
def store(request, tmp_path):
    """Each kind of store in turn."""
    if request.param == "volume":
        yield request.getfixturevalue("volume")
        return
    made = Directory(tmp_path, request.param)
    yield made.open()
    made.close()


@pytest.fixture
def once():
    """`once(volume, "create", ...)`: one call, in a step of a unit of its own."""

    def call(volume, method, *arguments):
        with volume.work(changing=True), volume.step():
            return getattr(volume, method)(*arguments)

    return call


@pytest.fixture
def clock():
    """A clock of ns that goes on by 1 with each look, and by `clock.skip(ns)`."""

    class Clock:
        def __init__(self):
            self.ticks = itertools.count(1)
            self.skipped = 0

        def __call__(self):
            return next(self.ticks) + self.skipped

        def skip(self, nanoseconds):
            self.skipped += nanoseconds

    return Clock()
