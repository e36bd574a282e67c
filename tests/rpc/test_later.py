"""Replies that come later, and memory that processes share."""

import asyncio
import gc
import os
import struct
import threading
from concurrent.futures import Future

import pytest

from nfsrpc.auth import NoneAuthenticator
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Drop, Encoded, Peer, postponed
from nfsrpc.rpc.dispatch_async import AsyncDispatcher
from nfsrpc.rpc.errors import GarbageArguments
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


class Slow(FILEREADWRITE_2_service):
    """Has READ's results made elsewhere."""

    def __init__(self):
        self.result = Future()

    def WRITE(self, arg, call):
        return None

    def READ(self, arg, call):
        raise postponed(call, self.result)


READ = struct.pack(">13I", 7, 0, 2, 9999, 2, 2, 0, 0, 0, 0, 1, 0, 4)
RESULTS = [
    (lambda result: result.set_result(b"data"), struct.pack(">7I4s", 7, 1, 0, 0, 0, 0, 4, b"data")),
    (lambda result: result.set_result(Encoded(bytes(4), b"")), struct.pack(">7I", 7, 1, 0, 0, 0, 0, 0)),
    (lambda result: result.set_exception(GarbageArguments()), struct.pack(">6I", 7, 1, 0, 0, 0, 4)),
    (lambda result: result.set_exception(ZeroDivisionError()), struct.pack(">6I", 7, 1, 0, 0, 0, 5)),
    (lambda result: result.set_exception(Drop()), None),
    (lambda result: result.set_result("no bytes"), struct.pack(">6I", 7, 1, 0, 0, 0, 5)),
]


@pytest.mark.parametrize(("end", "reply"), RESULTS)
def test_a_handler_whose_result_comes_later(end, reply):
    """Its reply is that of a handler that returned, or raised, the same at once."""
    service, peer = Slow(), Peer("127.0.0.1", 5, "udp")
    (later,) = Dispatcher([Binding(service)], [NoneAuthenticator()]).turn([(READ, peer)])
    end(service.result)
    parts = later.wait(30)
    assert (None if parts is None else b"".join(parts)) == reply

    async def asyncio_too():
        service = Slow()
        asyncio.get_running_loop().call_soon(end, service.result)
        return await AsyncDispatcher([Binding(service)], [NoneAuthenticator()]).answer(READ, peer)

    parts = asyncio.run(asyncio_too())
    assert (None if parts is None else b"".join(parts)) == reply


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


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_what_was_made_here_is_closed_with_it_and_what_was_inherited_is_not():
    made = SharedMemory(8)
    inherited = os.dup(made.fileno())
    attached = SharedMemory(8, inherited)
    descriptor = made.fileno()
    del made
    gc.collect()
    assert not is_open(descriptor)
    del attached
    gc.collect()
    assert is_open(inherited)
    os.close(inherited)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory without a file is Linux's")
def test_the_memory_has_no_file():
    shared = SharedMemory(8)
    assert os.readlink(f"/proc/self/fd/{shared.fileno()}").startswith("/memfd:nfsrpc")


def test_elsewhere_the_memory_is_a_file_without_a_name(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    one = SharedMemory(100)
    other = SharedMemory(100, os.dup(one.fileno()))
    one.memory[99] = 7
    assert other.memory[:] == bytes(99) + b"\7"
    assert os.fstat(one.fileno()).st_nlink == 0
