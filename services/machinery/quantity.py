"""Quantities: `100m`, `1.5Gi`, `2e3`, exactly as upstream's `resource.Quantity` reads and writes them.

Values are exact (`int` where whole, `Fraction` otherwise). Upstream keeps nothing finer than
one nano and rounds up; so do we. ValueError carries upstream's text.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

INVALID = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_UNPARSABLE_SUFFIX = "unable to parse quantity's suffix"
_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_EXPONENT = re.compile(r"[eE][-+]?[0-9]+")
_MAX = (1 << 63) - 1  # Upstream caps a quantity at the largest int64, without an error.

Exact = int | Fraction
_CHARACTERS_MAX = 4000  # Python reads no longer numbers.


def parse(text: str) -> Exact:
    """The exact value. ValueError when it is not a quantity."""
    return _parse(text)[0]


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[Exact, str]:
    """The value and the format it was written in: "decimal", "binary" or "exponent"."""
    match = _FORM.fullmatch(text)
    if not match or not (match[2] or match[3]) or len(text) > _CHARACTERS_MAX:
        raise ValueError(INVALID)
    sign, whole, part, suffix = match.groups()
    number = Fraction(int((whole or "0") + (part or "")), 10 ** len(part or ""))
    if suffix in _DECIMAL:
        number, form = number * _power(10, _DECIMAL[suffix]), "decimal"
    elif suffix in _BINARY:
        number, form = number * _power(1024, _BINARY[suffix]), "binary"
    elif _EXPONENT.fullmatch(suffix) and abs(int(suffix[1:])) <= 400:
        number, form = number * _power(10, int(suffix[1:])), "exponent"
    else:
        raise ValueError(_UNPARSABLE_SUFFIX)
    nanos = number * 10**9
    number = min(Fraction(-(-nanos.numerator // nanos.denominator), 10**9), Fraction(_MAX))
    if sign == "-":
        number = -number
    return (int(number) if number.denominator == 1 else number), form


def _power(base: int, exponent: int) -> Fraction:
    return Fraction(base**exponent) if exponent >= 0 else Fraction(1, base**-exponent)


@lru_cache(maxsize=4096)
def milli(text: str) -> int:
    """Thousandths, rounded up: how cpu is counted."""
    return _ceil(parse(text) * 1000)


@lru_cache(maxsize=4096)
def value(text: str) -> int:
    """Units, rounded up: how memory and everything else is counted."""
    return _ceil(parse(text))


def _ceil(number: Exact) -> int:
    """Away from zero, as upstream rounds."""
    if isinstance(number, int):
        return number
    up = -(-abs(number.numerator) // number.denominator)
    return up if number >= 0 else -up


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """How upstream writes it back: the largest suffix that leaves no fraction, the format kept."""
    number, form = _parse(text)
    return format(number, form)


def format(number: Exact, form: str = "decimal") -> str:
    """Writes a value: "decimal" (100m, 2k), "binary" (1Gi) or "exponent" (2e3)."""
    if number == 0:
        return "0"
    if form == "binary" and (isinstance(number, Fraction) or abs(number) < 1024):
        form = "decimal"  # Fractions and small numbers have no binary form.
    sign = "-" if number < 0 else ""
    if form == "binary":
        mantissa, power = abs(int(number)), 0
        while power < 6 and mantissa % 1024 == 0:
            mantissa, power = mantissa // 1024, power + 1
        return f"{sign}{mantissa}{next((s for s, p in _BINARY.items() if p == power), '')}"
    power = -9
    mantissa = abs(int(number * 10**9))
    while power < 18 and mantissa % 1000 == 0:
        mantissa, power = mantissa // 1000, power + 3
    if form == "exponent":
        return f"{sign}{mantissa}e{power}" if power else f"{sign}{mantissa}"
    return f"{sign}{mantissa}{next(s for s, p in _DECIMAL.items() if p == power)}"
