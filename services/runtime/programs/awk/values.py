"""What awk's values are: numbers, strings, strings from input that look like numbers, and nothing yet."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)")
_NUMERIC = re.compile(r"\s*[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)\s*")
_FORMAT = re.compile(r"%([-+ 0#]*)(\*|\d{1,4})?(?:\.(\*|\d{0,4}))?[hlL]*([a-zA-Z%])")
STRING_CHARACTERS_MAX = 8_000_000


class AwkFault(Exception):
    """Ends the program; the message is said."""

    line = 1


class Input(str):
    """A string that came from outside: it compares as a number if it looks like one."""

    __slots__ = ()


class Nothing:
    """A variable that nobody has set: "" and 0."""

    __slots__ = ()


NOTHING = Nothing()
Value = float | str | Nothing


def number(value: Value) -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        match = _NUMBER.match(value)
        return float(match[0]) if match else 0.0
    return 0.0


def text(value: Value, form: str = "%.6g") -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e16:
            return str(int(value))
        if value != value or value in (float("inf"), float("-inf")):
            return f"{value:f}"
        return formatted(form, [value])
    return ""


def truth(value: Value) -> bool:
    if isinstance(value, float):
        return value != 0
    if isinstance(value, Input) and _NUMERIC.fullmatch(value):
        return number(value) != 0
    return isinstance(value, str) and value != ""


def numeric(value: Value) -> bool:
    if isinstance(value, Input):
        return _NUMERIC.fullmatch(value) is not None
    return not isinstance(value, str)


def compare(left: Value, right: Value) -> int:
    if numeric(left) and numeric(right):
        one, other = number(left), number(right)
        return (one > other) - (one < other)
    first, second = text(left), text(right)
    return (first > second) - (first < second)


def formatted(form: str, arguments: list[Value]) -> str:
    """sprintf."""
    rest = list(arguments)
    out: list[str] = []
    at = 0

    def take() -> Value:
        return rest.pop(0) if rest else NOTHING

    for match in _FORMAT.finditer(form):
        out.append(form[at : match.start()])
        at = match.end()
        flags, width, precision, kind = match[1], match[2], match[3], match[4]
        if kind == "%":
            out.append("%")
            continue
        if width == "*":
            given = int(max(min(number(take()), 10_000), -10_000))
            flags, width = (flags + "-" if given < 0 else flags), str(abs(given))
        if precision == "*":
            precision = str(int(max(min(number(take()), 10_000), 0)))
        spec = "%" + flags + (width or "") + (f".{precision or 0}" if precision is not None else "")
        out.append(_converted(spec, kind, take()))
    return "".join(out) + form[at:]


def _converted(spec: str, kind: str, value: Value) -> str:
    if kind == "c":
        code = int(number(value)) if isinstance(value, float) else 0
        letter = chr(code % 0x110000) if isinstance(value, float) else text(value)[:1]
        return (spec.partition(".")[0] + "s") % letter
    if kind == "s":
        return (spec + "s") % text(value)
    amount = number(value)
    if amount != amount or amount in (float("inf"), float("-inf")):
        return (spec.partition(".")[0].replace("0", "") + "s") % f"{amount:f}"
    if kind in "di":
        return (spec + "d") % int(amount)
    if kind in "oxXu":
        whole = int(amount) % 2**64 if amount < 0 else int(amount)
        return ((spec + ("d" if kind == "u" else kind)) % whole).replace("0o", "0")
    if kind in "eEfFgG":
        return (spec + kind) % amount
    return spec + kind
