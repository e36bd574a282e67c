"""Client half of a flavour that proves nothing. Flavours that are made elsewhere inherit from it."""

from collections.abc import Callable

from nfsrpc.xdr import Procedure

from .message import NULL_AUTH, OpaqueAuth, encode_call

_HEADS = 256
"""Procedures whose header is kept."""


class PlainAuth:
    """A `CallAuth` that is the same for every call and proves nothing.

    `heard` is told the verifier of each reply that has another one than AUTH_NONE.
    """

    __slots__ = ("_heads", "_heard", "credential")
    sealed = False
    renewed = False

    def __init__(self, credential: tuple[int, bytes], heard: Callable[[OpaqueAuth], None] | None = None) -> None:
        self.credential = credential
        self._heard = heard
        self._heads: dict[tuple[int, int, int], bytes] = {}

    def head(self, procedure: Procedure) -> bytes:
        """What lies between the xid and the arguments of every call of `procedure`."""
        number = procedure.program, procedure.version, procedure.number
        return self._heads.get(number) or self._make_head(number)

    def _make_head(self, number: tuple[int, int, int]) -> bytes:
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        head = self._heads[number] = encode_call(0, *number, self.credential, NULL_AUTH)[4:]
        return head

    def verifier(self, head: bytes) -> tuple[int, bytes]:
        """AUTH_NONE."""
        return NULL_AUTH

    def wrap(self, args: bytes) -> bytes:
        """As they are."""
        return args

    def check(self, verifier: OpaqueAuth) -> None:
        """Any verifier will do: nothing was asked of the server."""
        if self._heard is not None and verifier != NULL_AUTH:
            self._heard(verifier)

    def unwrap(self, message: bytes, body: int) -> tuple[bytes, int]:
        """As it is."""
        return message, body
