"""The seam between generated program code and whatever carries its calls.

A generated module knows procedures as data (:class:`Procedure`) and needs
something that can carry a call (:class:`Caller`); it knows nothing of
messages, sockets or authentication (RFC 5531 §12 defines the language,
not the transport).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from .limits import Limits

Encoder = Callable[[Any, list[bytes]], None]
Decoder = Callable[[bytes, int, Limits], tuple[Any, int]]


class Procedure(NamedTuple):
    """One remote procedure of one program version (RFC 5531 §12.2).

    ``encode_args`` and ``decode_args`` work on the tuple of arguments: empty
    for ``void``, one item for the classic form, several for the "newstyle"
    of ``rpcgen -N``. ``encode_result`` and ``decode_result`` work on the
    result itself (``None`` for ``void``). Encoders append bytes objects to a
    list; decoders take (data, position, limits) and return (value, position).
    """

    program: int
    version: int
    number: int
    name: str
    encode_args: Encoder
    decode_args: Decoder
    encode_result: Encoder
    decode_result: Decoder


class Caller(Protocol):
    """What a generated client needs: something that carries one call and brings back its result."""

    def call(self, procedure: Procedure, args: tuple[Any, ...]) -> Any:
        """Call `procedure` with `args`, return its decoded result, or raise the carrier's own error."""
