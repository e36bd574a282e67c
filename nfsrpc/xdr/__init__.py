"""The External Data Representation (RFC 4506): errors, limits, and what code generated from .x files stands on.

For readers and writers of messages: `encode`, `decode`, `Limits` and the errors.
Everything else is the run-time side of generated modules, which import nothing but this package.
"""

from typing import TYPE_CHECKING

from .errors import XdrDecodeError, XdrEncodeError, XdrError
from .failure import DECODE_FAILURES, ENCODE_FAILURES, decode_failure, encode_failure
from .limits import DEFAULT_LIMITS, Limits
from .opaque import (
    BOOL,
    PAD,
    any_bool,
    as_bytes,
    check_count,
    check_depth,
    check_length,
    check_size,
    check_tail,
    decode_items,
    decode_nested_items,
    encode_items,
    members,
    too_long,
)
from .program import Caller, Decoder, Encoder, Procedure
from .quadruple import Quadruple
from .record import Record
from .run import Run
from .whole import decode, encode
from .words import (
    checked_words,
    decode_bools,
    decode_no_args,
    decode_quadruples,
    decode_void,
    decode_words,
    encode_no_args,
    encode_void,
    encode_words,
    one_arg,
)

if TYPE_CHECKING:
    from .xdrlib import Packer, StrictPacker, StrictUnpacker, Unpacker

new = object.__new__


def __getattr__(name: str) -> object:
    # The old library's names come with their module when asked for: generated code never asks.
    if name in ("Packer", "Unpacker", "StrictPacker", "StrictUnpacker"):
        from . import xdrlib

        return getattr(xdrlib, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BOOL",
    "DECODE_FAILURES",
    "DEFAULT_LIMITS",
    "ENCODE_FAILURES",
    "PAD",
    "Caller",
    "Decoder",
    "Encoder",
    "Limits",
    "Packer",
    "Procedure",
    "Quadruple",
    "Record",
    "Run",
    "StrictPacker",
    "StrictUnpacker",
    "Unpacker",
    "XdrDecodeError",
    "XdrEncodeError",
    "XdrError",
    "any_bool",
    "as_bytes",
    "check_count",
    "check_depth",
    "check_length",
    "check_size",
    "check_tail",
    "checked_words",
    "decode",
    "decode_bools",
    "decode_failure",
    "decode_items",
    "decode_nested_items",
    "decode_no_args",
    "decode_quadruples",
    "decode_void",
    "decode_words",
    "encode",
    "encode_failure",
    "encode_items",
    "encode_no_args",
    "encode_void",
    "encode_words",
    "members",
    "new",
    "one_arg",
    "too_long",
]
