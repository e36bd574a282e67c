"""What tests send, kept for a look from outside: `pytest --record DIR` (root only) writes DIR/*.pcap.

Each pytest process enters a network namespace of its own, so that on its loopback interface nobody else's packets are.
Around each test a packet socket is open; what it has gathered is written when the test is over: up to a bound for
each test, and nothing of tests marked `hostile`. In the file each test has addresses of its own
(127.x.y.1), so that ports and xids that come again mean nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SO_RCVBUFFORCE, SO_TIMESTAMPNS, SO_ATTACH_FILTER = 33, 35, 26
ROOM = 32 << 20
"""Bytes that the kernel may hold for one test; what comes after that is not recorded."""
MOST_FRAMES = 400
"""Frames that are written of one test; 20 times as many with --full."""
LARGEST = 1 << 18
LINKTYPE_ETHERNET = 1
# Accept what goes out (on loopback each packet is seen going and coming): ldb [pkttype]; jeq 4; ret all; ret none.
OUTGOING = [(0x30, 0, 0, 0xFFFFF004), (0x15, 0, 1, 4), (0x06, 0, 0, LARGEST), (0x06, 0, 0, 0)]
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter_own_network() -> None:
    """This thread, and what it starts, gets a network of its own: a loopback interface and nothing else.

    Datagrams that leave in one piece (UDP_SEGMENT) are cut before they are gathered, as they would be on a wire.
    """
    _checked(_libc.unshare(CLONE_NEWNET))
    subprocess.run(["ip", "link", "set", "lo", "up", "gso_max_segs", "1"], check=True)


def packet_socket() -> socket.socket:
    """A socket that gathers what passes over loopback in the network of this thread."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    program = b"".join(struct.pack("=HBBI", *step) for step in OUTGOING)
    buffer = ctypes.create_string_buffer(program)
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(OUTGOING), ctypes.addressof(buffer)))
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.setblocking(False)
    s.bind(("lo", ETH_P_ALL))
    return s


def packet_socket_of(pid: int) -> socket.socket:
    """The same in the network of another process."""
    made: list[socket.socket] = []

    def make() -> None:
        with open(f"/proc/{pid}/ns/net") as network:
            _checked(_libc.setns(network.fileno(), CLONE_NEWNET))
        made.append(packet_socket())

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def frames(s: socket.socket, most: int) -> Iterator[tuple[int, bytes]]:
    """(nanoseconds since 1970, frame) of what a packet socket has gathered."""
    with contextlib.suppress(BlockingIOError):
        for _ in range(most):
            data, ancillary, _, _ = s.recvmsg(LARGEST, 64)
            seconds, nanoseconds = struct.unpack("@ll", ancillary[0][2])
            yield seconds * 1_000_000_000 + nanoseconds, data


def moved(frame: bytes, test: int) -> bytes:
    """The frame with loopback addresses of its own for each test."""
    kind, number = frame[12:14], test.to_bytes(2)
    if kind == b"\x08\x00" and frame[26] == frame[30] == 127:
        return frame[:27] + number + frame[29:31] + number + frame[33:]
    if kind == b"\x86\xdd" and frame[22:54] == bytes(15) + b"\1" + bytes(15) + b"\1":
        return frame[:34] + number + frame[36:50] + number + frame[52:]
    return frame


class Recorder:
    """Writes one pcap file (nanoseconds), test after test."""

    def __init__(self, path: Path, most: int = MOST_FRAMES) -> None:
        self._file = path.open("wb")
        self._file.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, LARGEST, LINKTYPE_ETHERNET))
        self._names = path.with_suffix(".tests").open("w")
        self._most = most
        self._test = 0

    @contextlib.contextmanager
    def test(self, name: str) -> Iterator[None]:
        """Around one test."""
        self._test += 1
        self._names.write(f"{self._test} {name}\n")
        with packet_socket() as s:
            yield
            self._write(s)

    @contextlib.contextmanager
    def namespace(self, pid: int) -> Iterator[None]:
        """Around the part of a test that works in another network, which process `pid` is in."""
        with packet_socket_of(pid) as s:
            yield
            self._write(s)

    def _write(self, s: socket.socket) -> None:
        for time, data in frames(s, self._most):
            head = struct.pack("=IIII", *divmod(time, 1_000_000_000), len(data), len(data))
            self._file.write(head + moved(data, self._test))

    def close(self) -> None:
        """The end of the file."""
        self._file.close()
        self._names.close()
