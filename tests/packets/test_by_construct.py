"""The codec agrees with declarations made by hand: every message of every program, both ways."""

from __future__ import annotations

from pathlib import Path

import by_construct as hand
import by_construct_auth
import pytest
from by_construct import leaves
from construct import StreamError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdr_values import Values, module_of

from nfsrpc.rpcgen.compiler import compile_file
from nfsrpc.rpcgen.model import Void
from nfsrpc.xdr import DEFAULT_LIMITS

SPECS = Path(__file__).parents[2] / "xdr_specs"


def procedures():
    for path in sorted(SPECS.glob("*.x")):
        spec = compile_file(path).spec
        module = module_of(spec)
        for program in spec.programs:
            for version in program.versions:
                service = getattr(module, f"{program.name}_{version.number}_service")
                for procedure in version.procedures:
                    key = (program.number, version.number, procedure.number)
                    name = f"{program.name} {version.number} {procedure.name}"
                    ours = service.procedures[procedure.number]
                    yield pytest.param(Values(spec, module), procedure, ours, key, id=name)


def same(declared, data, value):
    parsed = declared.parse(data)
    assert list(leaves(parsed)) == list(leaves(value))
    assert declared.build(parsed) == data


@pytest.mark.parametrize(("values", "described", "procedure", "key"), list(procedures()))
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_arguments_and_results(values, described, procedure, key, data):
    arguments, result = hand.PROGRAMS[key[:2]][key[2]]
    given_arguments = tuple(data.draw(values.of(f.type, 0)) for f in described.arguments)
    out: list[bytes] = []
    procedure.encode_args(given_arguments, out)
    same(arguments, b"".join(out), given_arguments)
    given_result = data.draw(values.of(described.result, 0)) if not isinstance(described.result, Void) else None
    out = []
    procedure.encode_result(given_result, out)
    message = b"".join(out)
    same(result, message, given_result)
    back, end = procedure.decode_result(message, 0, DEFAULT_LIMITS)
    assert (back, end) == (given_result, len(message))


def test_every_procedure_is_declared():
    declared = {(*program, number) for program, table in hand.PROGRAMS.items() for number in table}
    assert declared == {parameter.values[3] for parameter in procedures()}


TYPES = {**by_construct_auth.TYPES, "rpc_msg": {**by_construct_auth.TYPES["rpc_msg"], "rpc_msg": hand.rpc_msg}}


def types():
    for stem, declared in TYPES.items():
        spec = compile_file(SPECS / f"{stem}.x").spec
        module = module_of(spec)
        for name, declaration in declared.items():
            codec = getattr(module, f"encode_{name}"), getattr(module, f"decode_{name}")
            yield pytest.param(Values(spec, module).named(name), codec, declaration, id=name)


@pytest.mark.parametrize(("values", "codec", "declaration"), list(types()))
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_messages_that_no_procedure_has(values, codec, declaration, data):
    value = data.draw(values)
    out: list[bytes] = []
    encode, decode = codec
    encode(value, out)
    same(declaration, b"".join(out), value)
    assert decode(b"".join(out), 0, DEFAULT_LIMITS) == (value, len(b"".join(out)))


def test_the_declarations_are_strict():
    for broken in (b"\0\0\0\1x\0\0\1", b"\0\0\0\2x"):
        with pytest.raises(Exception, match=r".*"):
            hand.opaque().parse(broken)
    with pytest.raises(StreamError):
        hand.fattr.parse(bytes(67))
