"""Several datagrams in one system call, which the kernel cuts: UDP generic segmentation, Linux udp(7), since 4.18."""

import errno
import socket
import sys
from struct import Struct

_SOL_UDP, _UDP_SEGMENT = 17, 103
_SEGMENT_SIZE = Struct("=H")
_SEGMENTS = 64
"""Segments that every such kernel takes at once."""
TOGETHER = 65507
"""Bytes that leave at once: they are one datagram over IPv4 until the kernel cuts it."""


def can_segment(sock: socket.socket) -> bool:
    """Asked for, not tried: an older kernel would send them all as one datagram."""
    if sys.platform != "linux":
        return False
    try:
        sock.getsockopt(_SOL_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True


def bursts(messages: list[bytes], longest: int) -> list[list[bytes]]:
    """`messages` in their order, cut into what can leave at once: equals, of which the last may be shorter.

    Longer ones than `longest` bytes are alone.
    """
    cut: list[list[bytes]] = []
    burst: list[bytes] = []
    segment = room = 0
    for message in messages:
        size = len(message)
        if 0 < size <= segment and size <= room and len(burst) < _SEGMENTS:
            burst.append(message)
            room -= size
            if size < segment:
                segment = 0
        else:
            burst = [message]
            cut.append(burst)
            segment, room = size if size <= longest else 0, TOGETHER - size
    return cut


def cut_every(size: int) -> tuple[int, int, bytes]:
    """The control message of a sendmsg that is to be cut into datagrams of `size` bytes."""
    return _SOL_UDP, _UDP_SEGMENT, _SEGMENT_SIZE.pack(size)


def longest_after(error: OSError, size: int) -> int | None:
    """The longest segment that makes sense on a way that refused those of `size` with `error`; None if it may yet."""
    if error.errno == errno.EIO:  # the device leaves checksums to us
        return 0
    if error.errno in (errno.EINVAL, errno.EMSGSIZE):  # over the MTU: segments are not fragmented
        return size - 1
    return None
