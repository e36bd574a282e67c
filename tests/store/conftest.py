"""Volumes for the tests of the store."""

import itertools

import pytest

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
