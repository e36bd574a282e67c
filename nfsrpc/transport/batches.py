"""Several datagrams in one system call: Linux' recvmmsg(2) and sendmmsg(2), which Python has no names for.

A batch is one piece of memory that the kernel reads and writes: the headers of its datagrams, their addresses with
control messages, and the bytes. It takes up as much of the machine's as datagrams have filled of it once.

Where the package is compiled, batches.c takes the place of this module. The same is wanted of both; what is said of
memory is this one's affair. Neither waits, whatever the socket would do. A batch is for one thread.
"""

import ctypes
import mmap
import os
import socket
import struct
import sys
from typing import Any, Final

AVAILABLE: Final = sys.platform == "linux"
"""Whether this system has the two calls."""
CHEAP: bool = False
"""Whether a batch costs less than calls of the socket module that do the same: not through ctypes.

Not `Final`, and to be asked of the module: whoever is compiled would have this value built in.
"""
COUNT: Final = 32
"""Datagrams in a batch: with more, what is saved for each hardly grows."""
PARTS: Final = 16
"""Parts that a datagram may be sent from."""
_SLOT: Final = 1 << 16
"""Bytes that there are for one datagram; the longest has 65 535."""
NAME: Final = 32
"""Bytes kept for a socket address; the longest, a sockaddr_in6, has 28. Control messages follow."""
_CONTROL: Final = socket.CMSG_SPACE(20) + socket.CMSG_SPACE(12)
"""Bytes kept for control messages: an in6_pktinfo and an in_pktinfo."""
_WHENCE: Final = NAME + _CONTROL

# struct mmsghdr: address and its length, iovecs and how many, control messages and their length, flags; bytes received.
_HEADER: Final = struct.Struct("@PIPNPNi0PI0P")
_IOVEC: Final = struct.Struct("@PN")
_WORD: Final = struct.calcsize("@I")
_LONG: Final = struct.calcsize("@L")
_WORDS: Final = _HEADER.size // _WORD
_LONGS: Final = _HEADER.size // _LONG
_CONTROL_LENGTH_AT: Final = struct.calcsize("@PIPNP")
_CONTROL_LENGTH: Final = _CONTROL_LENGTH_AT // _LONG
_RECEIVED: Final = struct.calcsize("@PIPNPNi0P") // _WORD

_IOVECS_AT: Final = COUNT * _HEADER.size
_WHENCES_AT: Final = _IOVECS_AT + COUNT * _IOVEC.size
_DATA_AT: Final = _WHENCES_AT + COUNT * _WHENCE
_END: Final = _DATA_AT + COUNT * _SLOT
_DONT_WAIT: Final = 0x40
"""MSG_DONTWAIT of send(2), which Windows' socket module has no name for."""
_COPIED: Final = 8192
"""Bytes of a message that cost more to copy than to find out where they are."""
_pack_iovec: Final = _IOVEC.pack_into
_pack_long: Final = struct.Struct("@L").pack_into

_address: Any = ctypes.pythonapi.PyBytes_AsString
_address.argtypes = (ctypes.py_object,)
_address.restype = ctypes.c_void_p
_libc: Any = ctypes.CDLL(None, use_errno=True)
_recvmmsg: Any = _libc.recvmmsg if AVAILABLE else None
_sendmmsg: Any = _libc.sendmmsg if AVAILABLE else None
if AVAILABLE:
    _recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    _sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class _Batch:
    """Memory for `COUNT` datagrams, each header leading to its iovec, its address and its bytes.

    Those of a connected socket have no address: it has the peer's.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._connected = connected = _has_peer(sock)
        self._memory = memory = mmap.mmap(-1, _END, flags=mmap.MAP_PRIVATE)
        self._at: int = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for index in range(COUNT):
            whence = self._at + _WHENCES_AT + index * _WHENCE
            iovec = _IOVECS_AT + index * _IOVEC.size
            name = (0, 0) if connected else (whence, NAME)
            header = (*name, self._at + iovec, 1, whence + NAME, _CONTROL, 0, 0)
            _HEADER.pack_into(memory, index * _HEADER.size, *header)
            _IOVEC.pack_into(memory, iovec, self._at + _DATA_AT + index * _SLOT, _SLOT)


class Incoming(_Batch):
    """Takes datagrams from one socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._fresh = self._memory[:_IOVECS_AT]
        headers = memoryview(self._memory)[:_IOVECS_AT]
        self._lengths = headers.cast("I")[_RECEIVED::_WORDS]
        self._controls = headers.cast("L")[_CONTROL_LENGTH::_LONGS]

    def receive(self, room: int) -> list[tuple[bytes, bytes]]:
        """At most `room` datagrams that are there, `COUNT` at most, each with whence it came.

        That is the address as the system has it, `NAME` bytes (zero where the socket is connected), and behind it the
        control messages. OSError.
        """
        memory = self._memory
        memory[:_IOVECS_AT] = self._fresh
        count = _recvmmsg(self._sock.fileno(), self._at, max(0, min(room, COUNT)), _DONT_WAIT, None)
        if count < 0:
            raise _error()
        found = []
        data, whence = _DATA_AT, _WHENCES_AT
        for length, control in zip(self._lengths[:count].tolist(), self._controls[:count].tolist(), strict=True):
            found.append((memory[data : data + length], memory[whence : whence + NAME + control]))
            data += _SLOT
            whence += _WHENCE
        return found


class Outgoing(_Batch):
    """Sends datagrams from one socket."""

    def send(self, datagrams: list[tuple[list[bytes], bytes]]) -> list[tuple[int, OSError]]:
        """Send at most `COUNT` datagrams, each of at most `PARTS` parts, and whither it goes, as `Incoming` has whence.

        Where the socket is connected that is empty. Parts are bytes, no other buffers. Answers the places of those
        that could not leave, and why; an ICMP error that comes to light behind the first, the kernel keeps to itself.
        ValueError: too many, or an address too much or too few; nothing has been sent.
        """
        if len(datagrams) > COUNT:
            raise ValueError("a list of no more than COUNT datagrams is wanted")
        memory, at = self._memory, self._at
        header, iovec, whence, data = _CONTROL_LENGTH_AT, _IOVECS_AT, _WHENCES_AT, _DATA_AT
        least, most = (0, 0) if self._connected else (NAME, _WHENCE)
        in_place = []
        for parts, whither in datagrams:
            message = parts[0] if len(parts) == 1 else b"".join(parts)
            length, known, start = len(message), len(whither), at + data
            if len(parts) > PARTS:
                raise ValueError("too many parts")
            if not least <= known <= most:
                raise ValueError("a connected socket has its peer's address, any other needs one")
            if length <= _COPIED:
                memory[data : data + length] = message
            else:
                start = _address(message)
                in_place.append(message)
            memory[whence : whence + known] = whither
            _pack_long(memory, header, max(known - NAME, 0))
            _pack_iovec(memory, iovec, start, length)
            header += _HEADER.size
            iovec += _IOVEC.size
            whence += _WHENCE
            data += _SLOT
        failed = []
        done, count = 0, len(datagrams)
        while done < count:
            sent = _sendmmsg(self._sock.fileno(), at + done * _HEADER.size, count - done, _DONT_WAIT)
            if sent < 0:
                failed.append((done, _error()))
                sent = 1
            done += sent
        return failed


def _has_peer(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
