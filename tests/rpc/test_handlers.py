"""What a handler does, and what its caller gets for it: a result, a typed error, silence."""

import asyncio
import struct
from collections.abc import Callable

import pytest

from nfsrpc.auth import NoneAuthenticator
from nfsrpc.auth.none import ANONYMOUS
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc import errors
from nfsrpc.rpc.dispatch import Binding, Call, Dispatcher, Drop, Peer, at_most_once
from nfsrpc.rpc.dispatch_async import AsyncDispatcher
from nfsrpc.rpc.history import MemoryHistory
from nfsrpc.rpc.message import Rejected

XID = 0x01020304
PEER = Peer("192.0.2.7", 700, "udp")
READ = struct.pack(">13I", XID, 0, 2, 9999, 2, 2, 0, 0, 0, 0, 1, 2, 3)


def accepted(*words: int, data: bytes = b"") -> bytes:
    return struct.pack(f">{5 + len(words)}I", XID, 1, 0, 0, 0, *words) + data


def denied(stat: int) -> bytes:
    return struct.pack(">5I", XID, 1, 1, 1, stat)


def raising(error: Exception) -> Callable[[object, Call], bytes]:
    def handler(arg: object, call: Call) -> bytes:
        raise error

    return handler


def told(arg, call: Call) -> bytes:
    """What a handler knows of a call."""
    assert (arg.f, arg.position, arg.length) == (1, 2, 3)
    assert (call.peer, call.xid, call.principal) == (PEER, XID, ANONYMOUS)
    assert call.deadline > 0
    return b"data"


ANSWERS: dict[str, tuple[Callable[..., object], bytes | None]] = {
    "a result": (told, accepted(0, 4, data=b"data")),
    "a result of the wrong type": (lambda arg, call: "text", accepted(5)),
    "a result over its bound": (lambda arg, call: bytes(1001), accepted(5)),
    "no answer": (raising(Drop()), None),
    "garbage arguments": (raising(errors.GarbageArguments()), accepted(4)),
    "procedure unavailable": (raising(errors.ProcedureUnavailable()), accepted(3)),
    "program unavailable": (raising(errors.ProgramUnavailable()), accepted(1)),
    "program mismatch": (raising(errors.ProgramMismatch(3, 4)), accepted(2, 3, 4)),
    "system error": (raising(errors.RemoteSystemError()), accepted(5)),
    "another RPC error, of a call that the handler made": (raising(errors.RpcTimeout("late")), accepted(5)),
    "too weak an identity": (raising(Rejected(5)), denied(5)),
    "refused, as a client is told it": (raising(errors.AuthRefused(2)), denied(2)),
    "an OSError": (raising(FileNotFoundError()), accepted(5)),
    "a mistake in the handler": (raising(ZeroDivisionError()), accepted(5)),
}
BINDINGS = {"as it comes": Binding, "at most once": lambda service: at_most_once(service, MemoryHistory())}


class Service(FILEREADWRITE_2_service):
    def __init__(self, read: Callable[..., object]) -> None:
        self._read = read

    def WRITE(self, arg, call):
        raise NotImplementedError

    def READ(self, arg, call):
        return self._read(arg, call)


def now(binding: Binding) -> bytes | None:
    (reply,) = Dispatcher([binding], [NoneAuthenticator()]).turn([(READ, PEER)])
    return None if reply is None else b"".join(reply)


def asynchronously(binding: Binding) -> bytes | None:
    reply = asyncio.run(AsyncDispatcher([binding], [NoneAuthenticator()]).answer(READ, PEER))
    return None if reply is None else b"".join(reply)


@pytest.mark.parametrize("answer_of", [now, asynchronously])
@pytest.mark.parametrize("bind", BINDINGS.values(), ids=BINDINGS)
@pytest.mark.parametrize(("handler", "answer"), ANSWERS.values(), ids=ANSWERS)
def test_what_a_handler_does_is_what_its_caller_gets(answer_of, bind, handler, answer):
    assert answer_of(bind(Service(handler))) == answer


@pytest.mark.parametrize(("handler", "answer"), ANSWERS.values(), ids=ANSWERS)
def test_a_coroutine_is_a_handler_like_any_other(handler, answer):
    async def coroutine(arg, call):
        await asyncio.sleep(0)
        return handler(arg, call)

    assert asynchronously(Binding(Service(coroutine))) == answer
