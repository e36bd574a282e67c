"""Frames from a network interface of this machine, through a packet socket (Linux; needs CAP_NET_RAW)."""

import contextlib
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from .capture import LARGEST_FRAME, Frame

_ALL_PROTOCOLS = 3
_OUTGOING = 4
_BUFFER = 16 << 20
_ETHERNET = 1
_LOOPBACK_TYPE, _ETHERNET_TYPE = 772, 1


class Interface:
    """A context manager that yields what passes on interface `name` until `stop` is called or an exception ends it.

    Raises `OSError`: no such interface, or no permission.
    """

    def __init__(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with contextlib.ExitStack() as undo:
            undo.callback(self._socket.close)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((name, _ALL_PROTOCOLS))
            undo.pop_all()

    def frames(self) -> Iterator[Frame]:
        """Frames as they pass. On the loopback interface each is seen going and coming: the second is left out.

        Going, they are in the order of their stream; coming, they have been through the queues of several processors.
        """
        while True:
            data, address = self._socket.recvfrom(LARGEST_FRAME)
            if address[3] == _LOOPBACK_TYPE and address[2] != _OUTGOING:
                continue
            if address[3] in (_LOOPBACK_TYPE, _ETHERNET_TYPE):
                yield Frame(time.time_ns(), _ETHERNET, data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
