"""The generated codec seen from outside: bytes, refusals with their place, caps. The table runs both ways."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdr_values import Values, compiled, module_of

from nfsrpc.protocols import nfs_prot
from nfsrpc.xdr import DEFAULT_LIMITS, Limits, XdrDecodeError, XdrEncodeError, XdrError, decode, encode

SPECIFICATION = """
enum color { RED = 1, BLUE = -1 };
typedef opaque key[5];
typedef string name<4>;
struct point { int x; unsigned int y; };
struct all {
    hyper h; unsigned hyper u; float f; double d; quadruple q; bool b; color c; key k;
    name n; opaque blob<3>; int three[3]; hyper many<2>; color colors<>; bool bools<2>; quadruple quads<>;
    point p; point ps<2>; point pair[2]; point *maybe; name names<>; int *number;
};
union choice switch (color c) { case RED: point p; case BLUE: void; };
union open switch (unsigned int n) { case 0: case 1: name s; default: hyper h; };
struct node { int value; node *left; node *right; };
struct link { int value; link *next; };
struct chain { link *first; int last; };
struct file { int id; key k; name n; color c; file *next; };
struct leaf { int id; opaque body<3>; leaf *next; };
struct bag { bag items<>; };
typedef bag bags<2>;
typedef bool flags<>;
struct mutual { int n; other *o; };
struct other { mutual m<>; };
union shell switch (int more) { case 1: shell inner<1>; default: void; };
"""
SPEC = compiled(SPECIFICATION).spec
M = module_of(SPEC)
VALUES = Values(SPEC, M)
NAMES = list(SPEC.types)
I1, U2 = "00000001", "00000002"


def example() -> Any:
    return M.all(
        h=-1, u=2**64 - 1, f=1.5, d=-2.5, q=M._Quadruple(1), b=True, c=M.BLUE, k=b"12345",
        n=b"abc", blob=b"", three=[1, 2, 3], many=[1, -1], colors=[M.RED], bools=[True, False], quads=[M._Quadruple(0)],
        p=M.point(-1, 2), ps=[M.point(1, 2)], pair=[M.point(1, 2), M.point(3, 4)], maybe=M.point(5, 6),
        names=[b"a", b""], number=9,
    )  # fmt: skip


WIRE = {
    "every kind of field": ("all", example(), (
        "ffffffffffffffff ffffffffffffffff 3fc00000 c004000000000000 3fff0000000000000000000000000000"
        " 00000001 ffffffff 3132333435000000 0000000361626300 00000000 000000010000000200000003"
        " 000000020000000000000001ffffffffffffffff 0000000100000001 000000020000000100000000"
        " 0000000100000000000000000000000000000000 ffffffff00000002 000000010000000100000002"
        " 00000001000000020000000300000004 000000010000000500000006 00000002000000016100000000000000 0000000100000009"
    )),
    "union arm": ("choice", M.choice(M.RED, M.point(1, 2)), I1 + I1 + U2),
    "void arm": ("choice", M.choice(M.BLUE), "ffffffff"),
    "default arm": ("open", M.open(7, h=3), "000000070000000000000003"),
    "second label of an arm": ("open", M.open(1, s=b"x"), "000000010000000178000000"),
    "tree": ("node", M.node(1, M.node(2, None, None), None), "00000001 00000001 00000002 00000000 00000000 00000000"),
    "list": ("link", M.link(1, M.link(2, None)), "00000001 00000001 00000002 00000000"),
    "list of names": (
        "leaf", M.leaf(1, b"a", M.leaf(2, b"", M.leaf(3, b"abc", None))),
        "00000001 00000001 61000000 00000001 00000002 00000000 00000001 00000003 00000003 61626300 00000000",
    ),
    "no list": ("chain", M.chain(None, 5), "00000000 00000005"),
    "list in a struct": ("chain", M.chain(M.link(1, None), 5), "00000001 00000001 00000000 00000005"),
    "types that contain each other": (
        "mutual", M.mutual(1, M.other([M.mutual(2, None)])), I1 + I1 + I1 + U2 + "00000000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WIRE)
def test_values_and_bytes(case: str) -> None:
    name, value, wire = WIRE[case]
    data = bytes.fromhex(wire)
    assert encode(getattr(M, f"encode_{name}"), value) == data
    assert decode(getattr(M, f"decode_{name}"), data) == value


MORE = "typedef bool bools<>; typedef point triangle[2]; typedef bool three[3]; typedef int twenty[20];"

# what: (type, bytes in hex, offset, path, part of the reason)
REFUSED = {
    "bool that is neither 0 nor 1": ("bools", "00000001 00000002", 4, "[0]", "2 is not one of"),
    "undeclared enum value": ("color", "00000002", 0, "", "2 is not one of RED, BLUE"),
    "discriminant without an arm": ("choice", "00000000", 0, "c", "0 is not one of"),
    "fill bytes that are not zero": ("key", "3132333435 000100", 5, "", "fill bytes must be zero, not 000100"),
    "fill bytes of a string": ("name", "00000001 61000001", 5, "", "fill bytes must be zero"),
    "string over its bound with all bytes there": ("name", "00000005 6162636465000000", 0, "", "at most 4"),
    "length near 2**32": ("name", "fffffffd", 0, "", "at most 4"),
    "count over its bound": ("bags", "00000003 00000000 00000000 00000000", 0, "", "at most 2"),
    "count that cannot fit": ("bag", "40000000 00000000", 4, "items", "1048576 are allowed"),
    "count a little too large": ("bag", "00000002 00000000", 4, "items", "2 elements need at least 8 bytes, but 4"),
    "trailing bytes": ("point", "00000001 00000002 00", 8, "", "1 bytes follow"),
    "flag of an optional": ("node", "00000001 00000002", 4, "[0].left", "2 is not one of"),
    "nested struct cut": ("chain", "00000001 00000001 000000", 8, "first[0].next", "needs 4 bytes, but"),
    "second element of a list": ("chain", "00000001 00000001 00000001 0000", 12, "first[1].value", "needs 4 bytes"),
    "list that ends where an element should begin": (
        "leaf",
        "00000001 00000001 61000000 00000001",
        16,
        "[1].id",
        "needs 4",
    ),
    "list that ends within an element": ("leaf", "00000001 00000000 00000001 00000002", 16, "[1].body", "needs 4"),
    "flag in a list": ("leaf", "00000001 00000000 00000002 00000002 00000000", 8, "[0].next", "2 is not one of"),
    "flag at the end of a list": ("leaf", "00000001 00000000 00000002", 8, "[0].next", "2 is not one of"),
    "length in a list": (
        "leaf",
        "00000001 00000000 00000001 00000002 00000004 61626364 00000000",
        16,
        "[1].body",
        "at most 3",
    ),
    "element of an array": ("mutual", "00000001 00000001 00000001 00000002 00000009", 16, "o.m[0].o", "9 is not one"),
    "arm of a union": ("open", "00000001 00000009", 4, "s", "9 elements, but at most 4"),
    "inside an array in the run": ("triangle", "00000001 00000002 00000003", 12, "[1].y", "needs 4 bytes"),
    "bool in a fixed array": ("three", "00000001 00000000 00000007", 8, "[2]", "7 is not one of"),
    "nothing at all": ("point", "", 0, "x", "the message ends after 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_place(case: str) -> None:
    name, wire, offset, path, reason = REFUSED[case]
    specification = compiled(SPECIFICATION + MORE).spec
    decoder = getattr(module_of(specification), f"decode_{name}")
    with pytest.raises(XdrDecodeError) as caught:
        decode(decoder, bytes.fromhex(wire))
    assert reason in caught.value.reason
    assert (caught.value.offset, caught.value.path) == (offset, path)


def changed(**fields: Any) -> Any:
    value = example()
    for name, item in fields.items():
        setattr(value, name, item)
    return value


UNFIT = {
    "int too large": ("all", changed(p=M.point(2**31, 0)), "p.x", "does not fit"),
    "unsigned negative": ("all", changed(p=M.point(0, -1)), "p.y", "does not fit"),
    "hyper too large": ("all", changed(h=2**63), "h", "does not fit"),
    "float too large": ("all", changed(f=1e300), "f", "does not fit"),
    "not a number": ("all", changed(h="1"), "h", "must be a number, not str"),
    "bool that is none": ("all", changed(b=2), "b", "2 is not one of False, True"),
    "undeclared enum value": ("all", changed(c=5), "c", "5 is not one of RED, BLUE"),
    "fixed opaque too short": ("all", changed(k=b"1234"), "k", "must be 5 bytes long, not 4"),
    "fixed opaque that is text": ("all", changed(k="12345"), "k", "must be bytes, not str"),
    "string over its bound": ("all", changed(n=b"12345"), "n", "5 elements, but at most 4"),
    "string that is text": ("all", changed(n="abc"), "n", "must be bytes, not str"),
    "opaque over its bound": ("all", changed(blob=b"1234"), "blob", "at most 3"),
    "fixed array too long": ("all", changed(three=[1, 2, 3, 4]), "three", "exactly 3"),
    "array over its bound": ("all", changed(many=[1, 2, 3]), "many", "at most 2"),
    "element that does not fit": ("all", changed(three=[1, 2, 2**31]), "three[2]", "does not fit"),
    "element that is no enum value": ("all", changed(colors=[M.RED, 7]), "colors[1]", "7 is not one of"),
    "field of an element": ("all", changed(ps=[M.point(0, 0), M.point(0, -1)]), "ps[1].y", "does not fit"),
    "element that is text": ("all", changed(names=[b"a", "b"]), "names[1]", "must be bytes"),
    "element of an array in the run": (
        "all",
        changed(pair=[M.point(0, 0), M.point(0, -1)]),
        "pair[1].y",
        "does not fit",
    ),
    "missing struct": ("all", changed(p=None), "p.x", "NoneType object has no 'x'"),
    "missing arm": ("choice", M.choice(M.RED), "p.x", "NoneType object has no 'x'"),
    "discriminant without an arm": ("choice", M.choice(3), "c", "no arm"),
    "wrong class": ("point", "point", "x", "str object has no 'x'"),
    "list element": ("chain", M.chain(M.link(1, M.link(2**31, None)), 0), "first[1].value", "does not fit"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_unfit_values_are_refused_with_their_field(case: str) -> None:
    name, value, path, reason = UNFIT[case]
    with pytest.raises(XdrEncodeError) as caught:
        encode(getattr(M, f"encode_{name}"), value)
    assert reason in caught.value.reason
    assert caught.value.path == path


def test_other_buffers_are_taken_as_bytes() -> None:
    assert encode(M.encode_name, bytearray(b"ab")) == encode(M.encode_name, memoryview(b"ab")) == b"\0\0\0\2ab\0\0"


@pytest.mark.parametrize(
    ("switch", "name", "wire", "value"),
    [
        ("accept_nonzero_padding", "name", "00000001 61010203", b"a"),
        ("accept_nonzero_padding", "key", "3132333435 010203", b"12345"),
        ("accept_any_bool", "chain", "00000007 00000001 00000000 00000005", M.chain(M.link(1, None), 5)),
        ("accept_any_bool", "flags", "00000002 00000009 00000000", [True, False]),
        ("accept_trailing_bytes", "color", "00000001 00", M.RED),
    ],
)
def test_named_switches_loosen_one_rule_each(switch: str, name: str, wire: str, value: Any) -> None:
    decoder, data = getattr(M, f"decode_{name}"), bytes.fromhex(wire)
    with pytest.raises(XdrDecodeError):
        decode(decoder, data)
    assert decode(decoder, data, DEFAULT_LIMITS._replace(**{switch: True})) == value


def nested(depth: int) -> bytes:
    return b"\0\0\0\1" * depth + b"\0\0\0\0"


@pytest.mark.parametrize("depth", [0, 1, 127, 128])
def test_depth_within_the_limit(depth: int) -> None:
    value = decode(M.decode_bag, nested(depth))
    assert encode(M.encode_bag, value) == nested(depth)


@pytest.mark.parametrize("depth", [129, 1000, 100_000])
def test_depth_over_the_limit(depth: int) -> None:
    with pytest.raises(XdrDecodeError, match="nested deeper than 128 levels"):
        decode(M.decode_bag, nested(depth))


def test_depth_of_a_tree_counts_levels_but_not_the_way_along_the_last_link() -> None:
    def tree(left: int, right: int) -> Any:
        root = None
        for _ in range(right):
            root = M.node(0, None, root)
        for _ in range(left):
            root = M.node(0, root, None)
        return root

    deep, wide = encode(M.encode_node, tree(4, 0)), encode(M.encode_node, tree(0, 5000))
    assert decode(M.decode_node, deep, Limits(depth=3)) == tree(4, 0)
    with pytest.raises(XdrDecodeError, match="nested deeper than 2"):
        decode(M.decode_node, deep, Limits(depth=2))
    assert decode(M.decode_node, wide, Limits(depth=1)) == tree(0, 5000)


def test_no_depth_allowed_by_the_caller_overflows_the_stack() -> None:
    with pytest.raises(XdrDecodeError, match="nested too deep"):
        decode(M.decode_bag, nested(200_000), Limits(depth=10**9))


def test_encoding_something_endless_is_refused() -> None:
    bag = M.bag([])
    bag.items.append(bag)
    with pytest.raises(XdrEncodeError, match="nested too deep"):
        encode(M.encode_bag, bag)


def test_element_cap_holds_for_arrays_and_lists() -> None:
    limits = Limits(elements=2)
    assert len(decode(M.decode_bag, bytes.fromhex("00000002 00000000 00000000"), limits).items) == 2
    with pytest.raises(XdrDecodeError, match="at most 2 are allowed"):
        decode(M.decode_bag, bytes.fromhex("00000003 00000000 00000000 00000000"), limits)
    with pytest.raises(XdrDecodeError, match="more than 2 elements"):
        decode(M.decode_leaf, b"\0\0\0\0\0\0\0\0\0\0\0\1" * 3 + bytes(4), limits)
    with pytest.raises(XdrDecodeError, match="more than 2 elements"):
        decode(M.decode_link, bytes.fromhex("00000001 00000001 00000001 00000001 00000001 00000000"), limits)


def test_message_cap() -> None:
    with pytest.raises(XdrDecodeError, match="at most 8"):
        decode(M.decode_point, bytes(9), Limits(message=8))


def long_list(length: int) -> Any:
    first = None
    for number in range(length):
        first = M.link(number, first)
    return first


def test_long_lists_need_no_stack() -> None:
    data = encode(M.encode_link, long_list(100_000))
    back = decode(M.decode_link, data)
    assert back == long_list(100_000)
    assert back != long_list(99_999)
    assert repr(back).startswith("link(value=99999, next=link(value=99998, next=")
    assert len(data) == 800_000


def test_a_real_directory_of_20000_names() -> None:
    first = None
    for number in range(20_000):
        first = nfs_prot.entry(number, b"name%d" % number, number.to_bytes(4, "big"), first)
    reply = nfs_prot.readdirres(nfs_prot.NFS_OK, nfs_prot.dirlist(first, True))
    assert decode(nfs_prot.decode_readdirres, encode(nfs_prot.encode_readdirres, reply)) == reply


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(data=st.data())
def test_round_trip_and_sizes(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES.named(name))
    wire = encode(getattr(M, f"encode_{name}"), value)
    assert decode(getattr(M, f"decode_{name}"), wire) == value
    from nfsrpc.rpcgen.model import Ref

    size = VALUES.layout.size(Ref(name))
    assert size.least <= len(wire)
    assert size.most is None or len(wire) <= size.most


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(data=st.data())
def test_every_truncation_is_refused(name: str, data: st.DataObject) -> None:
    wire = encode(getattr(M, f"encode_{name}"), data.draw(VALUES.named(name)))
    for length in range(len(wire)):
        with pytest.raises(XdrDecodeError) as caught:
            decode(getattr(M, f"decode_{name}"), wire[:length])
        assert caught.value.offset is not None


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60)
@given(data=st.data())
def test_what_is_accepted_is_canonical(name: str, data: st.DataObject) -> None:
    near = encode(getattr(M, f"encode_{name}"), data.draw(VALUES.named(name)))
    position = data.draw(st.integers(0, max(len(near) - 1, 0)))
    wire = near[:position] + data.draw(st.binary(max_size=6)) + near[position + data.draw(st.integers(0, 6)) :]
    try:
        value = decode(getattr(M, f"decode_{name}"), wire)
    except XdrError:
        return
    again = encode(getattr(M, f"encode_{name}"), value)
    assert again == wire or b"\x7f" in wire or b"\xff" in wire  # a signalling NaN does not survive C's float


HOSTILE = {
    "count of 2**32 - 1 in eight bytes": ("bag", bytes.fromhex("ffffffff 00000000")),
    "array of words": ("flags", b"\x7f\xff\xff\xff" + bytes(16)),
    "string": ("open", bytes.fromhex("00000000 fffffffc")),
    "as many empty elements as the message holds": ("bag", struct.pack(">I", 50_000) + bytes(200_000)),
    "a list cut at its end": ("link", b"\0\0\0\7\0\0\0\1" * 25_000),
    "nesting as deep as the message is long": ("bag", b"\0\0\0\1" * 50_000),
    "optionals": ("node", b"\0\0\0\1" * 50_000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_memory_is_bounded_by_the_message(case: str) -> None:
    name, data = HOSTILE[case]
    decoder = getattr(M, f"decode_{name}")
    tracemalloc.start()
    try:
        with contextlib.suppress(XdrError):
            decode(decoder, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # An object of the smallest type is some 100 bytes for four on the wire.
    assert peak < 50 * len(data) + 100_000
