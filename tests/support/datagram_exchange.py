"""Replies of one turn to two callers over real sockets.

usage: unshare --net python datagram_exchange.py MTU; does it over a loopback device with that MTU
"""

import socket
import subprocess
import sys
from typing import Any

from nfsrpc.transport.datagrams import datagrams
from nfsrpc.transport.endpoints import bind


def exchange(host: str, address: str, lengths: list[int]) -> None:
    """Replies of `lengths` to each of two callers, queued in turns, twice: each gets its own, whole and in order."""
    (endpoint,) = bind(host, 0)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    source = datagrams(endpoint.udp, endpoint.wildcard)
    callers = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(2)]
    origins: list[tuple[Any, Any]] = []
    for sock in callers:
        sock.settimeout(20)
        sock.connect((address, endpoint.port))
        sock.send(b"call")
    while len(origins) < 2:
        source.receive(2 - len(origins), [], origins)
    for _ in range(2):
        replies = [[bytes([at, who]) * (length // 2) for at, length in enumerate(lengths)] for who in range(2)]
        for turn in zip(*replies, strict=True):
            for (_, origin), message in zip(origins, turn, strict=True):
                source.reply(origin, [message[:1], message[1:]])
        source.flush()
        for sock, expected in zip(callers, replies, strict=True):
            assert [sock.recv(65536) for _ in lengths] == expected
    for sock in callers:
        sock.close()
    endpoint.close()


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "mtu", sys.argv[1], "up"], check=True)
    for where in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.9"), ("::", "::1")):
        exchange(*where, [8192] * 4 + [96] * 4)
        exchange(*where, [1400] * 4 + [1474] * 2)
