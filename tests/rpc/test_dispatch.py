"""What becomes of a call in the dispatcher: replies to whatever a handler does, units of work, histories, counters."""

import asyncio
import errno
import logging
import struct
import time
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
from defects import ACCEPTED, DENIED, GARBAGE_ARGS, PROC_UNAVAIL, PROG_UNAVAIL, SUCCESS, XID, call, opaque, w

from nfsrpc.auth import NoneAuthenticator
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc import errors as e
from nfsrpc.rpc.counters import Counters
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Drop, Encoded, Peer, at_most_once, postponed, replay_key
from nfsrpc.rpc.dispatch_async import AsyncDispatcher
from nfsrpc.rpc.history import Full, Kept, Lost, MemoryHistory, UnderWay
from nfsrpc.rpc.later import HELD
from nfsrpc.rpc.message import Rejected
from nfsrpc.rpc.security import Accept
from nfsrpc.xdr import Limits

PEER = Peer("192.0.2.7", 700, "udp")
WRITE, READ = 1, 2
SYSTEM_ERR = ACCEPTED + w(5)


def write(file=1, xid=XID, data=b"data"):
    return w(xid) + call(w(file, 0) + opaque(data), procedure=WRITE)[4:]


def read(file=1, xid=XID):
    return w(xid) + call(w(file, 0, 100), procedure=READ)[4:]


class Files(FILEREADWRITE_2_service):
    """Raises, or returns, what it is told to; counts how often it runs."""

    def __init__(self, outcome=None):
        self.outcome = outcome
        self.ran = []
        self.calls = []

    def _do(self, arg, call):
        self.ran.append(arg.f)
        self.calls.append(call)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    WRITE = READ = _do


class Served:
    def __init__(self, binding, limits=None):
        self.counters = Counters()
        more = {} if limits is None else {"limits": limits}
        self.dispatcher = Dispatcher([binding], [NoneAuthenticator()], recorder=self.counters.recorder(0), **more)

    def answer(self, message):
        (reply,) = self.turn(message)
        return reply

    def turn(self, *messages):
        replies = self.dispatcher.turn([(message, PEER) for message in messages])
        return [None if reply is None else b"".join(reply) for reply in replies]

    def counted(self):
        """(calls, failures, replays) of WRITE."""
        row = next(count for count in self.counters.read() if count.name == "WRITE")
        return row.calls, row.failures, row.replays


class AsyncServed(Served):
    """The same for asyncio, and handlers that are coroutines."""

    def __init__(self, binding):
        super().__init__(binding)
        service = binding.service
        done = service._do

        async def later(arg, call):
            await asyncio.sleep(0)
            return done(arg, call)

        service.WRITE = service.READ = later
        self.dispatcher = AsyncDispatcher([binding], [NoneAuthenticator()], recorder=self.counters.recorder(0))

    def answer(self, message):
        reply = asyncio.run(self.dispatcher.answer(message, PEER))
        return None if reply is None else b"".join(reply)


SERVED = pytest.mark.parametrize("serve", [Served, AsyncServed])
BUG, ERROR = ZeroDivisionError("a bug"), OSError(errno.EIO, "broken")
RAISED = {
    "nothing": (None, SUCCESS, False),
    "Encoded": (Encoded(b"\0\0\0\7"), SUCCESS + w(7), False),
    "Drop": (Drop(), None, False),
    "Rejected": (Rejected(5), DENIED + w(1, 5), False),
    "AuthRefused": (e.AuthRefused(7), DENIED + w(1, 7), False),
    "ProgramMismatch": (e.ProgramMismatch(4, 9), ACCEPTED + w(2, 4, 9), False),
    "GarbageArguments": (e.GarbageArguments(), GARBAGE_ARGS, False),
    "ProcedureUnavailable": (e.ProcedureUnavailable(), PROC_UNAVAIL, False),
    "ProgramUnavailable": (e.ProgramUnavailable(), PROG_UNAVAIL, False),
    "RemoteSystemError": (e.RemoteSystemError(), SYSTEM_ERR, False),
    "another RpcError": (e.BadReply("of a server behind"), SYSTEM_ERR, False),
    "an OSError": (ERROR, SYSTEM_ERR, True),
    "a bug": (BUG, SYSTEM_ERR, True),
    "a result of another type": ("text", SYSTEM_ERR, True),
}


@SERVED
@pytest.mark.parametrize(("outcome", "reply", "logged"), RAISED.values(), ids=RAISED)
def test_what_a_handler_does_has_its_answer(caplog, serve, outcome, reply, logged):
    served = serve(Binding(Files(outcome)))
    assert served.answer(write()) == reply
    assert served.counted() == (1, int(reply is None or reply[:24] != SUCCESS), 0)
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(records) == logged
    for record in records:
        assert record.getMessage() == f"xid {XID:#010x}: WRITE of {PEER} failed"
        assert record.exc_info
        assert (record.xid, record.peer) == (f"{XID:#010x}", str(PEER))
        assert (record.program, record.version, record.procedure) == (9999, 2, "WRITE")


AT_ONCE = "Encoded"
LATER = {name: row[:2] for name, row in RAISED.items() if name != AT_ONCE}


@pytest.mark.parametrize(("outcome", "reply"), LATER.values(), ids=LATER)
def test_what_comes_later_has_the_same_answer(outcome, reply):
    given: Future = Future()

    class Later(Files):
        def WRITE(self, arg, call):
            raise postponed(call, given)

    (later,) = Served(Binding(Later())).dispatcher.turn([(write(), PEER)])
    if isinstance(outcome, BaseException):
        given.set_exception(outcome)
    else:
        given.set_result(outcome)
    answers = []
    later.then(answers.append)
    assert [None if answer is None else b"".join(answer) for answer in answers] == [reply]


HISTORIES = {
    **{name: (*RAISED[name][:2], 2) for name in ("Drop", "GarbageArguments", "ProgramMismatch", "RemoteSystemError")},
    **{name: (*RAISED[name][:2], 1) for name in ("nothing", "Encoded", "an OSError", "a bug")},
}


@SERVED
@pytest.mark.parametrize(("outcome", "reply", "runs"), HISTORIES.values(), ids=HISTORIES)
def test_at_most_once_what_did_nothing_runs_again_and_nothing_else_does(caplog, serve, outcome, reply, runs):
    files = Files(outcome)
    served = serve(at_most_once(files, MemoryHistory()))
    assert [served.answer(write()), served.answer(write())] == [reply, reply]
    assert len(files.ran) == runs
    assert served.counted() == (2, 2 if isinstance(outcome, Exception) else 0, 2 - runs)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [f"xid {XID:#010x}: WRITE of {PEER} failed"] * (outcome in (BUG, ERROR))


class Says:
    """A history that says the same of every call."""

    def __init__(self, answer):
        self.answer = answer

    def claim(self, key):
        raise self.answer


@SERVED
@pytest.mark.parametrize(
    ("answer", "reply", "warnings"), [(UnderWay(), None, 0), (Lost(), SYSTEM_ERR, 0), (Full(), None, 1)]
)
def test_what_a_history_says_of_a_call_is_done(caplog, serve, answer, reply, warnings):
    files = Files()
    served = serve(at_most_once(files, Says(answer)))
    assert served.answer(write()) == reply
    assert served.counted() == (1, int(reply is not None), 0)
    assert files.ran == []
    found = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(found) == warnings
    for record in found:
        assert record.getMessage() == f"no room in the history of calls: WRITE of {PEER} must wait"
        assert record.procedure == "WRITE"


@SERVED
def test_a_kept_failure_is_given_again(serve):
    class Keeps(Says):
        def claim(self, key):
            return Kept(3, b"ignored")

    served = serve(at_most_once(Files(), Keeps(None)))
    assert served.answer(write()) == PROC_UNAVAIL
    assert served.counted() == (1, 1, 1)


def test_a_coroutine_that_is_cancelled_is_not_run_again():
    started = []

    class Hangs(Files):
        async def WRITE(self, arg, call):
            started.append(arg.f)
            await asyncio.Event().wait()

    dispatcher = AsyncDispatcher([at_most_once(Hangs(), MemoryHistory())], [NoneAuthenticator()])

    async def run():
        task = asyncio.create_task(dispatcher.answer(write(), PEER))
        while not started:
            await asyncio.sleep(0)
        assert await dispatcher.answer(write(), PEER) is None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return b"".join(await dispatcher.answer(write(), PEER))

    assert asyncio.run(run()) == SYSTEM_ERR
    assert started == [1]


def test_a_coroutine_that_outlives_its_deadline_is_a_system_error():
    class Hangs(Files):
        async def WRITE(self, arg, call):
            await asyncio.Event().wait()

    dispatcher = AsyncDispatcher([Binding(Hangs())], [NoneAuthenticator()], Limits(call_seconds=0.05))
    assert b"".join(asyncio.run(dispatcher.answer(write(), PEER))) == SYSTEM_ERR


@pytest.mark.parametrize("once", [frozenset(), frozenset({WRITE})])
def test_a_service_makes_results_of_its_failures(once):
    def failure(procedure, error):
        if error.errno == errno.EAGAIN:
            raise Drop
        assert (procedure.name, error.errno) == ("READ", errno.EIO)
        return b"sorry"

    files = Files(ERROR)
    served = Served(Binding(files, once=once, failure=failure))
    assert served.turn(read()) == [SUCCESS + opaque(b"sorry")]
    files.outcome = OSError(errno.EAGAIN, "later")
    assert served.turn(read()) == [None]


class Ledger:
    """A unit of work over a dict: what is not committed never was. Says what it was asked for."""

    def __init__(self):
        self.kept = {}
        self.said = []
        self.refuses = {}
        self.now = {}

    def count(self):
        return -1

    def begin(self, changing):
        self.said.append(f"begin {changing}")
        self.now = dict(self.kept)

    def commit(self):
        self.said.append("commit")
        for key, error in self.refuses.items():
            if key in {result[:4] for result in self.now}:
                raise error
        self.kept = self.now

    def abort(self):
        self.said.append("abort")
        self.now = {}

    @contextmanager
    def step(self):
        self.said.append("step")
        yield

    def recall(self, keys):
        self.said.append(f"recall {len(keys)}")
        return {key: self.now[key] for key in keys if key in self.now}

    def remember(self, key, client, result):
        assert client == b"192.0.2.7"
        self.now[key] = result


class Store:
    """A service behind a ledger."""

    def __init__(self, outcome=None, **more):
        self.files = Files(outcome)
        self.ledger = Ledger()
        more = {"once": frozenset({WRITE}), **more}
        binding = Binding(self.files, work=lambda message, body: self.ledger, **more)
        self.served = Served(binding)

    def turn(self, *messages):
        self.ledger.said.clear()
        return self.served.turn(*messages), self.ledger.said


def test_calls_of_one_turn_that_change_something_are_one_unit():
    """Those that only ask are another, which comes first: they need not wait for the disk."""
    store = Store()
    replies, said = store.turn(write(1, 1), read(2, 2), write(3, 3))
    assert [reply[:4] for reply in replies] == [w(1), w(2), w(3)]
    assert said == ["begin False", "commit", "begin True", "recall 2", "step", "step", "commit"]
    assert store.files.ran == [2, 1, 3]


def test_what_is_held_waits_for_the_commit():
    store = Store()
    dispatcher = store.served.dispatcher
    held, answered = dispatcher.take([(write(1, 1), PEER), (read(2, 2), PEER)])
    assert (held, answered[0][:4]) == (HELD, w(2))
    assert dispatcher.take([(write(3, 3), PEER)]) == [HELD]
    assert (store.files.ran, store.served.counted()[0]) == ([2], 0)
    assert [b"".join(reply) for reply in dispatcher.commit()] == [w(1) + SUCCESS[4:], w(3) + SUCCESS[4:]]
    assert (store.files.ran, store.served.counted()[0]) == ([2, 1, 3], 2)
    assert dispatcher.commit() == []


def test_reading_alone_changes_nothing_and_recalls_nothing():
    store = Store(b"")
    replies, said = store.turn(read())
    assert replies == [SUCCESS + w(0)]
    assert said == ["begin False", "commit"]


def test_a_call_that_was_kept_does_not_run_again():
    store = Store()
    first, _ = store.turn(write())
    again, said = store.turn(write(), write(2, 2))
    assert (first, again[:1]) == ([SUCCESS], [SUCCESS])
    assert said == ["begin True", "recall 2", "step", "commit"]
    assert store.files.ran == [1, 2]
    assert store.served.counted() == (3, 0, 1)


def test_copies_in_one_turn_run_once():
    store = Store()
    replies, _ = store.turn(write(), write())
    assert (replies, store.files.ran, store.served.counted()) == ([SUCCESS, SUCCESS], [1], (2, 0, 1))


FULL = OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize("error", [FULL, ZeroDivisionError("a bug")])
def test_only_the_call_to_blame_fails_with_the_unit(caplog, error):
    failed = []

    def failure(procedure, found):
        failed.append((procedure.name, found.errno))

    store = Store(failure=failure)
    store.ledger.refuses[w(2)] = error
    replies, said = store.turn(write(1, 1), write(2, 2), write(3, 3))
    assert [reply[:4] for reply in replies] == [w(1), w(2), w(3)]
    assert failed == [("WRITE", errno.ENOSPC if error is FULL else errno.EIO)]
    assert said == [
        "begin True", "recall 3", "step", "step", "step", "commit", "abort",
        "begin True", "recall 1", "step", "commit",
        "begin True", "recall 1", "step", "commit", "abort",
        "begin True", "recall 1", "step", "commit",
    ]  # fmt: skip
    assert {key[:4] for key in store.ledger.kept} == {w(1), w(3)}
    texts = [record.getMessage() for record in caplog.records]
    words = f": {FULL}" if error is FULL else ""
    assert texts == [f"a unit of 3 calls was undone{words}", f"a unit of 1 calls was undone{words}"]
    assert all(bool(record.exc_info) == (error is not FULL) for record in caplog.records)


def test_each_of_two_calls_has_another_try_by_itself():
    store = Store()
    store.ledger.refuses[w(2)] = FULL
    replies, _ = store.turn(write(1, 1), write(2, 2))
    assert replies == [w(1) + SUCCESS[4:], w(2) + SYSTEM_ERR[4:]]


def test_a_result_of_several_parts_is_kept_and_sent_whole():
    store = Store(b"content", once=frozenset({READ}))
    replies, _ = store.turn(read())
    again, _ = store.turn(read())
    assert replies == again == [SUCCESS + opaque(b"content")]
    assert list(store.ledger.kept.values()) == [opaque(b"content")]


def test_without_words_of_its_own_a_failed_unit_is_a_system_error():
    store = Store()
    store.ledger.refuses[w(XID)] = FULL
    assert store.turn(write())[0] == [SYSTEM_ERR]
    assert store.served.counted() == (1, 1, 0)


def test_a_failed_unit_whose_failure_will_pass_is_not_answered():
    def failure(procedure, found):
        raise Drop

    store = Store(failure=failure)
    store.ledger.refuses[w(XID)] = FULL
    assert store.turn(write())[0] == [None]


def test_an_end_of_the_process_undoes_the_unit():
    store = Store(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        store.turn(write())
    assert store.ledger.said == ["begin True", "recall 1", "step", "abort"]


STORED = {
    "an OSError": (ERROR, {}, SYSTEM_ERR, 0, 1),
    "an OSError with a result": (ERROR, {"failure": lambda procedure, error: None}, SUCCESS, 1, 0),
    "a bug": (BUG, {}, SYSTEM_ERR, 0, 1),
    "Drop": (Drop(), {}, None, 0, 1),
    "typed": (e.GarbageArguments(), {}, GARBAGE_ARGS, 0, 1),
}


@pytest.mark.parametrize(("outcome", "more", "reply", "kept", "failures"), STORED.values(), ids=STORED)
def test_what_is_kept_of_a_call_that_failed(outcome, more, reply, kept, failures):
    store = Store(outcome, **more)
    assert store.turn(write())[0] == [reply]
    assert len(store.ledger.kept) == kept
    assert store.served.counted() == (1, failures, 0)


def test_a_failure_that_will_pass_is_not_kept():
    def failure(procedure, error):
        raise Drop

    store = Store(ERROR, failure=failure)
    assert store.turn(write())[0] == [None]
    assert store.ledger.kept == {}


@pytest.mark.parametrize(("lenient", "reply"), [(False, GARBAGE_ARGS), (True, SUCCESS)])
def test_bytes_behind_the_arguments(lenient, reply):
    files = Files()
    served = Served(Binding(files), Limits(accept_trailing_bytes=lenient))
    assert served.turn(write() + bytes(4)) == [reply]
    assert len(files.ran) == lenient


def test_arguments_that_cannot_be_decoded_are_told_at_debug(caplog):
    caplog.set_level(logging.DEBUG, "nfsrpc.rpc")
    assert Served(Binding(Files())).turn(write()[:-4]) == [GARBAGE_ARGS]
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage().startswith(f"WRITE of {PEER}: data: ")
    assert record.procedure == "WRITE"


def test_a_call_knows_when_it_is_given_up():
    files = Files()
    before = time.monotonic()
    Served(Binding(files), Limits(call_seconds=1000.0)).turn(write())
    assert before + 1000 <= files.calls[0].deadline <= time.monotonic() + 1000


def test_a_call_is_shown_without_its_contents():
    files = Files()
    Served(Binding(files)).turn(write(data=b"secret"))
    shown = repr(files.calls[0])
    assert str(XID) in shown
    assert "192.0.2.7" in shown
    assert "secret" not in shown
    assert "accept=" not in shown
    assert not hasattr(files.calls[0], "__dict__")


def test_refused_messages_are_counted_together():
    served = Served(Binding(Files()))
    served.turn(b"", call(program=77), call(cred=w(77, 0)), write())
    refused = served.counters.read()[0]
    assert (refused.program, refused.calls, served.counted()) == (0, 3, (1, 0, 0))


def test_a_key_is_made_of_host_principal_call_and_arguments():
    from hashlib import sha256
    from zlib import crc32

    files = Files()
    served = Served(Binding(files))
    for data in (b"data", bytes(range(256)) * 2):
        message = write(data=data)
        served.turn(message)
        arguments = message[40:]
        rest = arguments[256:]
        caller = f"192.0.2.7\0{files.calls[-1].principal.name}\0{crc32(rest):x}\0".encode()
        digest = sha256(struct.pack(">3I", 9999, 2, WRITE) + caller + arguments[:256]).digest()
        assert replay_key(files.calls[-1]) == w(XID) + digest[:16]


class Sealing:
    """A flavour whose credentials are good once, and under which everything travels backwards."""

    flavor = 0
    single_use = True

    def __init__(self):
        self.asked = 0

    def accept(self, header, message, peer):
        self.asked += 1
        accepted = NoneAuthenticator().accept(header, message, peer)
        return Accept(accepted.principal, accepted.verifier, self)

    def unwrap(self, message, body):
        if message[body:] == b"tampered":
            raise e.GarbageArguments
        return message[body:][::-1], 0

    def wrap(self, result):
        return result[::-1]


def sealed(message):
    return message[:40] + message[40:][::-1]


def asked(dispatcher, message):
    """The reply, at once or awaited."""
    if isinstance(dispatcher, AsyncDispatcher):
        reply = asyncio.run(dispatcher.answer(message, PEER))
    else:
        (reply,) = dispatcher.turn([(message, PEER)])
    return None if reply is None else b"".join(reply)


@pytest.mark.parametrize("kind", [Dispatcher, AsyncDispatcher])
def test_what_a_flavour_seals_travels_sealed_and_is_answered_from_memory_when_it_comes_again(kind):
    files, flavor = Files(b"content"), Sealing()
    dispatcher = kind([Binding(files)], [flavor])
    for _ in range(2):
        assert asked(dispatcher, sealed(read())) == SUCCESS + opaque(b"content")[::-1]
    assert (files.ran, flavor.asked) == ([1], 1)
    assert asked(dispatcher, sealed(read(2, 2)))[24:] == opaque(b"content")[::-1]
    assert (files.ran, flavor.asked) == ([1, 2], 2)
    assert asked(dispatcher, read()[:40] + b"tampered") == GARBAGE_ARGS


def test_only_null_may_come_in_clear_text_where_tls_is_required():
    files = Files(b"")
    dispatcher = Dispatcher([Binding(files, tls_required=True)], [NoneAuthenticator()])
    too_weak = DENIED + w(1, 5)
    assert [asked(dispatcher, message) for message in (call(), write(), read())] == [SUCCESS, too_weak, too_weak]
    assert files.ran == []
