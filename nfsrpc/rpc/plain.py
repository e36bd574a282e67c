"""Client half of a flavour that proves nothing. Flavours that are made elsewhere inherit from it."""

from collections.abc import Callable

from .message import NULL_AUTH, OpaqueAuth


class PlainAuth:
    """A `CallAuth` that is the same for every call and proves nothing.

    `heard` is told the verifier of each reply that has another one than AUTH_NONE.
    """

    __slots__ = ("_heard", "credential")
    sealed = False
    renewed = False

    def __init__(self, credential: tuple[int, bytes], heard: Callable[[OpaqueAuth], None] | None = None) -> None:
        self.credential = credential
        self._heard = heard

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
