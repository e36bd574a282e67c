"""Procedure 0 of any program: void in, void out, so that anybody may ask whether it is there (RFC 5531 §12.2)."""

from nfsrpc.xdr import Caller, Limits, Procedure


def _encode_void(value: object, out: list[bytes]) -> None:
    """`void` has no bytes (RFC 4506 §4.16)."""


def _decode_void(data: bytes, pos: int, limits: Limits) -> tuple[None, int]:
    return None, pos


def null_procedure(program: int, version: int) -> Procedure:
    """Procedure 0 of `program` in `version`."""
    return Procedure(program, version, 0, "NULL", _encode_void, _decode_void, _encode_void, _decode_void)


def ping(caller: Caller, program: int, version: int) -> None:
    """Call procedure 0. Raises the caller's errors (`ProgramMismatch`, `RpcTimeout`, …) if nothing answers."""
    caller.call(null_procedure(program, version), ())
