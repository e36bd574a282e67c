"""The drop-in for xdrlib beside the PyPI copy of the old module: same bytes, same values, same exceptions."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsrpc.xdr import Limits, XdrDecodeError, XdrEncodeError, xdrlib

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    OLD = importlib.import_module("xdrlib3")

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.sampled_from([0, 1, -1, 2**31, 2**32 - 1, 2**32, 2**63]), st.booleans()
)
FLOATS = st.floats(width=32, allow_nan=False) | st.floats(allow_nan=False) | st.integers(-5, 5)
BYTES = st.binary(max_size=9)

PACK: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    **{f"pack_{kind}": st.tuples(NUMBERS) for kind in ("uint", "int", "enum", "bool", "uhyper", "hyper")},
    **{f"pack_{kind}": st.tuples(FLOATS) for kind in ("float", "double")},
    **{f"pack_{kind}": st.tuples(st.integers(-1, 12), BYTES) for kind in ("fstring", "fopaque")},
    **{f"pack_{kind}": st.tuples(BYTES) for kind in ("string", "opaque", "bytes")},
}
UNPACK = [name.replace("pack", "unpack") for name in PACK if "fstring" not in name and "fopaque" not in name]


def outcome(module: ModuleType, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except Exception as failure:
        own = {module.ConversionError: "ConversionError", module.Error: "Error"}
        return own.get(type(failure), type(failure).__name__)


@given(st.lists(st.sampled_from(list(PACK)).flatmap(lambda name: st.tuples(st.just(name), PACK[name])), max_size=6))
def test_packer_is_the_old_one(calls: list[tuple[str, tuple[Any, ...]]]) -> None:
    ours, old = xdrlib.Packer(), OLD.Packer()
    for name, arguments in calls:
        mine = outcome(xdrlib, lambda: getattr(ours, name)(*arguments))  # noqa: B023
        assert mine == outcome(OLD, lambda: getattr(old, name)(*arguments))  # noqa: B023
        if mine is not None:  # after an exception the old packer may hold half a hyper
            return
    assert ours.get_buffer() == ours.get_buf() == old.get_buffer()


@given(st.binary(max_size=40), st.lists(st.sampled_from(UNPACK), max_size=6))
def test_unpacker_is_the_old_one(data: bytes, calls: list[str]) -> None:
    ours, old = xdrlib.Unpacker(data), OLD.Unpacker(data)
    for name in calls:
        mine = outcome(xdrlib, getattr(ours, name))
        theirs = outcome(OLD, getattr(old, name))
        assert mine == theirs or (mine != mine and theirs != theirs)
        if isinstance(mine, str):
            return
        assert ours.get_position() == old.get_position()
    assert outcome(xdrlib, ours.done) == outcome(OLD, old.done)


@pytest.mark.parametrize("size", [-1, 0, 1, 4, 5, 9])
def test_fixed_strings_of_the_unpacker(size: int) -> None:
    data = b"abcdefgh"
    ours, old = xdrlib.Unpacker(data), OLD.Unpacker(data)
    mine = outcome(xdrlib, lambda: ours.unpack_fstring(size))
    assert mine == outcome(OLD, lambda: old.unpack_fopaque(size))


@given(st.lists(st.integers(0, 2**32 - 1), max_size=5))
def test_arrays_and_lists(items: list[int]) -> None:
    buffers = []
    for module in (xdrlib, OLD):
        packer = module.Packer()
        packer.pack_array(items, packer.pack_uint)
        packer.pack_list(items, packer.pack_uint)
        packer.pack_farray(len(items), items, packer.pack_uint)
        assert outcome(module, lambda: packer.pack_farray(99, items, packer.pack_uint)) == "ValueError"  # noqa: B023
        buffers.append(packer.get_buffer())
    assert buffers[0] == buffers[1]
    unpacker = xdrlib.Unpacker(buffers[0])
    assert unpacker.unpack_array(unpacker.unpack_uint) == items
    assert unpacker.unpack_list(unpacker.unpack_uint) == items
    assert unpacker.unpack_farray(len(items), unpacker.unpack_uint) == items
    unpacker.done()


def test_list_flag_that_is_neither_0_nor_1() -> None:
    unpacker = xdrlib.Unpacker(b"\0\0\0\2")
    with pytest.raises(xdrlib.ConversionError, match="0 or 1 expected, got 2"):
        unpacker.unpack_list(unpacker.unpack_int)


def test_positions_and_reset() -> None:
    unpacker = xdrlib.Unpacker(b"\0\0\0\1\0\0\0\2")
    unpacker.set_position(4)
    assert (unpacker.unpack_int(), unpacker.get_position(), unpacker.get_buffer()) == (2, 8, b"\0\0\0\1\0\0\0\2")
    unpacker.reset(b"\0\0\0\3")
    assert unpacker.unpack_int() == 3
    packer = xdrlib.Packer()
    packer.pack_int(1)
    packer.reset()
    assert packer.get_buffer() == b""


def test_the_names_of_the_package() -> None:
    from nfsrpc.xdr import Packer, StrictPacker, StrictUnpacker, Unpacker

    assert (Packer, Unpacker) == (xdrlib.Packer, xdrlib.Unpacker)
    assert issubclass(StrictPacker, Packer)
    assert issubclass(StrictUnpacker, Unpacker)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        importlib.import_module("nfsrpc.xdr").Nothing  # noqa: B018


VALUES: dict[str, tuple[tuple[Any, ...], str]] = {
    "uint": ((2**32 - 2,), "fffffffe"),
    "int": ((-2,), "fffffffe"),
    "enum": ((7,), "00000007"),
    "bool": ((True,), "00000001"),
    "uhyper": ((2**64 - 2,), "fffffffffffffffe"),
    "hyper": ((-2,), "fffffffffffffffe"),
    "float": ((1.5,), "3fc00000"),
    "double": ((-2.5,), "c004000000000000"),
    "fstring": ((5, b"abcde"), "6162636465000000"),
    "fopaque": ((4, b"abcd"), "61626364"),
    "string": ((b"ab",), "0000000261620000"),
    "opaque": ((b"",), "00000000"),
    "bytes": ((b"abc",), "0000000361626300"),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("kind", ["", "Strict"])
def test_each_kind_of_value(kind: str, name: str) -> None:
    arguments, wire = VALUES[name]
    packer = getattr(xdrlib, f"{kind}Packer")()
    getattr(packer, f"pack_{name}")(*arguments)
    assert packer.get_buffer().hex() == wire
    unpacker = getattr(xdrlib, f"{kind}Unpacker")(bytes.fromhex(wire))
    value = getattr(unpacker, f"unpack_{name}")(*arguments[:-1])
    assert (value, type(value), unpacker.done()) == (arguments[-1], type(arguments[-1]), None)


@pytest.mark.parametrize("kind", ["", "Strict"])
def test_false_and_the_ways_of_many(kind: str) -> None:
    packer = getattr(xdrlib, f"{kind}Packer")()
    packer.pack_bool(False)
    packer.pack_farray(1, [5], packer.pack_int)
    packer.pack_array([6, 7], packer.pack_int)
    packer.pack_list([8], packer.pack_int)
    wire = "0000000000000005000000020000000600000007000000010000000800000000"
    assert packer.get_buffer().hex() == wire
    unpacker = getattr(xdrlib, f"{kind}Unpacker")(bytes.fromhex(wire))
    assert unpacker.unpack_bool() is False
    assert unpacker.unpack_farray(1, unpacker.unpack_int) == [5]
    assert unpacker.unpack_array(unpacker.unpack_int) == [6, 7]
    assert unpacker.unpack_list(unpacker.unpack_int) == [8]
    assert unpacker.done() is None


@pytest.mark.parametrize("value", ["1", 1.5, None])
@pytest.mark.parametrize("method", ["pack_uhyper", "pack_hyper", "pack_int"])
def test_what_is_no_number_is_not_packed(method: str, value: Any) -> None:
    packer = xdrlib.Packer()
    with pytest.raises(xdrlib.ConversionError) as caught:
        getattr(packer, method)(value)
    assert (caught.value.msg, packer.get_buffer()) == (str(caught.value), b"")
    assert caught.value.msg


STRICT_PACK = {
    "bool": lambda p: p.pack_bool(1),
    "uhyper over 64 bits": lambda p: p.pack_uhyper(2**64),
    "negative uhyper": lambda p: p.pack_uhyper(-1),
    "hyper over 63 bits": lambda p: p.pack_hyper(2**63),
    "uint": lambda p: p.pack_uint(-1),
    "float": lambda p: p.pack_float(1e300),
    "short fixed string": lambda p: p.pack_fstring(4, b"abc"),
    "text": lambda p: p.pack_string("abc"),
    "array size": lambda p: p.pack_farray(2, [1], p.pack_int),
}


@pytest.mark.parametrize("case", STRICT_PACK)
def test_strict_packer_refuses(case: str) -> None:
    packer = xdrlib.StrictPacker()
    with pytest.raises(XdrEncodeError):
        STRICT_PACK[case](packer)


STRICT_UNPACK = {
    "bool": ("00000002", lambda u: u.unpack_bool(), 0),
    "fill bytes": ("00000001 61000100", lambda u: u.unpack_string(), 5),
    "end of data": ("000000", lambda u: u.unpack_int(), 0),
    "string beyond the data": ("00000009 61", lambda u: u.unpack_string(), 4),
    "count beyond the data": ("00000003 00000001", lambda u: u.unpack_array(u.unpack_int), 0),
    "count near 2**32": ("ffffffff 00000001", lambda u: u.unpack_array(lambda: None), 0),
    "list flag": ("00000003", lambda u: u.unpack_list(u.unpack_int), 0),
    "trailing bytes": ("00000003", lambda u: u.done(), 0),
    "bool of another kind in a list": ("00000001 00000005 00000002", lambda u: u.unpack_list(u.unpack_int), 8),
}


@pytest.mark.parametrize("case", STRICT_UNPACK)
def test_strict_unpacker_refuses_with_the_offset(case: str) -> None:
    wire, action, offset = STRICT_UNPACK[case]
    with pytest.raises(XdrDecodeError) as caught:
        action(xdrlib.StrictUnpacker(bytes.fromhex(wire)))
    assert caught.value.offset == offset


def test_strict_unpacker_says_how_much_there_is() -> None:
    unpacker = xdrlib.StrictUnpacker(b"abcdefg")
    with pytest.raises(XdrDecodeError, match=r"^needs 8 bytes, but 7 are left"):
        unpacker.unpack_hyper()
    unpacker.set_position(4)
    with pytest.raises(XdrDecodeError, match=r"^needs 4 bytes, but 3 are left \(at byte 4\)$"):
        unpacker.unpack_int()
    with pytest.raises(XdrDecodeError, match=r"^3 bytes follow \(at byte 4\)$"):
        unpacker.done()
    unpacker.set_position(9)
    with pytest.raises(XdrDecodeError, match=r"^needs 4 bytes, but 0 are left"):
        unpacker.unpack_int()
    assert unpacker.done() is None


@pytest.mark.parametrize("wire", ["00000002 00000005 00000006", "00000001 00000005 00000001 00000006 00000000"])
def test_strict_unpacker_takes_as_many_as_the_limits_allow(wire: str) -> None:
    def unpack(elements: int) -> list[int]:
        unpacker = xdrlib.StrictUnpacker(bytes.fromhex(wire), Limits(elements=elements))
        way = unpacker.unpack_array if wire.startswith("00000002") else unpacker.unpack_list
        return way(unpacker.unpack_int)

    assert unpack(2) == [5, 6]
    with pytest.raises(XdrDecodeError, match=r"^2 elements, but at most 1 are allowed"):
        unpack(1)


def test_strict_unpacker_honours_limits() -> None:
    unpacker = xdrlib.StrictUnpacker(bytes.fromhex("00000002 00000001 00000001"), Limits(elements=1))
    with pytest.raises(XdrDecodeError, match="at most 1"):
        unpacker.unpack_array(unpacker.unpack_int)
    lenient = Limits(accept_nonzero_padding=True, accept_any_bool=True, accept_trailing_bytes=True)
    unpacker = xdrlib.StrictUnpacker(bytes.fromhex("00000001 61010203 00000009 00"), lenient)
    assert (unpacker.unpack_string(), unpacker.unpack_bool(), unpacker.done()) == (b"a", True, None)
