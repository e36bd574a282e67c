"""What time it is on another host: asked of its rpcbind (RFC 1833 §2.2, GETTIME), else of its time service (RFC 868).

AUTH_DH proves callers by their clocks, so it needs to know how far the two clocks are apart.
"""

import socket
import time
from collections.abc import Callable
from struct import Struct

from nfsrpc.protocols import rpcb_prot
from nfsrpc.rpc.errors import RpcError, RpcTimeout
from nfsrpc.transport.client_udp import connect_udp

RPCBIND_PORT = 111
TIME_PORT = 37
TIMEOUT = 3.0
_1900_TO_1970 = 2_208_988_800
_WORD = Struct(">I")


def rpcbind_time(host: str, port: int = RPCBIND_PORT, timeout: float = TIMEOUT) -> int:
    """Seconds since 1970 on `host`, as its rpcbind says. Errors of `nfsrpc.rpc.errors`."""
    with connect_udp(host, port, timeout=timeout) as client:
        seconds: int = rpcb_prot.RPCBPROG_3_client(client).RPCBPROC_GETTIME()
    return seconds


def time_service_time(host: str, port: int = TIME_PORT, timeout: float = TIMEOUT) -> int:
    """Seconds since 1970 on `host`, as its time service says over UDP (RFC 868). `RpcTimeout` if it says nothing."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(address)
            sock.send(bytes(4))
            answer = sock.recv(64)
        except OSError as trouble:
            raise RpcTimeout(f"no time service at {host} port {port}: {trouble}") from None
    if len(answer) != _WORD.size:
        raise RpcError(f"the time service at {host} answers {len(answer)} bytes where 4 should be")
    return int(_WORD.unpack(answer)[0]) - _1900_TO_1970 & 0xFFFF_FFFF


def clock_of(
    host: str,
    *,
    rpcbind_port: int = RPCBIND_PORT,
    time_port: int = TIME_PORT,
    timeout: float = TIMEOUT,
    clock: Callable[[], float] = time.time,
) -> Callable[[], float]:
    """A clock (for `DhCredential`) that shows the time on `host`: asked once, then counted on here.

    Both services answer in whole seconds; a host that is less than one second off is taken to be right.
    Raises what the second of both raises if neither answers.
    """
    try:
        there = rpcbind_time(host, rpcbind_port, timeout)
    except RpcError:
        there = time_service_time(host, time_port, timeout)
    offset = there - int(clock())
    if abs(offset) <= 1:
        return clock
    return lambda: clock() + offset
