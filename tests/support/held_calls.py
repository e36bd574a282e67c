"""A server by hand that answers calls of one procedure only when they are about so many different files at once."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from by_hand import NFS, Answer, ByHand, word

_QUIET = 50
"""Milliseconds that a further call is waited for: one that a client sends without being answered is there by then."""


class HeldCalls(ByHand):
    """Holds back every call of NFS procedure `procedure` until there are calls about `files` files.

    `file_of` says from a call's arguments which file it is about. `together` are the numbers of files that
    calls were held of when they were answered.
    """

    def __init__(
        self,
        answers: dict[tuple[int, int], Answer | bytes],
        procedure: int,
        files: int,
        file_of: Callable[[bytes], bytes],
    ) -> None:
        super().__init__({**answers, (NFS, procedure): self._hold})
        self._answer = answers[(NFS, procedure)]
        self._files = files
        self._file_of = file_of
        self._arguments: list[bytes] = []
        self._held: list[bytes] = []
        self.together: list[int] = []

    def _hold(self, arguments: bytes) -> None:
        self._arguments.append(arguments)

    def _serve(self, stream: socket.socket) -> None:
        before = len(self._arguments)
        super()._serve(stream)
        if len(self._arguments) > before:
            self._held.append(self.calls[-1])
        files = len(set(map(self._file_of, self._arguments)))
        if self._held and files >= self._files and not select.select([stream], [], [], _QUIET / 1000)[0]:
            self.together.append(files)
            for call, arguments in zip(self._held, self._arguments, strict=True):
                body = self._answer if isinstance(self._answer, bytes) else self._answer(arguments)
                assert body is not None
                reply = call[:4] + word(1, 0, 0, 0, 0) + body
                stream.sendall(word(0x80000000 | len(reply)) + reply)
            self._held.clear()
            self._arguments.clear()
