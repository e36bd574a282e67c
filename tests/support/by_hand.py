"""A server of hand-written bytes, for UDP and TCP on one port: as honest or as hostile as a test wants it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from multiprocessing.connection import wait

from nfsrpc.transport.endpoints import bind

PORTMAP, NFS, MOUNT = 100000, 100003, 100005
Answer = Callable[[bytes], bytes | None]


def word(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def opaque(data: bytes) -> bytes:
    """A variable-length opaque or string."""
    return word(len(data)) + data + bytes(-len(data) % 4)


def chain(*items: bytes) -> bytes:
    """A linked list: a TRUE before each item, FALSE at the end."""
    return b"".join(word(1) + item for item in items) + word(0)


def fattr(kind: int = 1, mode: int = 0o100644, size: int = 0, fileid: int = 1) -> bytes:
    """The 17 words of RFC 1094 §2.3.5."""
    return word(kind, mode, 1, 0, 0, size, 4096, 0, 8, 1, fileid, 100, 0, 200, 0, 300, 0)


DIRECTORY = fattr(2, 0o040755, 4096)
ROOT = b"R" * 32


class ByHand:
    """Answers a call of (program, procedure) with the body that its entry in `answers` makes of the arguments.

    None: no reply at all. A program without any entry is PROG_UNAVAIL, a procedure
    without one PROC_UNAVAIL; procedure 0 is always void. `calls` are the calls as they came.
    """

    def __init__(self, answers: dict[tuple[int, int], Answer | bytes]) -> None:
        self.answers = answers
        self.calls: list[bytes] = []
        (endpoint,) = bind("127.0.0.1", 0)
        self._tcp, self._udp, self.port = endpoint.tcp, endpoint.udp, endpoint.port
        self._end, self._stop = socket.socketpair()
        self._streams: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ByHand:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.send(b"x")
        self._thread.join(10)
        for sock in (self._tcp, self._udp, self._end, self._stop, *self._streams):
            sock.close()

    def _run(self) -> None:
        while True:
            ready = wait([self._end, self._udp, self._tcp, *self._streams])
            if self._end in ready:
                return
            if self._udp in ready:
                call, client = self._udp.recvfrom(65536)
                if (reply := self.reply(call)) is not None:
                    self._udp.sendto(reply, client)
            if self._tcp in ready:
                self._streams.append(self._tcp.accept()[0])
            for stream in [stream for stream in self._streams if stream in ready]:
                self._serve(stream)

    def _serve(self, stream: socket.socket) -> None:
        try:
            call = self._read(stream)
            if call and (reply := self.reply(call)) is not None:
                stream.sendall(word(0x80000000 | len(reply)) + reply)
        except ConnectionError:
            call = b""
        if not call:
            self._streams.remove(stream)
            stream.close()

    def _read(self, stream: socket.socket) -> bytes:
        """One record of one fragment; b"" at the end of the stream."""
        head = stream.recv(4)
        size, call = struct.unpack(">I", head)[0] & 0x7FFFFFFF if head else 0, b""
        while len(call) < size:
            call += stream.recv(size - len(call))
        return call

    def reply(self, call: bytes) -> bytes | None:
        self.calls.append(call)
        program, _, procedure = struct.unpack_from(">3I", call, 12)
        at = 24
        for _ in range(2):
            (length,) = struct.unpack_from(">I", call, at + 4)
            at += 8 + length + (-length % 4)
        answer = self.answers.get((program, procedure), b"" if procedure == 0 else None)
        if not any(program == known for known, _ in self.answers):
            return call[:4] + word(1, 0, 0, 0, 1)
        if (program, procedure) not in self.answers and procedure != 0:
            return call[:4] + word(1, 0, 0, 0, 3)
        body = answer if isinstance(answer, bytes) else answer(call[at:])  # type: ignore[misc]
        return None if body is None else call[:4] + word(1, 0, 0, 0, 0) + body
