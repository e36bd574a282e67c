"""Histories of calls, in one process and shared by several: claimed before, kept after, never run again."""

import os
import signal
from collections.abc import Callable

import pytest

from nfsrpc.rpc.history import CAPACITY, RETENTION, ROOM, Full, History, Kept, Lost, MemoryHistory, UnderWay
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


def alike(number: int) -> bytes:
    """Keys that a table looks for in the same place."""
    return number.to_bytes(16) + bytes(4)


def test_keys_that_end_alike_are_told_apart(make):
    history = make(capacity=8)
    for number in range(6):
        assert history.claim(alike(number)) is None
    for number in (0, 2, 4):
        history.settle(alike(number), Kept(0, b"%d" % number))
    for number in (3, 5):
        history.release(alike(number))
    assert [history.claim(alike(number)) for number in (0, 2, 4)] == [Kept(0, b"%d" % n) for n in (0, 2, 4)]
    with pytest.raises(UnderWay):
        history.claim(alike(1))
    assert [history.claim(alike(number)) for number in (3, 5)] == [None, None]


def test_keys_that_end_alike_are_forgotten_one_by_one(make, clock):
    history = make(capacity=3)
    for number in range(20):
        assert history.claim(alike(number)) is None
        history.settle(alike(number), Kept(0, b"%d" % number))
        assert history.claim(alike(number)) == Kept(0, b"%d" % number)
        assert number == 0 or history.claim(alike(number - 1)) == Kept(0, b"%d" % (number - 1))
        clock.now += 60


def test_released_places_are_free_at_once(make):
    history = make(capacity=4)
    for _ in range(3):
        for number in range(4):
            assert history.claim(alike(number)) is None
        with pytest.raises(Full):
            history.claim(alike(9))
        for number in (1, 0, 3, 2):
            history.release(alike(number))


def test_time_may_begin_at_0(make, clock):
    clock.now = 0.0
    history = make(capacity=2)
    assert history.claim(key(1)) is None
    assert history.claim(key(2)) is None


def test_results_use_all_the_room_there_is(make):
    history = make(room=100)
    history.claim(key(1))
    history.settle(key(1), Kept(0, b"x" * 100))
    assert history.claim(key(1)) == Kept(0, b"x" * 100)
    for number, size in ((2, 40), (3, 60)):
        history.claim(key(number))
        history.settle(key(number), Kept(number, bytes([number]) * size))
    assert history.claim(key(2)) == Kept(2, b"\2" * 40)
    assert history.claim(key(3)) == Kept(3, b"\3" * 60)
    with pytest.raises(Lost):
        history.claim(key(1))


def test_a_shared_call_that_runs_for_ever_is_passed_over(clock):
    history = SharedHistory(2, 100, 120.0, clock)
    history.claim(key(1))
    history.claim(key(2))
    history.settle(key(2), Kept(0, b"2"))
    clock.now += 200
    assert history.claim(key(3)) is None
    with pytest.raises(UnderWay):
        history.claim(key(1))
    clock.now += 200
    with pytest.raises(Full):
        history.claim(key(4))


def test_a_worker_of_another_user_is_alive(clock, monkeypatch):
    history = SharedHistory(2, 100, 120.0, clock)
    history.claim(key(1))

    def kill(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(UnderWay):
        history.claim(key(1))


def test_the_sizes_that_bound_a_server():
    assert (CAPACITY, ROOM, RETENTION) == (65_536, 33_554_432, 120.0)
