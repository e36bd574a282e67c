"""Replies that come later, and memory that processes share."""

import os
import threading

import pytest

from nfsrpc.rpc.later import Later, Postponed
from nfsrpc.rpc.shared import SharedMemory


@pytest.mark.parametrize("reply", [[b"reply"], None])
def test_whoever_comes_first_the_taker_gets_the_reply_once(reply):
    taken = []
    early, late = Later(), Later()
    early.then(taken.append)
    assert taken == []
    early.give(reply)
    late.give(reply)
    late.then(taken.append)
    assert taken == [reply, reply]


def test_waiting_for_a_reply():
    later = Later()
    with pytest.raises(TimeoutError, match="has not come"):
        later.wait(0)
    threading.Timer(0.01, later.give, [[b"reply"]]).start()
    assert later.wait(30) == [b"reply"]
    assert later.wait(0) == [b"reply"]


def test_a_postponed_call_says_where_its_reply_will_be():
    later = Later()
    postponed = Postponed(later)
    assert (postponed.later, str(postponed)) == (later, "later")


def test_memory_is_shared_and_begins_with_zeros():
    one = SharedMemory(100)
    other = SharedMemory(100, os.dup(one.fileno()))
    assert (len(one.memory), one.memory[:]) == (100, bytes(100))
    one.memory[99] = 7
    assert other.memory[99] == 7


def child_gets_in(shared):
    """Whether another process can take the lock at once."""
    import fcntl

    child = os.fork()
    if child == 0:
        try:
            fcntl.lockf(shared.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def test_one_process_and_one_thread_at_a_time():
    shared = SharedMemory(8)
    got_in = threading.Event()

    def enter():
        with shared:
            got_in.set()

    thread = threading.Thread(target=enter)
    with shared as inside:
        assert inside is shared
        assert not child_gets_in(shared)
        thread.start()
        assert not got_in.wait(0.05)
    assert got_in.wait(30)
    thread.join()
    assert child_gets_in(shared)


def test_a_lock_that_cannot_be_had_leaves_the_threads_free():
    shared = SharedMemory(8)
    with open(os.devnull) as unlockable:  # for reading: no exclusive lock
        os.dup2(unlockable.fileno(), shared.fileno())
    for _ in range(2):
        with pytest.raises(OSError, match="descriptor"), shared:
            pass
