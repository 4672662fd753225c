"""Go's regular expressions (RE2), matched in time linear in the text whatever the pattern is.

Python's `re` backtracks: a pattern that comes with somebody's schema could stop the process for hours.
RE2 is the engine that Go's `regexp` is modelled on, with the same syntax; `RegexpError` says what is wrong
with a pattern in Go's words. Loaded with the first pattern. Upstream: Go's `regexp`.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from services.machinery import turns

MATCH = 2  # units of work
MEMORY_MAX = 8 * 1024 * 1024  # of one pattern's program; what needs more is refused as too large
# RE2's words for what is wrong, and Go's.
_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}
_TOO_LARGE = "pattern too large"


class RegexpError(ValueError):
    """A pattern is none; the text is Go's."""


class Regexp:
    """A compiled pattern."""

    def __init__(self, pattern: str) -> None:
        """RegexpError."""
        self.pattern = pattern
        try:
            engine, options = _engine()
            self._compiled = engine.compile(pattern, options=options)
        except engine.error as error:
            raise RegexpError(f"error parsing regexp: {_in_gos_words(error, pattern)}") from None
        except UnicodeEncodeError:  # half of a surrogate pair
            raise RegexpError("error parsing regexp: invalid UTF-8") from None

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text."""
        # Bytes: where in the text it matches need not be counted in letters.
        return self._compiled.search(text.encode("utf-8", "replace")) is not None

    def found(self, text: str, most: int = -1) -> list[str]:
        """What matches, from left to right, none overlapping another: all of it, or the first `most`."""
        out: list[str] = []
        if most == 0:
            return out
        for match in self._compiled.finditer(_whole(text)):
            out.append(match[0])
            turns.done(MATCH)
            if len(out) == most:
                break
        return out


def _whole(text: str) -> str:
    """Without halves of surrogate pairs, which JSON can bring and UTF-8 cannot say."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@cache
def _engine() -> tuple[Any, Any]:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY_MAX
    return re2, options


def _in_gos_words(error: Exception, pattern: str) -> str:
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if text.startswith(_TOO_LARGE):
        return f"expression too large: `{pattern}`"
    words, colon, what = text.partition(": ")
    # Go shows the whole rest where something was never closed; RE2 shows all of the pattern.
    return f"{_WORDS.get(words, words)}: `{what if colon else ''}`"


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Regexp:
    """The pattern, ready to match; RegexpError in Go's words."""
    return Regexp(pattern)


def compile_or_none(pattern: str) -> Regexp | None:
    try:
        return compiled(pattern)
    except RegexpError:
        return None


def fault(pattern: str) -> str:
    """What is wrong with a pattern, as Go says it; empty when nothing is."""
    try:
        compiled(pattern)
    except RegexpError as error:
        return str(error)
    return ""
