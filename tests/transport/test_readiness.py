"""What is told of descriptors, in pairs of sockets: who, and only what was awaited."""

import select
import socket

import pytest

from nfsrpc.transport.readiness import READ, WRITE, Readiness


@pytest.fixture(params=["epoll", "poll"])
def readiness(request, monkeypatch):
    if request.param == "poll":
        monkeypatch.delattr(select, "epoll", raising=False)
    elif not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")
    made = Readiness()
    yield made
    made.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_numbers_are_those_of_the_system():
    assert (READ, WRITE) == (select.POLLIN, select.POLLOUT)


def test_who_awaits_it_is_told_what_has_come(readiness, pair):
    ours, theirs = pair
    readiness.register(ours, READ, "reader")
    assert readiness.wait(0) == []
    theirs.send(b"x")
    assert readiness.wait(5) == [("reader", READ)]
    readiness.modify(ours, READ | WRITE, "both")
    assert readiness.wait(5) == [("both", READ | WRITE)]
    readiness.unregister(ours)
    assert readiness.wait(0) == []


def test_a_descriptor_can_be_given_as_its_number(readiness, pair):
    ours, _ = pair
    readiness.register(ours.fileno(), WRITE, "writer")
    assert readiness.wait(5) == [("writer", WRITE)]


@pytest.mark.parametrize("awaited", [READ, WRITE, READ | WRITE])
def test_the_end_comes_as_what_is_awaited(readiness, pair, awaited):
    ours, theirs = pair
    readiness.register(ours, awaited, "who")
    theirs.close()
    assert readiness.wait(5) == [("who", awaited)]
