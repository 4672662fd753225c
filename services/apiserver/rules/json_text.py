"""JSON as Go's encoding/json reads it: the same limits, the same leniency, the same complaints.

`orjson` does the work; only what it refuses, or what may hide a duplicate key, is read again
with `read_exactly`, which keeps duplicates and the digits of numbers. Invalid UTF-8 is replaced, as
Go does. Nesting deeper than `DEPTH_MAX` is refused: Go's limit is 10 000, ours protects the stack.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

DEPTH_MAX = 200
_SURROGATE = re.compile("[\ud800-\udfff]")


class SyntaxFault(ValueError):
    """The text is not JSON; the message is Go's."""


class Number(float):
    """A number that is no plain integer, with the digits that were sent."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


class ExactObject(dict[str, Any]):
    """A JSON object that remembers its members as they were written, repetitions included."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def read(raw: bytes) -> Any:
    """The value, quickly. SyntaxFault when Go would refuse the text. Repeated keys: the last one counts."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return read_exactly(raw)


def read_exactly(raw: bytes) -> Any:
    """The same with objects as `ExactObject` and non-integers as `Number`."""
    text = _SURROGATE.sub("\ufffd", raw.decode("utf-8", "replace"))
    try:
        return _EXACT.decode(text)
    except (ValueError, RecursionError):
        # The words are Go's; should Go read what Python does not, that is a fault all the same.
        raise SyntaxFault(syntax_fault(text) or "invalid JSON") from None


def _text(pairs: list[tuple[str, Any]]) -> ExactObject:
    return ExactObject([(_scrub(key), _scrub(value)) for key, value in pairs])


def _scrub(value: Any) -> Any:
    """Lone surrogates, written as escapes, become the replacement character."""
    return _SURROGATE.sub("\ufffd", value) if type(value) is str else value


def _no_constant(word: str) -> Any:
    raise ValueError(word)  # NaN and the infinities are no JSON.


_EXACT = json.JSONDecoder(object_pairs_hook=_text, parse_float=Number, parse_constant=_no_constant)


def may_repeat_keys(raw: bytes, value: Any) -> bool:
    """Whether `raw` has more keys than `value`. True is only a suspicion: text may look like a key.

    SyntaxFault where the value is nested deeper than Go, or our stack, would have it.
    """
    # Quotes inside a text are escaped, as in the annotation that `kubectl apply` leaves.
    return raw.count(b'":') - raw.count(b'\\":') != _keys(value, 0)


def _keys(value: Any, depth: int) -> int:
    if depth > DEPTH_MAX:
        raise SyntaxFault("exceeded max depth")
    if type(value) is dict:
        count, inner = len(value), list(value.values())
    elif type(value) is list:
        count, inner = 0, value
    else:
        return 0
    for item in inner:
        kind = type(item)
        if kind is dict or kind is list:
            count += _keys(item, depth + 1)
    return count


_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_END = "unexpected end of JSON input"


def syntax_fault(text: str) -> str:
    """What Go's scanner says about the first place where `text` is not JSON; empty when it is."""
    try:
        end = _Scanner(text).value(0, 0)
    except SyntaxFault as fault:
        return str(fault)
    rest = _SPACE.match(text, end)
    assert rest is not None
    return _invalid(text, rest.end(), "after top-level value") if rest.end() < len(text) else ""


def _invalid(text: str, at: int, where: str) -> str:
    if at >= len(text):
        return _END
    return f"invalid character {_quoted(text[at])} {where}"


def _quoted(char: str) -> str:
    """As Go prints a byte of the input."""
    if char == "'":
        return r"'\''"
    if char == '"':
        return "'\"'"
    byte = char.encode()[0]
    if byte >= 0x80:
        return f"'{chr(byte)}'"
    if 0x20 <= byte < 0x7F and char != "\\":
        return f"'{char}'"
    return {"\n": r"'\n'", "\t": r"'\t'", "\r": r"'\r'", "\\": r"'\\'"}.get(char, f"'\\x{byte:02x}'")


class _Scanner:
    """Descends through the text; each method starts at a position and gives where its value ends."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, at: int, depth: int, where: str = "looking for beginning of value") -> int:
        at = self._skip(at)
        char = self._text[at : at + 1]
        if char in ("{", "["):
            if depth >= DEPTH_MAX:
                raise SyntaxFault(_invalid(self._text, at, "exceeded max depth"))
            return self._object(at + 1, depth + 1) if char == "{" else self._array(at + 1, depth + 1)
        if char == '"':
            return self._string(at + 1)
        if char == "-" or char.isdecimal():
            return self._number(at)
        for word in ("true", "false", "null"):
            if char and char == word[0]:
                return self._word(at, word)
        raise SyntaxFault(_invalid(self._text, at, where))

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        assert match is not None
        return match.end()

    def _object(self, at: int, depth: int) -> int:
        at = self._skip(at)
        if self._text[at : at + 1] == "}":
            return at + 1
        while True:
            at = self._skip(at)
            if self._text[at : at + 1] != '"':
                raise SyntaxFault(_invalid(self._text, at, "looking for beginning of object key string"))
            at = self._skip(self._string(at + 1))
            if self._text[at : at + 1] != ":":
                raise SyntaxFault(_invalid(self._text, at, "after object key"))
            at = self._skip(self.value(at + 1, depth))
            if self._text[at : at + 1] == "}":
                return at + 1
            if self._text[at : at + 1] != ",":
                raise SyntaxFault(_invalid(self._text, at, "after object key:value pair"))
            at += 1

    def _array(self, at: int, depth: int) -> int:
        at = self._skip(at)
        if self._text[at : at + 1] == "]":
            return at + 1
        while True:
            at = self._skip(self.value(at, depth))
            if self._text[at : at + 1] == "]":
                return at + 1
            if self._text[at : at + 1] != ",":
                raise SyntaxFault(_invalid(self._text, at, "after array element"))
            at += 1

    def _string(self, at: int) -> int:
        match = _STRING.match(self._text, at)
        assert match is not None
        at = match.end()
        char = self._text[at : at + 1]
        if char == '"':
            return at + 1
        if char == "\\":
            escape = self._text[at + 1 : at + 2]
            if escape == "u":
                while (at + 2) < len(self._text) and self._text[at + 2] in "0123456789abcdefABCDEF":
                    at += 1
                raise SyntaxFault(_invalid(self._text, at + 2, "in \\u hexadecimal character escape"))
            raise SyntaxFault(_invalid(self._text, at + 1, "in string escape code"))
        raise SyntaxFault(_invalid(self._text, at, "in string literal"))

    def _number(self, at: int) -> int:
        match = _NUMBER.match(self._text, at)
        if match is None:
            raise SyntaxFault(_invalid(self._text, at + 1, "in numeric literal"))
        end = match.end()
        following = self._text[end : end + 1]
        if following == "." and "." not in match[0]:
            raise SyntaxFault(_invalid(self._text, end + 1, "after decimal point in numeric literal"))
        if following in ("e", "E") and "e" not in match[0].lower():
            signed = self._text[end + 1 : end + 2] in ("+", "-")
            raise SyntaxFault(_invalid(self._text, end + 1 + signed, "in exponent of numeric literal"))
        return end

    def _word(self, at: int, word: str) -> int:
        for index, char in enumerate(word):
            if self._text[at + index : at + index + 1] != char:
                where = f"in literal {word} (expecting {_quoted(char)})"
                raise SyntaxFault(_invalid(self._text, at + index, where))
        return at + len(word)
