"""Who serves a program on the networks we are on: one question to all, several answers (RFC 1833 §3.1, CALLIT)."""

import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from nfsrpc.auth.base import Credential
from nfsrpc.auth.none import NoneCredential
from nfsrpc.protocols import portmap as pm
from nfsrpc.rpc.calls import CallTable
from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.message import decode_reply, reply_xid
from nfsrpc.rpc.retry import AT_LEAST_ONCE, RetryPolicy
from nfsrpc.transport.client_udp import MAX_DATAGRAM
from nfsrpc.transport.ping import null_procedure
from nfsrpc.xdr import DEFAULT_LIMITS, Procedure, XdrError, decode

from .client import PORT

EVERYWHERE = ("255.255.255.255",)
"""The limited broadcast address: every machine on the networks that this one is attached to."""
_CALLIT = pm.PMAP_PROG_2_service.procedures[pm.PMAPPROC_CALLIT]


@dataclass(frozen=True, slots=True)
class Found:
    """One answer: the `host` it came from, the port of the service there, and the decoded result of the call."""

    host: str
    port: int
    result: Any


def discover(
    program: int,
    version: int,
    *,
    procedure: Procedure | None = None,
    args: tuple[Any, ...] = (),
    timeout: float = 3.0,
    addresses: Iterable[str] = EVERYWHERE,
    port: int = PORT,
    credential: Credential | None = None,
    policy: RetryPolicy = AT_LEAST_ONCE,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Found]:
    """Ask all portmappers at `addresses` to call `procedure` (procedure 0 unless given); yields each host once.

    Ends after `timeout` seconds: nobody knows how many answers there are. Where a call fails
    nobody answers. What is no answer to this question is passed over. Most portmappers of today do not
    forward calls unless told to. OSError: the question cannot be sent anywhere.
    """
    target = null_procedure(program, version) if procedure is None else procedure
    parts: list[bytes] = []
    target.encode_args(args, parts)
    arguments = pm.call_args(target.program, target.version, target.number, b"".join(parts))
    session = (NoneCredential() if credential is None else credential).session("")
    table = CallTable(policy)
    deadline = clock() + timeout
    call = table.open(_CALLIT, (arguments,), session.begin, now=clock(), deadline=deadline)
    seen: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setblocking(False)
        while (now := clock()) < deadline:
            for due in table.due(now):
                _send_to_all(sock, due.message, addresses, port)
            wait = min(table.next_time() or deadline, deadline) - clock()
            if not select.select([sock], [], [], max(0.0, wait))[0]:
                continue
            for message, host in _received(sock):
                if host in seen or reply_xid(message) != call.xid:
                    continue
                found = _found(message, host, target)
                if found is not None:
                    seen.add(host)
                    yield found


def _send_to_all(sock: socket.socket, message: bytes, addresses: Iterable[str], port: int) -> None:
    """Send to every address; OSError if it can be sent to none."""
    trouble: OSError | None = None
    sent = False
    for address in addresses:
        try:
            sock.sendto(message, (address, port))
            sent = True
        except OSError as error:
            trouble = error
    if trouble is not None and not sent:
        raise trouble


def _received(sock: socket.socket) -> Iterator[tuple[bytes, str]]:
    try:
        while True:
            message, (host, _) = sock.recvfrom(MAX_DATAGRAM)
            yield message, host
    except BlockingIOError:
        return
    except OSError:  # an ICMP error that an earlier question brought
        return


def _found(message: bytes, host: str, target: Procedure) -> Found | None:
    try:
        header = decode_reply(message)
        answer = decode(pm.decode_call_result, message[header.body :])
        result, end = target.decode_result(answer.res, 0, DEFAULT_LIMITS)
    except (RpcError, XdrError):
        return None
    if end != len(answer.res) or not 0 < answer.port < 65536:
        return None
    return Found(host, answer.port, result)
