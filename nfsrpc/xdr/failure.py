"""From the bare exception that stopped a generated codec to an `XdrError` with offset and field path.

A generated function keeps in `at` what it is working on - a `Run` or a field's
name - and has one ``except`` clause. That costs nothing until it is taken.
"""

from struct import error

from .errors import XdrDecodeError, XdrEncodeError
from .run import Run

DECODE_FAILURES = (error, KeyError, XdrDecodeError, RecursionError, OverflowError, UnicodeError)
ENCODE_FAILURES = (
    error,
    KeyError,
    XdrEncodeError,
    RecursionError,
    OverflowError,
    AttributeError,
    TypeError,
    IndexError,
)

TOO_DEEP = "nested too deep"


def decode_failure(cause: Exception, at: "Run | str", data: bytes, pos: int, index: int = -1) -> XdrDecodeError:
    """Make the error for a decoder stopped by `cause` while working on `at` at byte `pos`.

    `index` counts the elements of a linked list that were complete, -1 outside lists.
    """
    failure = _decode_failure(cause, at, data, pos)
    return failure.within(f"[{index}]") if index >= 0 else failure


def _decode_failure(cause: Exception, at: "Run | str", data: bytes, pos: int) -> XdrDecodeError:
    if isinstance(cause, RecursionError):
        return XdrDecodeError(TOO_DEEP, offset=pos)
    if isinstance(at, Run):
        found = at.explain_decode(data, pos)
        if found:
            field, offset, reason = found
            return XdrDecodeError(reason, offset=offset, path=field)
        at = ""
    if isinstance(cause, XdrDecodeError):
        if cause.offset is None:
            cause.offset = pos
        return cause.within(at)
    return XdrDecodeError(str(cause), offset=pos, path=at)


def encode_failure(cause: Exception, at: "Run | str", value: object, index: int = -1) -> XdrEncodeError:
    """Make the error for an encoder of `value` stopped by `cause` while working on `at`; `index` as when decoding."""
    failure = _encode_failure(cause, at, value)
    return failure.within(f"[{index}]") if index >= 0 else failure


def _encode_failure(cause: Exception, at: "Run | str", value: object) -> XdrEncodeError:
    if isinstance(cause, RecursionError):
        return XdrEncodeError(TOO_DEEP)
    if isinstance(cause, XdrEncodeError) and (cause.path or not isinstance(at, Run)):
        return cause if isinstance(at, Run) else cause.within(at)
    if isinstance(at, Run):
        found = at.explain_encode(value)
        if found:
            field, reason = found
            return XdrEncodeError(reason, path=field)
        at = ""
    return XdrEncodeError(f"{type(cause).__name__}: {cause}", path=at)
