"""A quadruple-precision floating-point number (RFC 4506 §4.8) that loses nothing: IEEE 754 binary128."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from fractions import Fraction

_FRACTION_BITS = 112
_EXPONENT_MAX = 0x7FFF
_BIAS = 16383
_QUIET = 1 << (_FRACTION_BITS - 1)


class Quadruple:
    """One binary128 value, kept as its 128 bits; compared by bits, so that -0 differs from 0 and a NaN equals itself.

    Made from bits with `from_bytes`, or from a number: `Quadruple(0.1)` is the
    exact value of that float, `Quadruple(Fraction(1, 10))` the nearest
    binary128 (round half to even). Raises OverflowError where the number's
    magnitude is beyond the largest finite one.
    """

    __slots__ = ("bits",)
    bits: int

    def __init__(self, number: int | float | Fraction | Quadruple = 0) -> None:
        if isinstance(number, Quadruple):
            self.bits = number.bits
        elif isinstance(number, float):
            self.bits = _bits_of_float(number)
        else:
            from fractions import Fraction  # costs more than all of this package, for a type that few use

            self.bits = _bits_of_fraction(Fraction(number))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Make a value of its 16 bytes, most significant first; raise ValueError for any other number of bytes."""
        if len(data) != 16:
            raise ValueError(f"a quadruple is 16 bytes, not {len(data)}")
        value = cls.__new__(cls)
        value.bits = int.from_bytes(data, "big")
        return value

    def to_bytes(self) -> bytes:
        """Return the 16 bytes, most significant first."""
        return self.bits.to_bytes(16, "big")

    @property
    def _parts(self) -> tuple[bool, int, int]:
        return (
            bool(self.bits >> 127),
            self.bits >> _FRACTION_BITS & _EXPONENT_MAX,
            self.bits & ((1 << _FRACTION_BITS) - 1),
        )

    def is_nan(self) -> bool:
        """Say whether this is not a number."""
        _, exponent, fraction = self._parts
        return exponent == _EXPONENT_MAX and fraction != 0

    def is_infinite(self) -> bool:
        """Say whether this is plus or minus infinity."""
        _, exponent, fraction = self._parts
        return exponent == _EXPONENT_MAX and fraction == 0

    def as_fraction(self) -> Fraction:
        """Return the exact value; raise OverflowError for an infinity and ValueError for a NaN."""
        from fractions import Fraction

        negative, exponent, fraction = self._parts
        if exponent == _EXPONENT_MAX:
            if fraction:
                raise ValueError("cannot convert NaN to a fraction")
            raise OverflowError("cannot convert infinity to a fraction")
        # Subnormal numbers (exponent 0) have no implied leading one and the scale of exponent 1.
        significand = fraction if exponent == 0 else fraction | 1 << _FRACTION_BITS
        value = Fraction(significand) * Fraction(2) ** (max(exponent, 1) - _BIAS - _FRACTION_BITS)
        return -value if negative else value

    def __float__(self) -> float:
        negative, exponent, fraction = self._parts
        if exponent == _EXPONENT_MAX:
            magnitude = float("nan") if fraction else float("inf")
        else:
            magnitude = float(abs(self.as_fraction()))
        return -magnitude if negative else magnitude

    def __eq__(self, other: object) -> bool:
        return self.bits == other.bits if isinstance(other, Quadruple) else NotImplemented

    def __hash__(self) -> int:
        return hash((Quadruple, self.bits))

    def __repr__(self) -> str:
        return f"Quadruple.from_bytes(bytes.fromhex({self.to_bytes().hex()!r}))"

    def __str__(self) -> str:
        """Return the value in decimal with 36 significant digits: enough to tell any two quadruples apart."""
        if self.is_nan() or self.is_infinite():
            return str(float(self))
        value = self.as_fraction()
        if not value:
            return "-0.0" if self.bits else "0.0"
        return _decimal(value)


def _bits_of_float(number: float) -> int:
    from fractions import Fraction

    if math.isnan(number):
        return _EXPONENT_MAX << _FRACTION_BITS | _QUIET
    sign = 1 << 127 if math.copysign(1.0, number) == -1 else 0
    if math.isinf(number):
        return sign | _EXPONENT_MAX << _FRACTION_BITS
    return sign | _bits_of_fraction(abs(Fraction(number)))


def _bits_of_fraction(number: Fraction) -> int:
    sign = 1 << 127 if number < 0 else 0
    magnitude = abs(number)
    two = type(magnitude)(2)
    if not magnitude:
        return sign
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < two**exponent:
        exponent -= 1
    exponent = max(exponent, 1 - _BIAS)
    # round() of a Fraction is half-to-even, as IEEE 754 asks for.
    significand = round(magnitude / two ** (exponent - _FRACTION_BITS))
    # A significand that was rounded up to the next power of two, or a subnormal
    # number rounded up to the first normal one, carries into the exponent by itself.
    bits = (exponent + _BIAS - 1 << _FRACTION_BITS) + significand
    if bits >= _EXPONENT_MAX << _FRACTION_BITS:
        raise OverflowError("number is too large for a quadruple")
    return sign | bits


def _decimal(value: Fraction) -> str:
    from decimal import Context, Decimal

    context = Context(prec=36)
    number = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    digits, _, power = f"{number.normalize(context):e}".partition("e")
    return f"{digits if '.' in digits else digits + '.0'}e{power}"
