"""Who serves a program on the networks we are on: one question to all, several answers (RFC 1833 §2.2.1, §3.1).

Over IPv4 it is broadcast as version 2's CALLIT, which every portmapper knows; over IPv6 it goes to the
multicast group of rpcbind, as version 3's.
"""

import errno
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, Self

from nfsrpc.auth.base import Credential
from nfsrpc.auth.none import NoneCredential
from nfsrpc.protocols import portmap as pm
from nfsrpc.protocols import rpcb_prot as rb
from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.message import decode_reply, reply_xid
from nfsrpc.rpc.retry import AT_LEAST_ONCE, RetryPolicy
from nfsrpc.transport.address import MAX_DATAGRAM
from nfsrpc.transport.ping import null_procedure
from nfsrpc.xdr import DEFAULT_LIMITS, Procedure, XdrError, decode

from .client import PORT
from .networks import everywhere
from .uaddr import from_uaddr


@dataclass(frozen=True, slots=True)
class Found:
    """One answer: the `host` it came from, the port of the service there, and the decoded result of the call."""

    host: str
    port: int
    result: Any


class _Way(NamedTuple):
    """How portmappers of one family of addresses are asked to make a call, and what their answer says."""

    procedure: Procedure
    ask: Callable[[int, int, int, bytes], Any]
    told: Callable[[Any], tuple[int, bytes]]
    """The port of the service and its encoded result; ValueError if there is none."""


_WAYS: Mapping[int, _Way] = MappingProxyType({
    socket.AF_INET: _Way(
        pm.PMAP_PROG_2_service.procedures[pm.PMAPPROC_CALLIT],
        pm.call_args,
        lambda answer: (answer.port, answer.res),
    ),
    socket.AF_INET6: _Way(
        rb.RPCBPROG_3_service.procedures[rb.RPCBPROC_CALLIT],
        rb.rpcb_rmtcallargs,
        lambda answer: (from_uaddr(answer.addr.decode("ascii", "replace")).port, answer.results),
    ),
})


def discover(
    program: int,
    version: int,
    *,
    procedure: Procedure | None = None,
    args: tuple[Any, ...] = (),
    timeout: float = 3.0,
    addresses: Iterable[str] | None = None,
    port: int = PORT,
    credential: Credential | None = None,
    policy: RetryPolicy = AT_LEAST_ONCE,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Found]:
    """Ask all portmappers at `addresses` to call `procedure` (procedure 0 unless given); yields each host once.

    Without `addresses` every network that this machine is attached to is asked, over IPv4 and IPv6; a machine that
    answers over both is found at both of its addresses. Ends after `timeout` seconds: nobody knows how many answers
    there are. Where a call fails nobody answers. What is no answer to this question is passed over. Most portmappers
    of today do not forward calls unless told to. OSError: the question cannot be sent anywhere.
    """
    target = null_procedure(program, version) if procedure is None else procedure
    with Inquiry(target, args, timeout, addresses, port, credential, policy, clock) as inquiry:
        while (pause := inquiry.ask()) is not None:
            for question in select.select(inquiry.questions, [], [], pause)[0]:
                yield from question.answers()


class Inquiry:
    """One question over every family of addresses, without a loop of its own. A context manager: it has sockets.

    Arguments as of `discover`, and what may be raised.
    """

    def __init__(
        self,
        target: Procedure,
        args: tuple[Any, ...],
        timeout: float,
        addresses: Iterable[str] | None,
        port: int,
        credential: Credential | None,
        policy: RetryPolicy,
        clock: Callable[[], float],
    ) -> None:
        parts: list[bytes] = []
        target.encode_args(args, parts)
        words = (target.program, target.version, target.number, b"".join(parts))
        session = (NoneCredential() if credential is None else credential).session("")
        self._clock = clock
        self._deadline = clock() + timeout
        self._table = CallTable(policy)
        self.questions: list[_Question] = []
        """Each with a descriptor, and with `answers` where that is readable."""
        for family, places in _places(everywhere() if addresses is None else addresses, port).items():
            way = _WAYS[family]
            call = self._table.open(
                way.procedure, (way.ask(*words),), session.begin, now=clock(), deadline=self._deadline
            )
            self.questions.append(_Question(_socket(family), places, way, call, target))

    def ask(self) -> float | None:
        """Send what is due; seconds until there is more to do, None when the time is over."""
        now = self._clock()
        if now >= self._deadline:
            return None
        due = self._table.due(now)
        _send_to_all([question for question in self.questions if question.call in due])
        return max(0.0, min(self._table.next_time() or self._deadline, self._deadline) - self._clock())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for question in self.questions:
            question.close()


def _places(addresses: Iterable[str], port: int) -> dict[int, list[Any]]:
    """Socket addresses by their family. OSError for one that is none."""
    places: dict[int, list[Any]] = {}
    for address in addresses:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        places.setdefault(family, []).append(place)
    if not places:
        raise OSError(errno.ENETUNREACH, "this machine is on no network that has broadcasts")
    return places


def _socket(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setblocking(False)
    return sock


class _Question:
    """What is asked over one family of addresses, and who has answered."""

    def __init__(
        self, sock: socket.socket, places: list[Any], way: _Way, call: PendingCall, target: Procedure
    ) -> None:
        self.call = call
        self._sock = sock
        self._places = places
        self._way = way
        self._target = target
        self._seen: set[str] = set()

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def send(self) -> OSError | None:
        """Send to every place; the trouble if it can be sent to none."""
        trouble: OSError | None = None
        sent = False
        for place in self._places:
            try:
                self._sock.sendto(self.call.message, place)
                sent = True
            except OSError as error:
                trouble = error
        return None if sent else trouble

    def answers(self) -> Iterator[Found]:
        """What has come, each host once."""
        for message, host in self._received():
            if host in self._seen or reply_xid(message) != self.call.xid:
                continue
            found = self._found(message, host)
            if found is not None:
                self._seen.add(host)
                yield found

    def _received(self) -> Iterator[tuple[bytes, str]]:
        try:
            while True:
                message, place = self._sock.recvfrom(MAX_DATAGRAM)
                # A link-local address means nothing without its interface.
                yield message, socket.getnameinfo(place, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
        except BlockingIOError:
            return
        except OSError:  # an ICMP error that an earlier question brought
            return

    def _found(self, message: bytes, host: str) -> Found | None:
        target = self._target
        try:
            header = decode_reply(message)
            port, encoded = self._way.told(decode(self._way.procedure.decode_result, message[header.body :]))
            result, end = target.decode_result(encoded, 0, DEFAULT_LIMITS)
        except (RpcError, XdrError, ValueError):
            return None
        if end != len(encoded) or not 0 < port < 65536:
            return None
        return Found(host, port, result)


def _send_to_all(questions: Iterable[_Question]) -> None:
    """OSError if a question can be sent nowhere at all."""
    troubles = [question.send() for question in questions]
    failures = [trouble for trouble in troubles if trouble is not None]
    if failures and len(failures) == len(troubles):
        raise failures[0]
