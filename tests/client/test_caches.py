"""The caches as plain objects on a clock that is passed in: lifetimes, names, pages, reading ahead."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nfsrpc.client.node import Node, Nodes
from nfsrpc.client.options import Options
from nfsrpc.client.pages import Dirty, PageCache, ReadAhead, patched
from nfsrpc.protocols.nfs_prot import fattr, ftype, nfstime
from nfsrpc.rpc.retry import RetryPolicy, RoundTrips


def attributes(kind: ftype = ftype.NFREG, *, mtime: int = 1, size: int = 0, fileid: int = 7) -> fattr:
    moment = nfstime(mtime, 0)
    return fattr(kind, 0o100644, 1, 0, 0, size, 4096, 0, 8, 1, fileid, moment, moment, moment)


@pytest.mark.parametrize(
    ("kind", "lifetimes"),
    [(ftype.NFREG, [3, 6, 12, 24, 48, 60, 60]), (ftype.NFDIR, [30, 60, 60])],
)
def test_what_stays_as_it_is_is_believed_twice_as_long_each_time(kind: ftype, lifetimes: list[float]) -> None:
    nodes, now = Nodes(Options()), 1000.0
    found = []
    for _ in lifetimes:
        node = nodes.get(b"h", attributes(kind), now)
        found.append(node.until - now)
        now = node.until
    assert found == lifetimes
    changed = nodes.get(b"h", attributes(kind, mtime=2), now)
    assert changed.until - now == lifetimes[0]


def test_being_told_again_before_the_end_is_no_proof_of_steadiness() -> None:
    nodes = Nodes(Options())
    for _ in range(5):
        node = nodes.get(b"h", attributes(), 10.0)
    assert node.until == 13.0


def test_off_is_off() -> None:
    off = Options(file_min=0, file_max=0, directory_min=0, directory_max=0)
    assert Nodes(off).get(b"h", attributes(), 10.0).until == 10.0


def test_a_directory_that_has_changed_takes_its_names_along() -> None:
    nodes = Nodes(Options())
    node = nodes.get(b"d", attributes(ftype.NFDIR), 0.0)
    node.names, node.listing = {b"a": None}, [b"b"]
    stamp = node.stamp
    assert nodes.get(b"d", attributes(ftype.NFDIR), 40.0).names == {b"a": None}
    nodes.get(b"d", attributes(ftype.NFDIR, mtime=2), 50.0)
    assert (node.names, node.listing) == ({}, None)
    assert node.stamp > stamp


def test_a_handle_that_names_another_file_is_another_node() -> None:
    nodes = Nodes(Options())
    assert nodes.get(b"h", attributes(fileid=1), 0.0) is not nodes.get(b"h", attributes(fileid=2), 0.0)


def test_nodes_are_bounded_but_open_ones_stay() -> None:
    nodes = Nodes(Options(nodes=3))
    first = nodes.get(b"0", attributes(), 0.0)
    first.opens = 1
    for number in range(1, 10):
        nodes.get(b"%d" % number, attributes(), 0.0)
    assert len(nodes) == 3
    assert nodes.get(b"0", attributes(), 0.0) is first


def test_pages_are_bounded_in_bytes_and_the_least_recently_used_go() -> None:
    cache = PageCache(30)
    for number in range(3):
        cache.put("f", number, bytes(10))
    cache.get("f", 0)
    cache.put("g", 0, bytes(10))
    assert [number in cache.numbers("f") for number in range(3)] == [True, False, True]
    assert cache.held == 30
    cache.put("g", 0, bytes(4))
    assert cache.held == 24
    cache.drop_file("f")
    assert (cache.held, 0 in cache.numbers("g")) == (4, True)
    cache.put("g", 1, bytes(31))
    assert 1 not in cache.numbers("g")


def test_reading_ahead_grows_as_long_as_the_reader_goes_on() -> None:
    ahead = ReadAhead(16)
    reach = []
    for number in range(5):
        ahead.wants(number * 10, 10, number)
        reach.append(ahead.limit - number)
    assert reach == [4, 8, 16, 16, 16]
    ahead.wants(500, 10, 50)
    assert ahead.limit == 50
    none = ReadAhead(0)
    none.wants(0, 10, 0)
    assert none.limit == 0


def test_runs_of_a_page_are_one_run_or_none() -> None:
    chance = random.Random(1)
    for _ in range(300):
        model: list[int | None] = [None] * 64
        low = chance.randrange(60)
        dirty = Dirty(64, low, bytes([1]) * chance.randrange(1, 64 - low + 1))
        model[dirty.low : dirty.high] = [1] * (dirty.high - dirty.low)
        for value in range(2, 8):
            at = chance.randrange(60)
            piece = bytes([value]) * chance.randrange(1, 64 - at + 1)
            touching = at <= dirty.high and at + len(piece) >= dirty.low
            assert dirty.add(at, piece) == touching
            if touching:
                model[at : at + len(piece)] = [value] * len(piece)
        assert list(dirty.run) == model[dirty.low : dirty.high]
        assert dirty.whole == (None not in model)


@pytest.mark.parametrize(
    ("base", "low", "run", "page"),
    [(b"", 0, b"ab", b"ab"), (b"12345", 1, b"ab", b"1ab45"), (b"1", 3, b"ab", b"1\0\0ab"), (b"12", 0, b"abc", b"abc")],
)
def test_a_page_with_a_run_in_it(base: bytes, low: int, run: bytes, page: bytes) -> None:
    assert patched(base, low, run) == page


def test_the_first_pause_follows_the_replies_within_its_bounds() -> None:
    trips = RoundTrips(RetryPolicy(first=0.7, least=0.05))
    assert trips.policy.first == 0.7
    for _ in range(50):
        trips.took(0.001)
    assert trips.policy.first == pytest.approx(0.05, rel=0.25)
    for _ in range(50):
        trips.took(0.1)
    assert 0.08 < trips.policy.first < 0.3
    for _ in range(50):
        trips.took(5.0)
    assert trips.policy.first == pytest.approx(0.7, rel=0.25)


@pytest.mark.parametrize(
    "wrong",
    [
        {"read_size": 1000}, {"write_size": 16384}, {"readdir_size": 100}, {"timeout": 0}, {"nodes": 0},
        {"cache_size": -1}, {"file_min": 5, "file_max": 4}, {"directory_min": -1},
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Options(**wrong)


def test_a_node_without_contents_has_the_servers_size() -> None:
    assert Node(b"h", attributes(size=5)).size == 5
