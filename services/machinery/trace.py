"""Cause: which request a piece of work goes back to.

A W3C `traceparent` rides in the context of the running task. The client sends it with every
request, a watch event brings back the one of the write that made it, and a reconcile runs under
the cause of the event that woke it. So one trace id joins `ok create` with the container start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random

_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("traceparent", default="")


def current() -> str:
    """The traceparent of the running task; empty when its work has no cause."""
    return _current.get()


def trace_id(traceparent: str | None = None) -> str:
    """The 32 digits that all spans of one trace share; empty when there is none."""
    match = _FORM.fullmatch(_current.get() if traceparent is None else traceparent)
    return match[1] if match else ""


def start(random: Random) -> str:
    """A new traceparent: the beginning of a story."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-01"


def valid(traceparent: str) -> bool:
    return bool(_FORM.fullmatch(traceparent))


@contextmanager
def scope(traceparent: str) -> Iterator[None]:
    """Runs the body under that cause; an empty one means: caused by nothing that we know."""
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)
