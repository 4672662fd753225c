"""SPDY/3.1 header blocks: name-value pairs, compressed with the dictionary that the protocol fixes. Pure.

One compressor and one decompressor live as long as a connection: each block builds on those before it.
What a few bytes may unpack to is bounded. Follows sections 2.6.10 and 2.6.10.1 of the protocol's draft.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from struct import Struct, error

HEADERS_BYTES_MAX = 64 * 1024
HEADERS_MAX = 256
_LENGTH = Struct(">I")

# The header names and values of 2012's web: first each with its length, then as plain text.
_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges "
    "age allow authorization cache-control connection content-base content-encoding content-language "
    "content-length content-location content-md5 content-range content-type date etag expect expires from "
    "host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location "
    "max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer "
    "transfer-encoding upgrade user-agent vary via warning www-authenticate method get status"
)
_MORE = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_PLAIN = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(_LENGTH.pack(len(w)) + w.encode() for w in (*_NAMES.split(), *_MORE)) + _PLAIN.encode()


class ProtocolError(Exception):
    """The peer does not speak SPDY/3.1, or wants more than a connection may have."""


class Compressor:
    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zdict=DICTIONARY)

    def pack(self, headers: Mapping[str, str]) -> bytes:
        block = bytearray(_LENGTH.pack(len(headers)))
        for pair in headers.items():
            for text in pair:
                raw = text.encode("latin-1")
                block += _LENGTH.pack(len(raw)) + raw
        return self._zlib.compress(bytes(block)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class Decompressor:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def unpack(self, packed: bytes) -> dict[str, str]:
        """Names in lower case. ProtocolError, after which the connection is of no more use."""
        try:
            block = self._zlib.decompress(packed, HEADERS_BYTES_MAX)
        except zlib.error as fault:
            raise ProtocolError(f"header block: {fault}") from None
        if self._zlib.unconsumed_tail or self._zlib.eof:
            raise ProtocolError(f"header block: more than {HEADERS_BYTES_MAX} bytes")
        try:
            return _pairs(block)
        except error:
            raise ProtocolError("header block: cut short") from None


def _pairs(block: bytes) -> dict[str, str]:
    (count,) = _LENGTH.unpack_from(block)
    if count > HEADERS_MAX:
        raise ProtocolError(f"header block: more than {HEADERS_MAX} headers")
    headers, at = dict[str, str](), _LENGTH.size
    for _ in range(count):
        name, at = _text(block, at)
        value, at = _text(block, at)
        name = name.lower()
        if not name or name in headers:
            raise ProtocolError("header block: a name is empty or twice there")
        headers[name] = value
    if at != len(block):
        raise ProtocolError("header block: more than its headers")
    return headers


def _text(block: bytes, at: int) -> tuple[str, int]:
    (length,) = _LENGTH.unpack_from(block, at)
    at += _LENGTH.size
    if at + length > len(block):
        raise ProtocolError("header block: cut short")
    return block[at : at + length].decode("latin-1"), at + length
