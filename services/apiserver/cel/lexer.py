"""Splits an expression into words. Strings and numbers are read here, escapes and all."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from services.apiserver.cel.values import UInt

INT64_MIN, INT64_MAX, UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class Token(NamedTuple):
    kind: str  # ident, int, uint, double, string, bytes, end, or the punctuation itself
    text: str
    value: Any
    at: int


class LexError(Exception):
    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at, self.message = at, message


_SKIPPED = re.compile(r"(?:[\t \r\n\f]+|//[^\n]*)+")
_IDENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED_IDENT = re.compile(r"`([A-Za-z0-9_.\-/ ]+)`")
_NUMBER = re.compile(
    r"0x[0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+[uU]?"
)
_PUNCTUATION = re.compile(r"==|!=|<=|>=|&&|\|\||[\[\]{}().,\-!?:+*/%<>]")
_PREFIX = re.compile(r"(?:[rR][bB]|[bB][rR]|[rRbB])?(?=\"|')")
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip


def tokens(text: str) -> list[Token]:
    """LexError where something is no word."""
    found: list[Token] = []
    at, end = 0, len(text)
    while True:
        skipped = _SKIPPED.match(text, at)
        at = skipped.end() if skipped else at
        if at >= end:
            found.append(Token("end", "<EOF>", None, at))
            return found
        token, at = _next(text, at)
        found.append(token)


def _next(text: str, at: int) -> tuple[Token, int]:
    prefix = _PREFIX.match(text, at)
    if prefix:
        return _string(text, at, prefix.end())
    if word := _IDENT.match(text, at):
        return Token("ident", word[0], word[0], at), word.end()
    if number := _NUMBER.match(text, at):
        return _number(number[0], at), number.end()
    if mark := _PUNCTUATION.match(text, at):
        return Token(mark[0], mark[0], None, at), mark.end()
    if word := _QUOTED_IDENT.match(text, at):
        return Token("quoted", word[0], word[1], at), word.end()
    raise LexError(at, f"Syntax error: token recognition error at: '{text[at]}'")


def _number(text: str, at: int) -> Token:
    if text[-1] in "uU":
        value = int(text[:-1], 16 if text.startswith("0x") else 10)
        if value > UINT64_MAX:
            raise LexError(at, "invalid uint literal")
        return Token("uint", text, UInt(value), at)
    if text.startswith("0x"):
        return Token("int", text, int(text, 16), at)
    if any(mark in text for mark in ".eE"):
        return Token("double", text, float(text), at)
    return Token("int", text, int(text), at)


def _string(text: str, at: int, quote_at: int) -> tuple[Token, int]:
    prefix, quote = text[at:quote_at].lower(), text[quote_at]
    mark = quote * 3 if text.startswith(quote * 3, quote_at) else quote
    raw, start = "r" in prefix, quote_at + len(mark)
    position = start
    while not text.startswith(mark, position):
        if position >= len(text) or (len(mark) == 1 and text[position] in "\r\n"):
            raise LexError(at, f"Syntax error: token recognition error at: '{text[at:position]}'")
        position += 2 if text[position] == "\\" and not raw else 1
    inner, is_bytes = text[start:position], "b" in prefix
    value = _unescaped(inner, at, is_bytes) if not raw else inner.encode() if is_bytes else inner
    stop = position + len(mark)
    return Token("bytes" if is_bytes else "string", text[at:stop], value, at), stop


def _unescaped(inner: str, at: int, is_bytes: bool) -> str | bytes:
    if "\\" not in inner:
        return inner.encode() if is_bytes else inner
    out, position = bytearray(), 0
    while position < len(inner):
        if inner[position] != "\\":
            out += inner[position].encode("utf-8", "surrogatepass")
            position += 1
            continue
        letter = inner[position + 1 : position + 2]
        if letter in _ESCAPES:
            out += _ESCAPES[letter].encode()
            position += 2
            continue
        code, position = _code(inner, position + 1, at)
        out += bytes([code & 0xFF]) if is_bytes else chr(code).encode("utf-8", "surrogatepass")
    return bytes(out) if is_bytes else out.decode("utf-8", "replace")


def _code(inner: str, position: int, at: int) -> tuple[int, int]:
    """A numeric escape: its value, and where it ends."""
    letter = inner[position : position + 1]
    lengths = {"x": 2, "X": 2, "u": 4, "U": 8}
    start = position + 1 if letter in lengths else position
    digits = inner[start : start + lengths.get(letter, 3)]
    try:
        code = int(digits, 16 if letter in lengths else 8)
    except ValueError:
        code = -1
    if len(digits) != lengths.get(letter, 3) or not 0 <= code < 0x110000:
        raise LexError(at, "Syntax error: token recognition error: unable to unescape string")
    return code, start + len(digits)
