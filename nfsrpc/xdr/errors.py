"""The codec's errors: one base, split by whose fault it is, each saying where in the message and in which field."""

from typing import Self


class XdrError(ValueError):
    """A value and its XDR form (RFC 4506) do not fit each other.

    ``reason`` says what is wrong, ``offset`` is the byte offset in the message
    (None where there is no message yet), ``path`` names the field from the
    outermost type inwards, as in ``entries[3].name``.
    """

    def __init__(self, reason: str, *, offset: int | None = None, path: str = "") -> None:
        super().__init__(reason, offset, path)
        self.reason = reason
        self.offset = offset
        self.path = path

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        where = "" if self.offset is None else f" (at byte {self.offset})"
        return f"{place}{self.reason}{where}"

    def within(self, outer: str) -> Self:
        """Put the name of the enclosing field in front of the path, and return the error itself."""
        self.path = join_path(outer, self.path)
        return self


class XdrDecodeError(XdrError):
    """The bytes are not a canonical encoding of the type: the peer did it."""


class XdrEncodeError(XdrError):
    """The value has no encoding in the type: the caller did it."""


def join_path(outer: str, inner: str) -> str:
    """Join two field paths: ``a`` + ``b`` is ``a.b``, ``a`` + ``[3].b`` is ``a[3].b``."""
    if not outer or not inner or inner.startswith("["):
        return outer + inner
    return f"{outer}.{inner}"
