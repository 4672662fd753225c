"""Regular expressions in expressions: whether one is found, in linear time, and what it finds.

`services.machinery.regexp` answers the first. What is found needs Python's own engine, which tries all
ways: it is asked only where something is found, and not for patterns in which what repeats repeats again.
"""

from __future__ import annotations

import re
from functools import lru_cache

from services.apiserver.cel.faults import EvaluationError
from services.machinery import regexp

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F", "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~",
    "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_REPEATS = re.compile(r"[*+}|]")
REPEATS_MAX = 6  # unbounded ones in a row cost a power of the text's length


def searched(text: str, pattern: str) -> bool:
    """Whether the pattern is found anywhere in the text. EvaluationError where it is no pattern."""
    try:
        return regexp.compiled(pattern).search(text)
    except regexp.RegexpError as error:
        raise EvaluationError(str(error)) from None


@lru_cache(maxsize=256)
def finder(pattern: str) -> re.Pattern[str]:
    """The pattern for Python's engine. EvaluationError where that could take for ever."""
    if is_risky(pattern):
        raise EvaluationError(f"the pattern `{pattern}` is too costly to search with; use matches()")
    translated = re.sub(r"\[:([a-z]+):\]", lambda found: _POSIX.get(found[1], found[0]), pattern)
    translated = re.sub(r"\(\?<(?![=!])", "(?P<", translated.replace(r"\z", r"\Z"))
    if flags := re.match(r"\(\?([ims]+)\)", translated):
        translated = f"(?{flags[1]}:{translated[flags.end() :]})"
    try:
        return re.compile(translated, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise EvaluationError(f"error parsing regexp: {error}") from None


@lru_cache(maxsize=256)
def is_risky(pattern: str) -> bool:
    """Whether a repeated group holds what repeats, or alternatives: where trying all ways explodes."""
    opened: list[int] = []
    at, in_set = 0, False
    while at < len(pattern):
        letter = pattern[at]
        if letter == "\\":
            at += 1
        elif in_set:
            in_set = letter != "]"
        elif letter == "[":
            in_set = True
        elif letter == "(":
            opened.append(at)
        elif letter == ")" and opened:
            inner, rest = pattern[opened.pop() : at], pattern[at + 1 :]
            if (rest[:1] in ("*", "+") or re.match(r"\{\d*,?\d*\}", rest)) and _REPEATS.search(inner):
                return True
        at += 1
    return len(re.findall(r"(?<!\\)[*+]|\{\d*,\}", pattern)) > REPEATS_MAX
