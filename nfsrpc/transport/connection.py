"""The TCP side of a server: one connection, its records in and its replies out, both bounded."""

import logging
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from nfsrpc.rpc.dispatch import Peer
from nfsrpc.rpc.errors import RecordError
from nfsrpc.rpc.record import length
from nfsrpc.xdr import Limits

from .stream import TlsFailed, server_stream

if TYPE_CHECKING:
    import ssl

_log = logging.getLogger(__name__)
_READ: Final = 1 << 18
"""Bytes taken at once at most, into memory that all connections of a loop share; and in one go, at most twice that."""
_MORE: Final = 1 << 16
"""A read that brings so much is followed by another: a peer in the middle of 8 KiB writes gets 31 of them into one
commit, not 7."""
_COARSE: Final = 1 << 12
"""Mean size of parts, from which on it costs less to send them as they are than to join them first."""
_PARTS: Final = 1024
"""Parts that one system call takes (IOV_MAX)."""


def shared_memory() -> memoryview:
    """Memory that the connections of one loop are read into."""
    return memoryview(bytearray(_READ))


class Connection:
    """One TCP peer. It holds at most two reads beyond its caps, whatever the peer does.

    `calls` are the records that wait for a turn. While there are any, or
    while more than `limits.unsent` bytes of replies wait, nothing is read.
    `expects` is the loop's own note of the readiness it waits for. `memory` is where
    bytes are read to (`shared_memory`); nothing stays there.
    """

    def __init__(
        self, sock: socket.socket, peer: Peer, limits: Limits, memory: memoryview, tls: "ssl.SSLContext | None" = None
    ) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.peer = peer
        self.calls: deque[bytes] = deque()
        self.expects = 0
        self._limits = limits
        self._most_unsent = limits.unsent
        self._memory = memory
        self._stream = server_stream(limits, tls)
        self._out: list[bytes | memoryview] = []
        self._unsent = 0
        self._ended = False
        self._record_since: float | None = None
        self._unsent_since: float | None = None

    def overdue(self, now: float) -> str | None:
        """What the peer owes for longer than the limits allow, in words; None: nothing."""
        if self._record_since is not None and now - self._record_since > self._limits.record_seconds:
            return f"no whole record in {self._limits.record_seconds:g} s"
        if self._unsent_since is not None and now - self._unsent_since > self._limits.unsent_seconds:
            return f"took no reply for {self._limits.unsent_seconds:g} s"
        return None

    @property
    def wants_read(self) -> bool:
        """Whether more bytes may be read now."""
        return not (self._ended or self.calls or self._unsent > self._most_unsent)

    @property
    def wants_write(self) -> bool:
        """Whether replies wait for the peer."""
        return bool(self._out)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: the peer has ended (or broken) the stream and has every answer."""
        return self._ended and not self.calls and not self._out

    def receive(self) -> None:
        """Read what there is, within bounds, and cut it into `calls`."""
        held = 0
        while held < _READ:
            size = self._read()
            held += size
            if size < _MORE or self._ended or self._unsent > self._most_unsent:
                return

    def _read(self) -> int:
        """Read once; how many bytes there were."""
        try:
            size = self.sock.recv_into(self._memory)
        except BlockingIOError:
            return 0
        except OSError:
            size = 0
            self._drop_output()
        if not size:
            self._ended = True
            return 0
        try:
            self.calls.extend(self._stream.feed(self._memory[:size]))
        except (RecordError, TlsFailed) as error:
            _log.info("%s: %s", self.peer, error, extra={"peer": str(self.peer)})
            self._ended = True
        if urgent := self._stream.urgent():
            self._out += urgent
            self.flush()
        if self.peer.tls is None and self._stream.tls is not None:
            self.peer = self.peer._replace(tls=self._stream.tls)
        self._ended = self._ended or self._stream.broken
        if not self._stream.pending:
            self._record_since = None
        elif self._record_since is None or self.calls:
            self._record_since = time.monotonic()
        return size

    def reply(self, _origin: None, parts: list[bytes]) -> None:
        """Queue one reply, as one record of one fragment; `flush` sends. TLS that has failed sends no more."""
        try:
            self._out += self._stream.seal(parts)
        except TlsFailed as error:
            _log.info("%s: %s", self.peer, error, extra={"peer": str(self.peer)})
            self._drop_output()
            self._ended = True

    def flush(self) -> None:
        """Send what the peer will take now, in one system call: small parts cost less in one piece."""
        out = self._out
        if not out:
            return
        size = length(out)
        try:
            sent = self.sock.sendmsg(out[:_PARTS]) if size >= len(out) * _COARSE else self.sock.send(b"".join(out))
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop_output()
            self._ended = True
            return
        self._unsent = size - sent
        if not self._unsent:
            out.clear()
            self._unsent_since = None
            return
        out[:] = [memoryview(b"".join(out))[sent:]]
        if sent or self._unsent_since is None:
            self._unsent_since = time.monotonic()

    def say_goodbye(self) -> None:
        """Send no more. What the peer still sends is thrown away by `finish`."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._ended = True

    def finish(self) -> bool:
        """Throw away what came in after `say_goodbye`; whether the peer has ended as well."""
        try:
            while self.sock.recv_into(self._memory):
                pass
        except BlockingIOError:
            return self._ended
        except OSError:
            return True
        return True

    def _drop_output(self) -> None:
        """The peer is gone: nobody will read what waits."""
        self._out.clear()
        self._unsent = 0
        self.calls.clear()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
