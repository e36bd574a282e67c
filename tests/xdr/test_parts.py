"""The parts of generated code, one by one: what each refuses, where, and in which words."""

from __future__ import annotations

import struct
from enum import IntEnum

import pytest

from nfsrpc.xdr import DEFAULT_LIMITS, Limits, Procedure, Quadruple, XdrDecodeError, XdrEncodeError, XdrError
from nfsrpc.xdr import decode as decode_whole
from nfsrpc.xdr import encode as encode_whole
from nfsrpc.xdr import failure as fail
from nfsrpc.xdr import opaque as o
from nfsrpc.xdr import words as w
from nfsrpc.xdr.errors import join_path
from nfsrpc.xdr.run import Run, describe_refusal, follow, permits, shown, unfit

ANY_BOOL = Limits(accept_any_bool=True)


class Color(IntEnum):
    RED = 1
    BLUE = 2


MANY = {n: n for n in range(9)}


def refusal(error, call, *arguments, **named):
    """(reason, offset, path) of what a call raises."""
    with pytest.raises(error) as caught:
        call(*arguments, **named)
    assert type(caught.value) is error
    return caught.value.reason, caught.value.offset, caught.value.path


# --- errors


def test_errors_say_what_where_and_in_which_field():
    assert str(XdrError("wrong")) == "wrong"
    assert str(XdrError("wrong", offset=0)) == "wrong (at byte 0)"
    assert str(XdrError("wrong", offset=4, path="a")) == "a: wrong (at byte 4)"
    error = XdrError("wrong", path="b")
    assert error.within("a") is error
    assert error.path == "a.b"
    assert XdrError("wrong", offset=4, path="a").args == ("wrong", 4, "a")


@pytest.mark.parametrize(
    ("outer", "inner", "joined"),
    [("a", "b", "a.b"), ("a", "[3].b", "a[3].b"), ("", "b", "b"), ("a", "", "a"), ("", "", ""), ("", "[0]", "[0]")],
)
def test_paths_are_joined(outer, inner, joined):
    assert join_path(outer, inner) == joined


# --- limits and procedures


def test_the_defaults_of_the_limits():
    assert DEFAULT_LIMITS._asdict() == {
        "message": 1_114_112, "fragments": 1024, "depth": 128, "elements": 1_048_576, "connections": 2048,
        "connections_per_peer": 1024, "idle_seconds": 360.0, "record_seconds": 60.0, "unsent_seconds": 60.0,
        "unsent": 4_194_304, "turn_calls": 256, "turn_calls_per_peer": 64, "call_seconds": 30.0,
        "accept_nonzero_padding": False, "accept_any_bool": False, "accept_trailing_bytes": False,
    } | {name: value for name, value in Limits._field_defaults.items() if name not in KNOWN_LIMITS}  # fmt: skip


KNOWN_LIMITS = {
    "message", "fragments", "depth", "elements", "connections", "connections_per_peer", "idle_seconds",
    "record_seconds", "unsent_seconds", "unsent", "turn_calls", "turn_calls_per_peer", "call_seconds",
    "accept_nonzero_padding", "accept_any_bool", "accept_trailing_bytes",
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (DEFAULT_LIMITS, "depth"),
        (Procedure(1, 2, 3, "P", w.encode_void, w.decode_void, w.encode_void, w.decode_void), "name"),
    ],
)
def test_limits_and_procedures_do_not_change_and_have_no_other_fields(value, field):
    with pytest.raises(AttributeError):
        setattr(value, field, 7)
    assert not hasattr(value, "__dict__")


# --- words


def test_words_are_unpacked_from_where_they_are():
    assert w.decode_words("I", 2, bytes(3) + b"\0\0\0\1\xff\xff\xff\xff", 3) == (1, 0xFFFFFFFF)
    assert w.decode_words("q", 0, b"", 0) == ()
    assert refusal(XdrDecodeError, w.decode_words, "I", 3, bytes(9), 1) == (
        "3 elements need 12 bytes, but 8 are left", 1, "",
    )  # fmt: skip
    assert refusal(XdrDecodeError, w.decode_words, "q", 1, bytes(4), 4)[0] == "1 elements need 8 bytes, but 0 are left"
    assert refusal(XdrDecodeError, w.decode_words, "I", 1, b"", 4)[0] == "1 elements need 4 bytes, but 0 are left"


def test_words_are_packed_or_the_first_that_does_not_fit_is_named():
    assert w.encode_words("I", [1, 2], "a") == b"\0\0\0\1\0\0\0\2"
    assert w.encode_words("i", [1, 2], "a", {1: 1, 2: 2}) == b"\0\0\0\1\0\0\0\2"
    assert w.encode_words("f", [], "a") == b""
    reason, offset, path = refusal(XdrEncodeError, w.encode_words, "i", [0, 2**31], "a")
    assert (offset, path) == (None, "a[1]")
    assert reason.startswith("2147483648 does not fit: ")
    assert refusal(XdrEncodeError, w.encode_words, "f", [1e300], "a")[2] == "a[0]"
    assert refusal(XdrEncodeError, w.encode_words, "i", [1, 3], "c", {1: Color.RED, 2: Color.BLUE}) == (
        "3 is not one of RED, BLUE", None, "c[1]",
    )  # fmt: skip
    assert refusal(XdrEncodeError, w.encode_words, "i", ["1"], "a")[0] == "must be a number, not str"


class Strange(list):
    """A list that packs otherwise than its elements say."""

    def __iter__(self):
        return iter(())


def test_what_is_no_list_of_numbers_is_said_to_be_none():
    assert refusal(XdrEncodeError, w.encode_words, "i", Strange([1]), "a") == ("is not a list of numbers", None, "a")


def test_bools():
    data = bytes(4) + b"\0\0\0\1\0\0\0\0\0\0\0\1"
    assert w.decode_bools(3, data, 4, DEFAULT_LIMITS) == [True, False, True]
    assert refusal(XdrDecodeError, w.decode_bools, 2, bytes(4) + bytes(4) + b"\0\0\0\2", 4, DEFAULT_LIMITS) == (
        "2 is not one of False, True", 8, "[1]",
    )  # fmt: skip
    assert refusal(XdrDecodeError, w.decode_bools, 3, bytes(8) + b"\0\0\0\2", 0, DEFAULT_LIMITS)[1:] == (8, "[2]")
    assert w.decode_bools(2, b"\0\0\0\2" + bytes(4), 0, ANY_BOOL) == [True, False]


def test_words_of_an_enumeration_or_a_range():
    assert w.checked_words((2, 1), {1: Color.RED, 2: Color.BLUE}, 4, 0) == [Color.BLUE, Color.RED]
    assert type(w.checked_words((2,), {1: Color.RED, 2: Color.BLUE}, 4, 0)[0]) is Color
    assert w.checked_words((2, 5), range(6), 4, 0) == [2, 5]
    assert refusal(XdrDecodeError, w.checked_words, (1, 2, 6), range(6), 4, 100) == (
        "6 is not within 0..5", 108, "[2]",
    )  # fmt: skip


def test_quadruples_in_a_row():
    one, two = Quadruple(1), Quadruple(2)
    data = b"xx" + one.to_bytes() + two.to_bytes()
    assert w.decode_quadruples(2, data, 2) == [one, two]
    assert refusal(XdrDecodeError, w.decode_quadruples, 2, data[:-1], 2) == (
        "2 elements need 32 bytes, but 31 are left", 2, "",
    )  # fmt: skip


def test_nothing_one_and_no_arguments():
    out: list[bytes] = []
    w.encode_void(None, out)
    w.encode_no_args((), out)
    assert out == []
    assert w.decode_void(b"abcd", 4, DEFAULT_LIMITS) == (None, 4)
    assert w.decode_no_args(b"abcd", 3, DEFAULT_LIMITS) == ((), 3)
    assert refusal(XdrEncodeError, w.encode_void, 0, out)[0] == "void has no value, but int was given"
    encode, decode = w.one_arg(lambda value, out: out.append(value), lambda data, pos, limits: (data[pos:], len(data)))
    encode((b"a", b"b"), out)
    assert out == [b"a"]
    assert decode(b"abcd", 1, DEFAULT_LIMITS) == ((b"bcd",), 4)


# --- opaque data, lengths, lists


def test_buffers_become_bytes():
    assert [o.as_bytes(kind(b"ab"), "a") for kind in (bytes, bytearray, memoryview)] == [b"ab"] * 3
    assert {type(o.as_bytes(kind(b"ab"), "a")) for kind in (bytes, bytearray, memoryview)} == {bytes}
    assert refusal(XdrEncodeError, o.as_bytes, "ab", "a") == ("must be bytes, not str", None, "a")


def test_fill_bytes_by_length():
    assert [o.PAD[n & 3] for n in range(1, 6)] == [bytes(3), bytes(2), bytes(1), b"", bytes(3)]
    assert o.BOOL == {0: False, 1: True}
    assert o.members(Color) == {1: Color.RED, 2: Color.BLUE}


def test_lengths_and_sizes():
    assert o.check_length("a", 3, 3) is None
    assert refusal(XdrEncodeError, o.check_length, "a", 4, 3) == ("4 elements, but at most 3 are allowed", None, "a")
    assert o.check_size("a", 3, 3) is None
    for length in (2, 4):
        assert refusal(XdrEncodeError, o.check_size, "a", length, 3) == (
            f"{length} elements, but exactly 3 are declared", None, "a",
        )  # fmt: skip
    error = o.too_long("a", 5, 4, 8)
    assert (error.reason, error.offset, error.path) == ("5 elements, but at most 4 are allowed", 8, "a")
    assert o.too_long("a", 5, 4).offset is None


@pytest.mark.parametrize(
    ("length", "have", "missing"),
    [(1, 3, 1), (1, 1, 3), (2, 2, 2), (3, 3, 1), (4, 3, 1), (4, 0, 4), (5, 5, 3), (0, 0, 0), (4, 4, 0), (3, 4, 0)],
)
def test_tails_that_are_missing(length, have, missing):
    data = bytes(4 + have)
    if not missing:
        assert o.check_tail("a", data, 4 + length, length, DEFAULT_LIMITS) is None
        return
    assert refusal(XdrDecodeError, o.check_tail, "a", data, 4 + length, length, DEFAULT_LIMITS) == (
        f"needs {missing} bytes more than the message has", len(data), "a",
    )  # fmt: skip


@pytest.mark.parametrize(("length", "tail"), [(1, "000001"), (2, "0100"), (3, "ff"), (5, "010203")])
def test_fill_bytes_that_are_not_zero(length, tail):
    data = bytes(4) + b"x" * length + bytes.fromhex(tail) + b"next"
    assert refusal(XdrDecodeError, o.check_tail, "a", data, 4 + length, length, DEFAULT_LIMITS) == (
        f"fill bytes must be zero, not {tail}", 4 + length, "a",
    )  # fmt: skip
    lenient = Limits(accept_nonzero_padding=True)
    assert o.check_tail("a", data, 4 + length, length, lenient) is None
    assert o.check_tail("a", b"x" * 4 + b"\1", 4, 4, DEFAULT_LIMITS) is None


def test_other_words_as_bools():
    assert o.any_bool(7, ANY_BOOL) is True
    assert refusal(XdrDecodeError, o.any_bool, 7, DEFAULT_LIMITS) == ("7 is not one of False, True", None, "")


def test_counts_are_compared_with_what_is_left():
    few = Limits(elements=3)
    assert o.check_count("a", 3, 4, bytes(16), 4, few) is None
    assert refusal(XdrDecodeError, o.check_count, "a", 4, 0, bytes(16), 4, few) == (
        "4 elements, but at most 3 are allowed", 4, "a",
    )  # fmt: skip
    assert refusal(XdrDecodeError, o.check_count, "a", 3, 4, bytes(15), 4, few) == (
        "3 elements need at least 12 bytes, but 11 are left", 4, "a",
    )  # fmt: skip


def one_word(data, pos, limits):
    (value,) = w.decode_words("I", 1, data, pos)
    return value, pos + 4


def deep_word(data, pos, limits, depth):
    value, pos = one_word(data, pos, limits)
    return (value, depth, limits), pos


def test_items_one_after_the_other():
    data = bytes(4) + b"\0\0\0\1\0\0\0\2"
    assert o.decode_items(one_word, 2, data, 4, DEFAULT_LIMITS) == ([1, 2], 12)
    assert o.decode_items(one_word, 0, data, 4, DEFAULT_LIMITS) == ([], 4)
    assert refusal(XdrDecodeError, o.decode_items, one_word, 3, data, 4, DEFAULT_LIMITS)[1:] == (12, "[2]")
    found, end = o.decode_nested_items(deep_word, 2, data, 4, ANY_BOOL, 5)
    assert (found, end) == ([(1, 5, ANY_BOOL), (2, 5, ANY_BOOL)], 12)


def test_items_are_encoded_one_after_the_other():
    out: list[bytes] = []
    o.encode_items(lambda item, out: out.append(o.as_bytes(item, "x")), [b"a", b"b"], out)
    assert out == [b"a", b"b"]
    for items, path in (([b"", b"", ""], "[2].x"), ([""], "[0].x")):
        assert refusal(XdrEncodeError, o.encode_items, lambda item, out: o.as_bytes(item, "x"), items, out)[2] == path


def test_depth():
    assert o.check_depth(3, 8, Limits(depth=3)) is None
    assert refusal(XdrDecodeError, o.check_depth, 4, 8, Limits(depth=3)) == ("nested deeper than 3 levels", 8, "")


# --- runs

RUN = Run("> I 3s I", "a.n# a.[1] .", {"a.n#": range(3), ".": {1: Color.RED}, "a.[1]": b"\0\0\0"})


def test_a_run_is_a_struct_with_names():
    assert (RUN.size, RUN.pack(1, b"abc", 2)) == (11, b"\0\0\0\1abc\0\0\0\2")
    assert (RUN.codes, RUN.fields) == ("> I 3s I", "a.n# a.[1] .")
    assert Run("> I", "a").checks == {}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\0\0\0\2\0\0\0\0\0\0\1", None),
        (b"\0\0\0\3\0\0\0\0\0\0\1", ("a.n", 1, "3 is not within 0..2")),
        (b"\0\0\0\2\0\1\0\0\0\0\1", ("a[1]", 5, "fill bytes must be zero, not 000100")),
        (b"\0\0\0\2\0\0\0\0\0\0\2", ("", 8, "2 is not one of RED")),
        (b"\0\0\0\2\0\0\0\0\0\0", ("", 8, "needs 4 bytes, but the message ends after 3")),
        (b"\0\0\0\2\0\0", ("a[1]", 5, "needs 3 bytes, but the message ends after 2")),
        (b"\0\0\0\2", ("a[1]", 5, "needs 3 bytes, but the message ends after 0")),
    ],
)
def test_why_a_run_cannot_be_decoded(data, found):
    assert RUN.explain_decode(b"x" + data, 1) == found


def test_a_run_that_begins_behind_the_end():
    assert RUN.explain_decode(b"", 2) == ("a.n", 2, "needs 4 bytes, but the message ends after 0")


def test_why_a_run_cannot_be_encoded():
    run = Run("> I i 2s", "n# a b.[0]", {"a": {1: Color.RED}})
    good = type("Root", (), {"a": 1, "b": [b"xy"]})
    assert run.explain_encode(good) is None
    assert run.explain_encode(type("Root", (), {"a": 2, "b": [b"xy"]})) == ("a", "2 is not one of RED")
    assert run.explain_encode(type("Root", (), {"a": 1, "b": []})) == ("b[0]", "list object has no '[0]'")
    assert run.explain_encode(type("Root", (), {"a": 1, "b": [b"x"]})) == ("b[0]", "must be 2 bytes long, not 1")
    for broken in (Run("> I I", "a"), Run("> I", "a b")):
        with pytest.raises(ValueError, match="zip"):
            broken.explain_encode(good)
        with pytest.raises(ValueError, match="zip"):
            broken.explain_decode(bytes(8), 0)


def test_words_about_values():
    assert [shown(field) for field in ("a.[0].b#", ".", "a", ".[2]")] == ["a[0].b", "", "a", "[2]"]
    assert [permits(b"\0", value) for value in (b"\0", b"\1")] == [True, False]
    assert [permits({1: 1}, value) for value in (1, 2)] == [True, False]
    assert [permits(range(2, 4), value) for value in (1, 2, 3, 4)] == [False, True, True, False]
    assert describe_refusal(b"\0", b"\1") == "fill bytes must be zero, not 01"
    assert describe_refusal(range(2, 4), 9) == "9 is not within 2..3"
    assert describe_refusal(MANY, 9) == "9 is not one of 0, 1, 2, 3, 4, 5, 6, 7, ..."
    assert describe_refusal({n: n for n in range(8)}, 9) == "9 is not one of 0, 1, 2, 3, 4, 5, 6, 7"


def test_paths_are_followed():
    root = type("Root", (), {"a": [5, type("Leaf", (), {"b": 7})]})
    assert follow(root, ".") == (root, "")
    assert follow(root, "a.[0]") == (5, "")
    assert follow(root, "a.[1].b") == (7, "")
    assert follow(root, "a.[2]") == (None, "list object has no '[2]'")
    assert follow(root, "a.[0].[10]") == (None, "int object has no '[10]'")
    assert follow(list(range(20)), "[12]") == (12, "")
    assert follow(None, "x") == (None, "NoneType object has no 'x'")


@pytest.mark.parametrize(
    ("code", "value", "allowed", "reason"),
    [
        ("12s", b"x" * 12, None, ""), ("12s", bytearray(12), None, ""),
        ("12s", b"x", None, "must be 12 bytes long, not 1"), ("3s", "abc", None, "must be bytes, not str"),
        ("I", 7, None, ""), ("I", 7, range(8), ""), ("I", 8, range(8), "8 is not within 0..7"),
        ("I", "7", None, "must be a number, not str"), ("I", b"7", range(3), "must be a number, not bytes"),
    ],
)  # fmt: skip
def test_why_a_value_does_not_fit(code, value, allowed, reason):
    assert unfit(code, value, allowed) == reason


@pytest.mark.parametrize(("code", "value"), [("I", -1), ("i", 2**31), ("f", 1e300), ("I", 1.5)])
def test_numbers_that_do_not_fit(code, value):
    assert unfit(code, value, None).startswith(f"{value!r} does not fit: ")


# --- from bare exceptions to errors with a place

WORD = Run("> I", "a", {"a": range(3)})
SHORT = XdrDecodeError("short")


def told(error):
    return type(error), error.reason, error.offset, error.path


@pytest.mark.parametrize(
    ("cause", "at", "data", "index", "found"),
    [
        (RecursionError(), "a", b"", -1, ("nested too deep", 1, "")),
        (RecursionError(), WORD, b"", 3, ("nested too deep", 1, "[3]")),
        (struct.error("x"), WORD, b"xabc", -1, ("needs 4 bytes, but the message ends after 3", 1, "a")),
        (struct.error("x"), WORD, b"xabc", 0, ("needs 4 bytes, but the message ends after 3", 1, "[0].a")),
        (KeyError(5), WORD, b"x\0\0\0\1", -1, ("5", 1, "")),
        (KeyError(5), "b", b"", 2, ("5", 1, "[2].b")),
        (XdrDecodeError("short"), "b", b"", -1, ("short", 1, "b")),
        (XdrDecodeError("short", offset=0, path="c"), "b", b"", 1, ("short", 0, "[1].b.c")),
        (XdrDecodeError("short", offset=9), WORD, b"x\0\0\0\1", -1, ("short", 9, "")),
    ],
)  # fmt: skip
def test_failures_of_decoders(cause, at, data, index, found):
    assert told(fail.decode_failure(cause, at, data, 1, index)) == (XdrDecodeError, *found)
    if index < 0:
        assert told(fail.decode_failure(cause_again(cause), at, data, 1)) == (XdrDecodeError, *found)


def cause_again(cause):
    if isinstance(cause, XdrDecodeError):
        return XdrDecodeError("short", offset=cause.offset)
    return cause


ROOT = type("Root", (), {"a": 7})


@pytest.mark.parametrize(
    ("cause", "at", "index", "found"),
    [
        (RecursionError(), "a", -1, ("nested too deep", "")),
        (RecursionError(), WORD, 0, ("nested too deep", "[0]")),
        (struct.error("x"), WORD, -1, ("7 is not within 0..2", "a")),
        (struct.error("x"), Run("> I", "a"), 4, ("error: x", "[4]")),
        (KeyError(5), "b", -1, ("KeyError: 5", "b")),
        (XdrEncodeError("bad"), "b", -1, ("bad", "b")),
        (XdrEncodeError("bad", path="c"), "b", 0, ("bad", "[0].b.c")),
        (XdrEncodeError("bad", path="c"), WORD, -1, ("bad", "c")),
        (XdrEncodeError("bad"), WORD, -1, ("7 is not within 0..2", "a")),
        (XdrEncodeError("bad"), Run("> I", "a"), -1, ("XdrEncodeError: bad", "")),
    ],
)
def test_failures_of_encoders(cause, at, index, found):
    reason, path = found
    assert told(fail.encode_failure(cause, at, ROOT, index)) == (XdrEncodeError, reason, None, path)


def test_a_list_that_breaks_before_its_first_element():
    def broken():
        raise XdrEncodeError("bad")
        yield

    assert refusal(XdrEncodeError, o.encode_items, lambda item, out: None, broken(), [])[2] == "[0]"


def test_encoders_outside_lists_have_no_index():
    assert fail.encode_failure(KeyError(5), "b", ROOT).path == "b"


# --- whole messages


def test_a_whole_message():
    small = Limits(message=4)
    assert encode_whole(lambda value, out: out.extend([b"a", value]), b"b") == b"ab"
    assert decode_whole(one_word, b"\0\0\0\5") == decode_whole(one_word, b"\0\0\0\5", small) == 5
    assert refusal(XdrDecodeError, decode_whole, one_word, bytes(5), small) == (
        "5 bytes, but a message may have at most 4", 0, "",
    )  # fmt: skip
    assert refusal(XdrDecodeError, decode_whole, one_word, bytes(7)) == ("3 bytes follow the value", 4, "")
    assert decode_whole(one_word, bytes(7), Limits(accept_trailing_bytes=True)) == 0
