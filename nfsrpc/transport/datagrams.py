"""The UDP side of a server: datagrams in, datagrams out, from the address that was asked."""

import errno
import logging
import socket
import sys
from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any

from nfsrpc.protocols.rpc_msg import accept_stat
from nfsrpc.rpc.dispatch import Peer
from nfsrpc.rpc.logs import call_fields
from nfsrpc.rpc.message import accepted

from .address import numeric_host

_log = logging.getLogger(__name__)

MAX_DATAGRAM = 65535
_PEERS = 4096
"""Peers whose decoded address is kept."""

# Linux ip(7) and ipv6(7); the socket module does not name all of them.
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50
_IN_PKTINFO = Struct("=I4s4s")
_ANCILLARY = socket.CMSG_SPACE(20) + socket.CMSG_SPACE(_IN_PKTINFO.size)
"""An in6_pktinfo and an in_pktinfo."""


class Datagrams:
    """One UDP socket bound to one address. An origin is what `reply` needs to answer a datagram."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._netid = "udp6" if sock.family == socket.AF_INET6 else "udp"
        self._peers: dict[Any, Peer] = {}
        # Memory for the longest datagram, cut to size afterwards, costs less than a copy of even the shortest.
        self._take: Callable[[], tuple[bytes, Any]] = partial(sock.recvfrom, MAX_DATAGRAM)

    def receive(self, room: int, calls: list[tuple[bytes, Peer]], origins: list[tuple[Any, Any]]) -> None:
        """Add at most `room` datagrams that are there: message and peer to `calls`, us and origin to `origins`."""
        take, peers = self._take, self._peers
        try:
            for _ in range(room):
                message, origin = take()
                calls.append((message, peers.get(origin) or self._peer(origin)))
                origins.append((self, origin))
        except BlockingIOError:
            return
        except OSError as error:  # an ICMP error that belongs to an earlier reply
            _log.debug("receiving on UDP: %s", error)

    def reply(self, origin: Any, parts: list[bytes]) -> None:
        """Send one reply. A peer that cannot take it now will ask again: nothing is queued."""
        try:
            self._send(parts, origin)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self._too_long(origin, parts)
            else:
                _log.debug("replying to %s: %s", self._peer(origin), error)

    def _too_long(self, origin: Any, parts: list[bytes]) -> None:
        """A result that no datagram can hold is the server's failure, and the caller is told so at once."""
        xid, peer, size = int.from_bytes(parts[0][:4]), self._peer(origin), sum(map(len, parts))
        fields = call_fields(xid, peer)
        _log.warning("xid %#010x of %s: a reply of %d bytes fits no datagram: use TCP", xid, peer, size, extra=fields)
        self._send([accepted(xid, accept_stat.SYSTEM_ERR)], origin)

    def _peer(self, origin: Any) -> Peer:
        if len(self._peers) >= _PEERS:
            self._peers.clear()
        address = self._address(origin)
        peer = self._peers[origin] = Peer(numeric_host(address), int(address[1]), self._netid)
        return peer

    def _address(self, origin: Any) -> tuple[Any, ...]:
        return tuple(origin)

    def _send(self, parts: list[bytes], origin: Any) -> None:
        self.sock.sendto(b"".join(parts), origin)


class WildcardDatagrams(Datagrams):
    """One UDP socket bound to every address: a reply leaves from the one its call came to (RFC 1122 §4.1.3.5)."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._take = self._take_with_address
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def _take_with_address(self) -> tuple[bytes, tuple[Any, Any]]:
        message, ancillary, _, address = self.sock.recvmsg(MAX_DATAGRAM, _ANCILLARY)
        # A caller of IPv4 on a socket for both comes with two: IPv4's is the last, and knows more of broadcasts.
        for level, kind, data in reversed(ancillary):
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                _, local, _ = _IN_PKTINFO.unpack(data)
                return message, (address, (level, kind, _IN_PKTINFO.pack(0, local, bytes(4))))
            if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO:
                if data[0] == 0xFF:  # to a multicast group: no address that a reply could leave from
                    return message, (address, None)
                # Only a link-local address needs its interface; any other reply may leave by the best route.
                local = data if data[0] == 0xFE and data[1] & 0xC0 == 0x80 else data[:16] + bytes(4)
                return message, (address, (level, kind, local))
        return message, (address, None)

    def _address(self, origin: Any) -> tuple[Any, ...]:
        return tuple(origin[0])

    def _send(self, parts: list[bytes], origin: Any) -> None:
        address, local = origin
        self.sock.sendmsg(parts, [local] if local else [], 0, address)


def datagrams(sock: socket.socket, wildcard: bool) -> Datagrams:
    """The fitting class for `sock`."""
    return WildcardDatagrams(sock) if wildcard and sys.platform == "linux" else Datagrams(sock)
