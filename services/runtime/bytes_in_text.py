"""Bytes inside text: what `printf '\\377'` makes is one byte, whatever it means.

Programs here hold text, in which a byte that is no part of UTF-8 is a lone surrogate (PEP 383). Bytes named
one by one that do make up a character become that character again, so that its length is what it should be.
"""

from __future__ import annotations


def byte_sign(value: int) -> str:
    """The sign that stands for a byte."""
    return chr(value) if value < 0x80 else chr(0xDC00 + value)


def as_byte(sign: str) -> str:
    """For tools that work on bytes, each a character below 256."""
    return chr(ord(sign) - 0xDC00) if "\udc80" <= sign <= "\udcff" else sign


def code_sign(value: int) -> str:
    """The character with this number; a surrogate, which is none, as the bytes that it would have."""
    return chr(value).encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


def rejoined(text: str) -> str:
    """The same bytes, read as UTF-8 where they can be."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def first_byte(text: str) -> str:
    """What `%c` prints."""
    return text[:1].encode("utf-8", "surrogateescape")[:1].decode("utf-8", "surrogateescape")
