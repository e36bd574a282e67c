"""The UDP side of a server: datagrams in, datagrams out, from the address that was asked."""

import errno
import logging
import socket
from struct import Struct, calcsize
from typing import Any, Final, Protocol

from nfsrpc.protocols.rpc_msg import accept_stat
from nfsrpc.rpc.dispatch import Peer
from nfsrpc.rpc.logs import call_fields
from nfsrpc.rpc.message import accepted

from . import batches
from .address import MAX_DATAGRAM, numeric_host
from .batches import COUNT, NAME, PARTS, Incoming, Outgoing

_log = logging.getLogger(__name__)

_PEERS: Final = 4096
"""Peers whose decoded address is kept."""

# Linux ip(7) and ipv6(7); the socket module does not name all of them.
_IP_PKTINFO: Final = 8
_IPV6_RECVPKTINFO: Final = 49
_IPV6_PKTINFO: Final = 50
_IN_PKTINFO: Final = Struct("=I4s4s")
_CMSGHDR: Final = Struct("@Nii")
_CMSG_ALIGNED: Final = calcsize("@N")
_SOCKADDR_IN: Final = Struct("=H2s4s")
_SOCKADDR_IN6: Final = Struct("=H2sI16sI")


class Datagrams(Protocol):
    """One UDP socket of a server. An origin is what `reply` needs to answer a datagram."""

    sock: socket.socket

    def receive(self, room: int, calls: list[tuple[bytes, Peer]], origins: list[tuple[Any, Any]]) -> None:
        """Add at most `room` datagrams that are there: message and peer to `calls`, us and origin to `origins`."""

    def reply(self, origin: Any, parts: list[bytes]) -> None:
        """Send one reply, at `flush` at the latest. A peer that cannot take it will ask again: nothing is queued."""

    def flush(self) -> None:
        """See that every reply has left."""


class SingleDatagrams:
    """`Datagrams` of which each takes a system call of its own, through a socket bound to one address."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._netid = _netid(sock)
        self._peers: dict[Any, Peer] = {}

    def receive(self, room: int, calls: list[tuple[bytes, Peer]], origins: list[tuple[Any, Any]]) -> None:
        """See `Datagrams.receive`."""
        take, peers = self.sock.recvfrom, self._peers
        try:
            for _ in range(room):
                message, address = take(MAX_DATAGRAM)
                calls.append((message, peers.get(address) or self._peer(address)))
                origins.append((self, address))
        except BlockingIOError:
            return
        except OSError as error:  # an ICMP error that belongs to an earlier reply
            _log.debug("receiving on UDP: %s", error)

    def reply(self, origin: Any, parts: list[bytes]) -> None:
        """See `Datagrams.reply`."""
        try:
            self.sock.sendto(b"".join(parts), origin)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self.sock.sendto(_too_long(b"".join(parts), self._peer(origin)), origin)
            else:
                _not_sent(self._peer(origin), error)

    def flush(self) -> None:
        """Each reply has left by itself."""

    def _peer(self, address: Any) -> Peer:
        if len(self._peers) >= _PEERS:
            self._peers.clear()
        peer = self._peers[address] = _peer(address, self._netid)
        return peer


class BatchedDatagrams:
    """`Datagrams` of which many share a system call. An origin is whither `Outgoing` sends.

    Through a socket bound to every address, a reply leaves from the one that its call came to (RFC 1122 §4.1.3.5).
    To find that out, and to say it, costs more for each single datagram than all else.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._netid = _netid(sock)
        self._origins: dict[bytes, tuple[Peer, tuple[Any, bytes]]] = {}
        self._incoming = Incoming(sock)
        self._outgoing = Outgoing(sock)
        self._leaving: list[tuple[list[bytes], bytes]] = []

    def receive(self, room: int, calls: list[tuple[bytes, Peer]], origins: list[tuple[Any, Any]]) -> None:
        """See `Datagrams.receive`."""
        known = self._origins
        while room > 0:
            try:
                found = self._incoming.receive(room)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error that belongs to an earlier reply
                _log.debug("receiving on UDP: %s", error)
                return
            for message, whence in found:
                peer, origin = known.get(whence) or self._meet(whence)
                calls.append((message, peer))
                origins.append(origin)
            if len(found) < min(room, COUNT):
                return
            room -= len(found)

    def _meet(self, whence: bytes) -> tuple[Peer, tuple[Any, bytes]]:
        if len(self._origins) >= _PEERS:
            self._origins.clear()
        met = self._origins[whence] = (self._peer(whence), (self, whence[:NAME] + _local(whence[NAME:])))
        return met

    def _peer(self, whence: bytes) -> Peer:
        return _peer(_address(whence), self._netid)

    def reply(self, origin: bytes, parts: list[bytes]) -> None:
        """See `Datagrams.reply`."""
        self._leaving.append((parts if len(parts) <= PARTS else [b"".join(parts)], origin))
        if len(self._leaving) == COUNT:
            self.flush()

    def flush(self) -> None:
        """See `Datagrams.flush`."""
        if not self._leaving:
            return
        leaving, self._leaving = self._leaving, []
        again = []
        for index, error in self._outgoing.send(leaving):
            parts, origin = leaving[index]
            if error.errno == errno.EMSGSIZE:
                again.append(([_too_long(b"".join(parts), self._peer(origin))], origin))
            else:
                _not_sent(self._peer(origin), error)
        if again:
            self._outgoing.send(again)


def datagrams(sock: socket.socket, wildcard: bool) -> Datagrams:
    """The fitting class for `sock`, which is bound to every address if `wildcard`."""
    if wildcard and batches.AVAILABLE:
        _tell_whither(sock)
        return BatchedDatagrams(sock)
    return BatchedDatagrams(sock) if batches.CHEAP else SingleDatagrams(sock)


def _tell_whither(sock: socket.socket) -> None:
    """Have `sock` tell of each datagram which address it came to."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _netid(sock: socket.socket) -> str:
    return "udp6" if sock.family == socket.AF_INET6 else "udp"


def _peer(address: tuple[Any, ...], netid: str) -> Peer:
    return Peer(numeric_host(address), int(address[1]), netid)


def _not_sent(peer: Peer, error: OSError) -> None:
    _log.debug("replying to %s: %s", peer, error)


def _too_long(message: bytes, peer: Peer) -> bytes:
    """A result that no datagram can hold is the server's failure, and the caller is told so at once."""
    xid, size = int.from_bytes(message[:4]), len(message)
    fields = call_fields(xid, peer)
    _log.warning("xid %#010x of %s: a reply of %d bytes fits no datagram: use TCP", xid, peer, size, extra=fields)
    return accepted(xid, accept_stat.SYSTEM_ERR)


def _address(whence: bytes) -> tuple[Any, ...]:
    """What the socket module would give for a sockaddr."""
    family, port, host = _SOCKADDR_IN.unpack_from(whence)
    if family == socket.AF_INET:
        return socket.inet_ntop(family, host), int.from_bytes(port)
    family, port, flow, host, scope = _SOCKADDR_IN6.unpack_from(whence)
    return socket.inet_ntop(family, host), int.from_bytes(port), socket.ntohl(flow), scope


def _local(control: bytes) -> bytes:
    """The control message that lets a reply leave from where its call came to; none if that is no address of ours."""
    # A caller of IPv4 on a socket for both comes with two: IPv4's is the last, and knows more of broadcasts.
    for level, kind, data in reversed(_messages(control)):
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, local, _ = _IN_PKTINFO.unpack(data)
            return _message(level, kind, _IN_PKTINFO.pack(0, local, bytes(4)))
        if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO:
            if data[0] == 0xFF:  # to a multicast group: no address that a reply could leave from
                return b""
            # Only a link-local address needs its interface; any other reply may leave by the best route.
            linked = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            return _message(level, kind, data if linked else data[:16] + bytes(4))
    return b""


def _messages(control: bytes) -> list[tuple[int, int, bytes]]:
    """Level, kind and data of each control message (cmsg(3))."""
    found = []
    start = 0
    while start + _CMSGHDR.size <= len(control):
        length, level, kind = _CMSGHDR.unpack_from(control, start)
        found.append((level, kind, control[start + _CMSGHDR.size : start + length]))
        start += -(-length // _CMSG_ALIGNED) * _CMSG_ALIGNED
    return found


def _message(level: int, kind: int, data: bytes) -> bytes:
    padding = bytes(socket.CMSG_SPACE(len(data)) - socket.CMSG_LEN(len(data)))
    return _CMSGHDR.pack(socket.CMSG_LEN(len(data)), level, kind) + data + padding
