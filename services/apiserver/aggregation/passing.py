"""What of a request goes on to another API server, and what of its answer comes back. Pure.

Who asks is said as a front proxy says it: in headers, which nobody else may bring along. A redirect does not
come back: it would lead a client, or this server, to wherever that server likes.
Upstream: `client-go/transport`, `apimachinery/pkg/util/proxy`.
"""

from __future__ import annotations

import string
from collections.abc import Iterable

from services.apiserver.authentication.users import User
from services.apiserver.fronts.rest.streams.proxy_targets import headers_to_pass

REMOTE = "x-remote-"
REDIRECTED = "the backend attempted to redirect this request, which is not permitted"
_TOKEN = frozenset(f"!#$&'*+-.^_`|~{string.ascii_letters}{string.digits}")
Headers = list[tuple[str, str]]


def identity(user: User) -> Headers:
    """`X-Remote-User` and the like."""
    found = [("X-Remote-User", user.name)]
    if user.uid:
        found.append(("X-Remote-Uid", user.uid))
    found += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        found += [(f"X-Remote-Extra-{_escaped(key)}", value) for value in values]
    return found


def _escaped(key: str) -> str:
    """What is not allowed in the name of a header, by its code."""
    return "".join(chr(each) if chr(each) in _TOKEN else f"%{each:02X}" for each in key.encode())


def headers_for(given: Iterable[tuple[str, str]], user: User) -> Headers:
    """Those of a request to the other server."""
    kept = [(name, value) for name, value in headers_to_pass(given) if not name.lower().startswith(REMOTE)]
    return kept + identity(user)


def headers_of(given: Iterable[tuple[str, str]]) -> Headers:
    """Those of its answer."""
    return headers_to_pass(given, frozenset())


def redirects(status: int, location: str) -> bool:
    return 300 <= status < 400 and location != ""


def head(method: str, path: str, headers: Headers) -> bytes:
    """The first lines of a request that asks to go on in another protocol."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape")


def status_of(answer: bytes) -> int:
    """0 where the first line is none of HTTP."""
    words = answer.split(b"\r\n", 1)[0].split(b" ")
    is_one = len(words) > 1 and words[0].startswith(b"HTTP/1.") and len(words[1]) == 3 and words[1].isdigit()
    return int(words[1]) if is_one else 0


def length_of(answer: bytes) -> int | None:
    """How much follows an answer's head; None where that is told by the end alone."""
    for line in answer.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None
