"""The `continue` token of a chunked list: at which revision to go on, and after which key.

Upstream: `apiserver/pkg/storage/continue.go`; the same JSON in the same base64, so that a token can
be read with the same tools. It holds no secret: who may list may read it.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

import orjson

from services.apiserver.rules import json_text

VERSION = "meta.k8s.io/v1"
INCONSISTENT = -1  # upstream's mark for "go on at the present revision"


class Token(NamedTuple):
    """`start` is relative to the collection's own prefix, and is the first key to be listed."""

    revision: int
    start: str


def encode(token: Token) -> str:
    raw = orjson.dumps({"v": VERSION, "rv": token.revision, "start": token.start})
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> Token:
    """ValueError in upstream's words."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("continue key is not valid: illegal base64 data") from None
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError:
        fault = json_text.syntax_fault(raw.decode("latin-1"))
        raise ValueError(f"continue key is not valid: {fault}") from None
    if not isinstance(given, dict) or given.get("v") != VERSION:
        raise ValueError("continue key is not valid: server does not recognize this encoded version")
    revision, start = given.get("rv", 0), given.get("start", "")
    if (
        not isinstance(revision, int)
        or isinstance(revision, bool)
        or not -1 <= revision < 2**63
        or not revision
    ):
        raise ValueError(
            "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"
        )
    if not isinstance(start, str) or not start:
        raise ValueError("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
    if ".." in start.split("/") or start.startswith("/"):
        raise ValueError(f"continue key is not valid: {start}")
    return Token(revision, start)
