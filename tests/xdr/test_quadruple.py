"""Quadruple against exact arithmetic and known bit patterns."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsrpc.xdr import Quadruple

BITS = st.integers(0, 2**128 - 1).map(lambda bits: Quadruple.from_bytes(bits.to_bytes(16, "big")))
LARGEST = Fraction(2**113 - 1) * Fraction(2) ** (16383 - 112)

KNOWN = {
    "3fff0000000000000000000000000000": Fraction(1),
    "c0000000000000000000000000000000": Fraction(-2),
    "3ffd5555555555555555555555555555": None,
    "00000000000000000000000000000001": Fraction(2) ** (-16382 - 112),
    "7ffeffffffffffffffffffffffffffff": LARGEST,
    "00000000000000000000000000000000": Fraction(0),
}


@pytest.mark.parametrize("bits", KNOWN)
def test_known_patterns(bits: str) -> None:
    value = Quadruple.from_bytes(bytes.fromhex(bits))
    exact = KNOWN[bits]
    if exact is not None:
        assert value.as_fraction() == exact
    assert Quadruple(value.as_fraction()) == value
    assert value.to_bytes().hex() == bits


def test_nearest_of_a_third() -> None:
    assert Quadruple(Fraction(1, 3)).to_bytes().hex() == "3ffd5555555555555555555555555555"


@given(BITS)
def test_exact_both_ways(value: Quadruple) -> None:
    assert Quadruple.from_bytes(value.to_bytes()) == value
    assert eval(repr(value)) == value
    if value.is_nan() or value.is_infinite():
        return
    exact = value.as_fraction()
    if exact:
        assert Quadruple(exact) == value
    try:
        assert float(value) == float(exact)
    except OverflowError:
        assert abs(exact) > 2**1023


@given(st.floats())
def test_floats_are_kept_exactly(number: float) -> None:
    value = Quadruple(number)
    back = float(value)
    assert math.isnan(back) if math.isnan(number) else back == number
    assert math.isnan(number) or math.copysign(1, back) == math.copysign(1, number)


@given(st.fractions())
def test_rounding_is_to_the_nearest(number: Fraction) -> None:
    value = Quadruple(number)
    exact = value.as_fraction()
    step = Fraction(2) ** ((value.bits >> 112 & 0x7FFF) - 16383 - 112)
    assert abs(exact - number) * 2 <= step


@given(BITS)
def test_decimal_text_tells_values_apart(value: Quadruple) -> None:
    if value.is_nan() or value.is_infinite() or not value.as_fraction():
        return
    if abs(value.as_fraction()) >= Fraction(2) ** -16382:
        assert Quadruple(Fraction(str(value))) == value


def test_special_values() -> None:
    infinity = Quadruple(math.inf)
    assert (infinity.is_infinite(), float(infinity), str(infinity)) == (True, math.inf, "inf")
    assert (Quadruple(math.nan).is_nan(), str(Quadruple(math.nan)), str(Quadruple(0))) == (True, "nan", "0.0")
    assert str(Quadruple(-0.0)) == "-0.0"
    assert Quadruple(0.0) != Quadruple(-0.0)
    assert len({Quadruple(1), Quadruple(1.0), Quadruple(2)}) == 2
    with pytest.raises(OverflowError):
        Quadruple(LARGEST * 2)
    with pytest.raises(OverflowError):
        infinity.as_fraction()
    with pytest.raises(ValueError, match="NaN"):
        Quadruple(math.nan).as_fraction()
    with pytest.raises(ValueError, match="16 bytes"):
        Quadruple.from_bytes(b"")


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("3fff0000000000000000000000000000", "1.0e+0"),
        ("bfff8000000000000000000000000000", "-1.5e+0"),
        ("40024000000000000000000000000000", "1.0e+1"),
        ("403e56a95319d63e15a4000000000000", "1.234567890123456789e+19"),
        ("3ffd5555555555555555555555555555", "3.33333333333333333333333333333333317e-1"),
        ("bbcd0000000000000000000000000000", "-4.94065645841246544176568792868221372e-324"),
        ("4664a2ecfe6d86f7244b20cebe448f17", "1.0e+493"),  # a little less, rounded up to one digit more
        ("00000000000000000000000000000001", "6.47517511943802511092443895822764655e-4966"),
        ("7ffeffffffffffffffffffffffffffff", "1.18973149535723176508575932662800702e+4932"),
    ],
)
def test_decimal_text(bits: str, text: str) -> None:
    assert str(Quadruple.from_bytes(bytes.fromhex(bits))) == text


@pytest.mark.parametrize(
    ("number", "bits"),
    [
        (-1.5, "bfff8000000000000000000000000000"),
        (-0.0, "80000000000000000000000000000000"),
        (5e-324, "3bcd0000000000000000000000000000"),
        (-math.inf, "ffff0000000000000000000000000000"),
        (math.nan, "7fff8000000000000000000000000000"),
    ],
)
def test_bits_of_floats(number: float, bits: str) -> None:
    assert Quadruple(number).to_bytes().hex() == bits


@pytest.mark.parametrize(
    ("bits", "is_nan", "is_infinite"),
    [
        ("7fff0000000000000000000000000000", False, True),
        ("ffff0000000000000000000000000000", False, True),
        ("7fff0000000000000000000000000001", True, False),
        ("7ffe0000000000000000000000000001", False, False),
        ("00000000000000000000000000000000", False, False),
    ],
)
def test_kinds_of_numbers(bits: str, is_nan: bool, is_infinite: bool) -> None:
    value = Quadruple.from_bytes(bytes.fromhex(bits))
    assert (value.is_nan(), value.is_infinite()) == (is_nan, is_infinite)


def test_the_ends_of_the_range() -> None:
    assert Quadruple() == Quadruple(0)
    with pytest.raises(OverflowError):
        Quadruple(Fraction(2) ** 16384)
