"""Histories of calls, in one process and shared by several: claimed before, kept after, never run again."""

import os
import signal
from collections.abc import Callable

import pytest

from nfsrpc.rpc.history import Full, History, Kept, Lost, MemoryHistory, UnderWay
from nfsrpc.rpc.history_table import SharedHistory


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[MemoryHistory, SharedHistory], ids=["memory", "shared"])
def make(request: pytest.FixtureRequest, clock: Clock) -> Callable[..., History]:
    return lambda capacity=8, room=100: request.param(capacity, room, 120.0, clock)


def key(number: int) -> bytes:
    return number.to_bytes(20)


def test_a_call_is_new_then_under_way_then_kept(make):
    history = make()
    assert history.claim(key(1)) is None
    with pytest.raises(UnderWay):
        history.claim(key(1))
    history.settle(key(1), Kept(0, b"result"))
    assert [history.claim(key(1)) for _ in range(3)] == [Kept(0, b"result")] * 3
    assert history.claim(key(2)) is None


def test_a_failure_is_kept_as_well(make):
    history = make()
    history.claim(key(1))
    history.settle(key(1), Kept(5, b""))
    assert history.claim(key(1)) == Kept(5, b"")


def test_a_released_call_is_new_again(make):
    history = make()
    for number in range(4):
        history.claim(key(number))
    history.release(key(1))
    history.release(key(3))
    assert history.claim(key(1)) is None
    assert history.claim(key(3)) is None
    with pytest.raises(UnderWay):
        history.claim(key(2))


def test_no_call_is_forgotten_before_its_time(make, clock):
    history = make(capacity=8)
    for number in range(8):
        assert history.claim(key(number)) is None
        history.settle(key(number), Kept(0, b"%d" % number))
        clock.now += 1
    with pytest.raises(Full):
        history.claim(key(8))
    assert history.claim(key(0)) == Kept(0, b"0")
    clock.now = 1000.0 + 120
    assert history.claim(key(8)) is None
    with pytest.raises(Full):
        history.claim(key(9))
    assert history.claim(key(1)) == Kept(0, b"1")


def test_many_rounds(make, clock):
    history = make(capacity=8, room=64)
    for number in range(1000):
        assert history.claim(key(number)) is None
        history.settle(key(number), Kept(0, b"%d" % number))
        for old in range(max(0, number - 5), number + 1):
            assert history.claim(key(old)) == Kept(0, b"%d" % old)
        clock.now += 20


def test_a_lost_result_is_no_licence_to_run_again(make):
    history = make(room=100)
    for number in range(5):
        history.claim(key(number))
        history.settle(key(number), Kept(0, bytes(40)))
    with pytest.raises(Lost):
        history.claim(key(0))
    assert history.claim(key(4)) == Kept(0, bytes(40))
    history.claim(key(6))
    history.settle(key(6), Kept(0, bytes(101)))
    with pytest.raises(Lost):
        history.claim(key(6))


def in_child(act: Callable[[], bool]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if act() else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def test_processes_share_the_table(clock):
    history = SharedHistory(8, 100, 120.0, clock)

    def run() -> bool:
        new = history.claim(key(1)) is None
        history.settle(key(1), Kept(0, b"from the child"))
        return new

    assert in_child(run) == 0
    assert history.claim(key(1)) == Kept(0, b"from the child")


def test_a_call_whose_worker_died_is_never_run_again(clock):
    history = SharedHistory(8, 100, 120.0, clock)

    def die() -> bool:
        history.claim(key(1))
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    assert os.WTERMSIG(in_child(die)) == signal.SIGKILL
    with pytest.raises(Lost):
        history.claim(key(1))


def test_the_lock_of_a_killed_process_is_free_again(clock):
    history = SharedHistory(8, 100, 120.0, clock)

    def die() -> bool:
        history._shared.__enter__()
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    in_child(die)
    assert history.claim(key(1)) is None


def test_a_successor_attaches_to_the_table(clock):
    history = SharedHistory(8, 100, 120.0, clock)
    history.claim(key(1))
    history.settle(key(1), Kept(0, b"old"))
    heir = SharedHistory(8, 100, 120.0, clock, descriptor=os.dup(history.fileno()))
    assert heir.claim(key(1)) == Kept(0, b"old")
