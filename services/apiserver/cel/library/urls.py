"""`url("https://…")`: its parts, as Go's net/url takes them apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.types import Type, opaque
from services.apiserver.cel.values import Opaque

URLS = Library()


@dataclass(frozen=True, slots=True)
class Url(Opaque):
    cel_type: ClassVar[Type] = opaque("kubernetes.URL")
    parts: SplitResult


def _parse(text: str) -> Url | None:
    """An absolute URL, or an absolute path."""
    if any(ord(letter) < 0x20 or letter == "\x7f" for letter in text):
        return None
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  reading it is how a bad one shows
    except ValueError:
        return None
    absolute = bool(parts.scheme) or text.startswith("/")
    return Url(parts) if absolute and " " not in parts.netloc else None


@URLS.function("isURL", "string -> bool")
def _is_url(text: str) -> bool:
    return _parse(text) is not None


@URLS.function("url", "string -> kubernetes.URL")
def _url(text: str) -> Url:
    found = _parse(text)
    if found is None:
        raise EvaluationError(
            f'URL parse error during conversion from string: parse "{text}": invalid URI for request'
        )
    return found


URLS.costs |= {name: lambda args, result: max(1, math.ceil(len(args[0]) * 0.1)) for name in ("url", "isURL")}


def _host(url: Url) -> str:
    return url.parts.netloc.rpartition("@")[2]


@URLS.member("getHostname", "kubernetes.URL -> string")
def _hostname(url: Url) -> str:
    host = _host(url)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


@URLS.member("getPort", "kubernetes.URL -> string")
def _port(url: Url) -> str:
    return str(url.parts.port) if url.parts.port is not None else ""


@URLS.member("getQuery", "kubernetes.URL -> map<string, list<string>>")
def _query(url: Url) -> dict[str, Any]:
    return dict(parse_qs(url.parts.query, keep_blank_values=True))


URLS.member("getScheme", "kubernetes.URL -> string")(lambda url: url.parts.scheme)
URLS.member("getHost", "kubernetes.URL -> string")(_host)
URLS.member("getEscapedPath", "kubernetes.URL -> string")(
    lambda url: quote(url.parts.path, safe="/%:@!$&'()*+,;=~")
)
