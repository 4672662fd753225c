"""What a body is whose sender does not say, from how it begins. Pure.

Go's HTTP server names a type for every answer, so a proxied one without any has one all the same; clients
choose by it how to read. The commonest part of the rules: https://mimesniff.spec.whatwg.org.
"""

from __future__ import annotations

SNIFFED_BYTES = 512
_BLANK = b"\t\n\x0c\r "
_TAGS = (
    b"<!DOCTYPE HTML", b"<HTML", b"<HEAD", b"<SCRIPT", b"<IFRAME", b"<H1", b"<DIV", b"<FONT", b"<TABLE",
    b"<A", b"<STYLE", b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P",
)  # fmt: skip
_SIGNATURES = (
    (b"%PDF-", "application/pdf"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"\xef\xbb\xbf", "text/plain; charset=utf-8"),
)
_NOT_TEXT = frozenset((*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)))


def media_of(data: bytes) -> str:
    """From the first bytes of a body; of an empty one, too."""
    data = data[:SNIFFED_BYTES]
    begin = data.lstrip(_BLANK)
    if begin[:5] == b"<?xml":
        return "text/xml; charset=utf-8"
    if begin[:4] == b"<!--" or any(_is_tag(begin, tag) for tag in _TAGS):
        return "text/html; charset=utf-8"
    for signature, media in _SIGNATURES:
        if data.startswith(signature):
            return media
    return "application/octet-stream" if _NOT_TEXT.intersection(data) else "text/plain; charset=utf-8"


def _is_tag(data: bytes, tag: bytes) -> bool:
    return data[: len(tag)].upper() == tag and data[len(tag) : len(tag) + 1] in (b" ", b">")
