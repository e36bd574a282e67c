"""Close-to-open consistency: two clients on one server, random interleavings, and a model of what each may see.

The rule that every NFS client keeps: whoever opens a file after another has closed it sees what that one wrote.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import Any

import pytest

from nfsrpc.client import Mount, mount
from nfsrpc.testing.served import Served

_numbers = itertools.count()
NAMES = ("a", "b", "c", "d")
LIFETIMES = {"file_min": 3600.0, "file_max": 3600.0}
"""What is cached of a file is believed for ever unless opening asks: what must not be seen would be seen."""


class Model:
    """Names to files; a file is a mutable byte string that all its names share."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}

    def write(self, client: Mount, name: str, chance: random.Random) -> None:
        """Open, write some runs, perhaps truncate, close: in the model it happens at the close."""
        mode = chance.choice(["wb", "r+b", "r+b", "ab"])
        file = self.files.get(name)
        if file is None and mode == "r+b":
            mode = "wb"
        if file is None:
            file = self.files[name] = bytearray()
        with client.open(name, mode, chance.choice([0, -1])) as remote:
            if mode == "wb":
                file.clear()
            for _ in range(chance.randrange(1, 4)):
                data = chance.randbytes(chance.choice([1, 100, 8192, 9000, 20_000]))
                offset = len(file) if mode == "ab" else chance.randrange(len(file) + 5000)
                if mode != "ab":
                    remote.seek(offset)
                remote.write(data)
                if offset > len(file):
                    file.extend(bytes(offset - len(file)))
                file[offset : offset + len(data)] = data
            if chance.random() < 0.2 and mode != "ab":
                size = chance.randrange(len(file) + 1)
                remote.truncate(size)
                del file[size:]

    def read(self, client: Mount, name: str, chance: random.Random) -> None:
        """Open and read: the model's contents, or FileNotFoundError."""
        expected = self.files.get(name)
        if expected is None:
            with pytest.raises(FileNotFoundError):
                client.open(name, "rb")
            return
        with client.open(name, "rb", chance.choice([0, -1])) as remote:
            if chance.random() < 0.5:
                assert remote.read() == expected
                return
            for _ in range(3):
                offset, size = chance.randrange(len(expected) + 1), chance.choice([1, 1000, 10_000])
                remote.seek(offset)
                assert remote.read(size) == expected[offset : offset + size]

    def rename(self, client: Mount, name: str, other: str) -> None:
        """Replace one file by another."""
        if name in self.files and name != other:
            if self.files[name] is self.files.get(other):
                return
            client.rename(name, other)
            self.files[other] = self.files.pop(name)

    def remove(self, client: Mount, name: str) -> None:
        """Take a name away."""
        if self.files.pop(name, None) is not None:
            client.remove(name)

    def link(self, client: Mount, name: str, other: str) -> None:
        """Give a file a second name."""
        if name in self.files and other not in self.files:
            client.link(name, other)
            self.files[other] = self.files[name]


def interleave(served: Served, proto: str, steps: int, seed: int) -> None:
    name = f"cto-{os.getpid()}-{next(_numbers)}"
    with mount(served.url(uid=0, gid=0)) as top:
        top.mkdir(name)
    url = served.url("/" + name, proto=proto, uid=0, gid=0)
    chance, model = random.Random(seed), Model()
    with mount(url, **LIFETIMES) as one, mount(url, **LIFETIMES) as two:
        for step in range(steps):
            client, file, other = chance.choice([one, two]), chance.choice(NAMES), chance.choice(NAMES)
            try:
                kind = chance.random()
                if kind < 0.35:
                    model.write(client, file, chance)
                elif kind < 0.85:
                    model.read(client, file, chance)
                elif kind < 0.91:
                    model.rename(client, file, other)
                elif kind < 0.95:
                    model.link(client, file, other)
                else:
                    model.remove(client, file)
            except BaseException as error:
                error.add_note(f"step {step} of seed {seed}, client {'two' if client is two else 'one'}, file {file}")
                raise
        for client in (one, two):
            for file in NAMES:
                model.read(client, file, chance)


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_no_stale_read_after_an_open_that_follows_a_close(served: Served, proto: str) -> None:
    interleave(served, proto, 500, random.randrange(1 << 32))


@pytest.mark.full
@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_interleavings(served: Served, seed: int) -> None:
    interleave(served, "udp" if seed % 2 else "tcp", 2500, seed)


def test_a_file_replaced_by_another_client_is_the_new_one_at_the_next_open(served: Served) -> None:
    with mount(served.url(uid=0, gid=0), **LIFETIMES) as one, mount(served.url(uid=0, gid=0), **LIFETIMES) as two:
        one.write_text("replaced", "old")
        assert two.read_text("replaced") == "old"
        one.write_text("new", "new")
        one.replace("new", "replaced")
        assert two.read_text("replaced") == "new"


@pytest.mark.parametrize("follow", [False, True])
def test_a_link_is_made_to_what_has_the_name_now(served: Served, follow: bool) -> None:
    with mount(served.url(uid=0, gid=0), **LIFETIMES) as one, mount(served.url(uid=0, gid=0), **LIFETIMES) as two:
        here = f"link-{follow}"
        one.mkdir(here)
        source = f"{here}/a"
        if follow:
            source = f"{here}/to-a"
            one.symlink("a", source)
        assert not two.exists(f"{here}/a")
        one.write_text(f"{here}/a", "first")
        two.link(source, f"{here}/b", follow_symlinks=follow)
        one.write_text(f"{here}/new", "second")
        one.replace(f"{here}/new", f"{here}/a")
        two.link(source, f"{here}/c", follow_symlinks=follow)
        assert [one.read_text(f"{here}/{name}") for name in "bc"] == ["first", "second"]


def test_writes_between_our_own_are_seen_at_the_next_open(served: Served) -> None:
    with mount(served.url(uid=0, gid=0), **LIFETIMES) as one, mount(served.url(uid=0, gid=0), **LIFETIMES) as two:
        one.write_bytes("between", bytes(20_000))
        with one.open("between", "r+b", 0) as ours:
            assert ours.read(20_000) == bytes(20_000)
            ours.pwrite(b"1", 10_000)
            with two.open("between", "r+b", 0) as theirs:
                theirs.pwrite(b"2", 0)
        assert one.read_bytes("between")[:1] == two.read_bytes("between")[:1] == b"2"
        assert one.read_bytes("between")[10_000:10_001] == two.read_bytes("between")[10_000:10_001] == b"1"


def test_what_has_not_changed_is_not_read_again(served: Served) -> None:
    with mount(served.url(uid=0, gid=0)) as one:
        one.write_bytes("unchanged", os.urandom(100_000))
        first = one.read_bytes("unchanged")
        asked: list[Any] = []
        submit = one._client.submit
        one._client.submit_all = None  # type: ignore[method-assign, assignment]
        one._client.submit = lambda what, *rest, **how: (asked.append(what.number), submit(what, *rest, **how))[1]  # type: ignore
        assert one.read_bytes("unchanged") == first
        assert asked == [4]  # the LOOKUP of the open
