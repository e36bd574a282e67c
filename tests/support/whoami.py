"""A program that tells its caller who he is, served by forked workers: for tests of authentication from outside."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from nfsrpc.auth import Authenticator
from nfsrpc.rpc.dispatch import Binding
from nfsrpc.transport import Server
from nfsrpc.xdr import Procedure, XdrDecodeError
from nfsrpc.xdr.words import decode_no_args, decode_void, encode_no_args, encode_void

PROGRAM = 0x20000099
VERSION = 1


def _encode_string(value: bytes, out: list[bytes]) -> None:
    out.append(struct.pack(">I", len(value)) + value + bytes(-len(value) % 4))


def _decode_string(data: bytes, pos: int, limits: Any) -> tuple[bytes, int]:
    if len(data) < pos + 4:
        raise XdrDecodeError("ends inside a length", offset=pos)
    (length,) = struct.unpack_from(">I", data, pos)
    end = pos + 4 + length + (-length % 4)
    if end > len(data):
        raise XdrDecodeError("ends inside a string", offset=pos)
    return data[pos + 4 : pos + 4 + length], end


def _encode_string_arg(args: tuple[bytes], out: list[bytes]) -> None:
    _encode_string(args[0], out)


def _decode_string_arg(data: bytes, pos: int, limits: Any) -> tuple[tuple[bytes], int]:
    value, end = _decode_string(data, pos, limits)
    return (value,), end


NULL = Procedure(PROGRAM, VERSION, 0, "NULL", encode_no_args, decode_no_args, encode_void, decode_void)
WHO = Procedure(PROGRAM, VERSION, 1, "WHO", encode_no_args, decode_no_args, _encode_string, _decode_string)
ECHO = Procedure(PROGRAM, VERSION, 2, "ECHO", _encode_string_arg, _decode_string_arg, _encode_string, _decode_string)


class Whoami:
    """Procedure 1 answers ``security name uid gid gids``, procedure 2 its argument."""

    program = PROGRAM
    version = VERSION
    procedures = {0: NULL, 1: WHO, 2: ECHO}  # noqa: RUF012

    def NULL(self, call: Any) -> None:
        return None

    def WHO(self, call: Any) -> bytes:
        who = call.principal
        gids = ",".join(map(str, who.gids))
        return f"{who.security} {who.name} {who.uid} {who.gid} {gids}".encode()

    def ECHO(self, arg: bytes, call: Any) -> bytes:
        return arg


class Whoserved:
    """`Whoami` on a free port, by `workers` processes of its own. A context manager."""

    def __init__(self, flavors: Iterable[Authenticator], workers: int = 1) -> None:
        self.server = Server(lambda: [Binding(Whoami())], [("127.0.0.1", 0)], workers, flavors=flavors)
        self.port = self.server.ports[0]

    def __enter__(self) -> Self:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.server.run()
            finally:
                os._exit(0)
        self.server.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
