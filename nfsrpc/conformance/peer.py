"""The server under test: raw messages to it and back, over UDP and TCP."""

import contextlib
import itertools
import os
import socket
import struct

from .wire import NONE, Malformed, Reader, w

PORTMAP, NFS, MOUNT = 100000, 100003, 100005
SUCCESS, PROG_UNAVAIL, PROG_MISMATCH, PROC_UNAVAIL, GARBAGE_ARGS, SYSTEM_ERR = range(6)
_LAST = 0x8000_0000
_MOST = 1 << 20


class NoAnswer(AssertionError):
    """The server said nothing where it should have."""


class Peer:
    """One transport to the server. `ask` sends one message; a TCP connection is kept until the server closes it.

    `timeout` and `silence` in seconds: how long an answer may take, and after which time there is none.
    """

    def __init__(self, address: tuple[str, int], proto: str, timeout: float, silence: float) -> None:
        self.address = address
        self.proto = proto
        self.timeout = timeout
        self.silence = silence
        self._xids = itertools.count(int.from_bytes(os.urandom(4)))
        self._sock: socket.socket | None = None

    def connect(self) -> socket.socket:
        """A new socket, with the timeout set."""
        if self.proto == "tcp":
            return socket.create_connection(self.address, self.timeout)
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.settimeout(self.timeout)
        sock.connect(self.address)
        return sock

    def xid(self) -> int:
        """A fresh one."""
        return next(self._xids) & 0xFFFF_FFFF

    def ask(self, message: bytes, wait: float | None = None) -> bytes | None:
        """The reply to `message`; None for silence, or for a connection that is closed without an answer."""
        for _ in range(2):
            known = self._sock is not None
            sock = self._sock = self._sock or self.connect()
            sock.settimeout(self.timeout if wait is None else wait)
            try:
                if self.proto == "udp":
                    return self._datagram(sock, message)
                sock.sendall(w(_LAST | len(message)) + message)
                return read_record(sock)
            except TimeoutError:
                self.close()
                return None
            except (ConnectionError, EOFError):
                self.close()
                # A connection that has been idle may have been closed by right; a new one may not.
                if not known:
                    return None
        return None

    def _datagram(self, sock: socket.socket, message: bytes) -> bytes:
        sock.send(message)
        while True:
            data = sock.recv(65536)
            if data[:4] == message[:4]:
                return data

    def call(
        self, program: int, version: int, procedure: int, arguments: bytes = b"", credential: bytes = NONE
    ) -> Reader:
        """The result of a call that must be accepted and succeed as far as RPC goes. Raises `AssertionError`."""
        message = call(self.xid(), program, version, procedure, arguments, credential)
        reply = self.ask(message)
        if reply is None:
            raise NoAnswer(f"no reply to program {program} version {version} procedure {procedure} over {self.proto}")
        return accepted(reply, message)

    def close(self) -> None:
        """End the connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def call(
    xid: int, program: int, version: int, procedure: int, arguments: bytes = b"", credential: bytes = NONE,
    verifier: bytes = NONE, *, rpcvers: int = 2, mtype: int = 0,
) -> bytes:  # fmt: skip
    """A call message (RFC 5531 §9)."""
    return w(xid, mtype, rpcvers, program, version, procedure) + credential + verifier + arguments


def accepted(reply: bytes, message: bytes) -> Reader:
    """A reader of the result in an accepted, successful reply to `message`."""
    reader = Reader(reply)
    if reader.fixed(4) != message[:4]:
        raise Malformed("a reply with another xid")
    if (mtype := reader.word()) != 1:
        raise Malformed(f"mtype {mtype} in a reply")
    if reader.word() != 0:
        raise AssertionError(f"the call was denied: {reply[12:].hex()}")
    reader.word()
    reader.opaque(400)
    if (stat := reader.word()) != SUCCESS:
        raise AssertionError(f"accept_stat {stat}")
    return reader


def read_record(sock: socket.socket) -> bytes:
    """One record of any number of fragments (RFC 5531 §11). EOFError where the stream ends, `Malformed` over 1 MiB."""
    record = b""
    while True:
        (mark,) = struct.unpack(">I", read_exactly(sock, 4))
        if (mark & ~_LAST) + len(record) > _MOST:
            raise Malformed(f"a record of over {_MOST} bytes")
        record += read_exactly(sock, mark & ~_LAST)
        if mark & _LAST:
            return record


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """`size` bytes of a stream. EOFError where it ends."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def serves(address: tuple[str, int], proto: str, timeout: float) -> bool:
    """Whether anybody answers NFS's NULL there."""
    peer = Peer(address, proto, timeout, timeout)
    with contextlib.suppress(OSError, AssertionError):
        peer.call(NFS, 2, 0)
        return True
    return False
