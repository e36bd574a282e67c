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
