"""Calls made on behalf of others: CALLIT, BCAST and INDIRECT (RFC 1833 §2.2.1, §3.1). Off unless asked for."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nfsrpc.protocols.portmap import PMAP_PROG
from nfsrpc.rpc.allowance import Allowance
from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.retry import MAYBE
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.xdr import Limits, Procedure

from .entry import Target
from .uaddr import from_uaddr

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

TIME = 1.0
"""Seconds that a forwarded call may take."""
RATE = 8.0
"""Forwarded calls a second, over all callers of one worker."""
_THREADS = 8
"""Calls under way at once: as many as may begin in the time that one may take."""
_MAX_ANSWER = 1400
"""Bytes of the longest result passed on: one packet, so that nobody is flooded with what others asked for."""


def _encode(args: tuple[bytes], out: list[bytes]) -> None:
    out.append(args[0])


def _encode_result(value: bytes, out: list[bytes]) -> None:
    out.append(value)


def _decode(data: bytes, pos: int, limits: Limits) -> tuple[bytes, int]:
    return data[pos:], len(data)


def _decode_args(data: bytes, pos: int, limits: Limits) -> tuple[tuple[bytes], int]:
    return (data[pos:],), len(data)


class Forwarder:
    """Calls local services over UDP with AUTH_NONE: a stranger's call gets no identity on the way.

    It does so in threads: nobody else waits for that service, which may be served by this very process.
    """

    def __init__(self, rate: float = RATE, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowance = Allowance(rate, clock)
        self._threads: ThreadPoolExecutor | None = None

    def permits(self, target: Target) -> bool:
        """Whether `target` may be called now: never the portmapper itself, and not too often."""
        return target.program != PMAP_PROG and self._allowance.spend()

    def start(self, work: Callable[[], Any]) -> "Future[Any]":
        """What `work`, which makes a `call`, returns or raises will be there."""
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor

            self._threads = ThreadPoolExecutor(_THREADS, "forward")
        return self._threads.submit(work)

    def call(self, target: Target, address: str) -> bytes:
        """The encoded result of `target`, called at the universal `address`. Raises what the call raises."""
        place = from_uaddr(address)
        host = ("::1" if ":" in place.host else "127.0.0.1") if place.is_wildcard else place.host
        program, version, number, args = target
        procedure = Procedure(program, version, number, "FORWARDED", _encode, _decode_args, _encode_result, _decode)
        with connect_udp(host, place.port, timeout=TIME, policy=MAYBE) as client:
            result: bytes = client.call(procedure, (args,))
        if len(result) > _MAX_ANSWER:
            raise RpcError("the result is too long to be passed on")
        return result
