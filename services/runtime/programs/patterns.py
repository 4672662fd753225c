"""POSIX' regular expressions, basic and extended, as Python's."""

from __future__ import annotations

import re
from functools import lru_cache

_CLASSES = {
    "digit": "0-9", "alpha": "a-zA-Z", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_BRACKET = re.compile(r"\[\^?\]?(?:\[:\w+:\]|[^\]])*\]")


REPEATS_MAX = 12
_STEP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?:|[()]|[*+]|\{\d*,?\d*\}|.", re.DOTALL)


def explosive(regex: str) -> bool:
    """Whether matching could take exponential time: a repeat without end inside another, or too many."""
    repeats, inside = 0, [False]
    closed = False  # whether the last piece is a group that repeats something without end
    for match in _STEP.finditer(regex):
        piece = match[0]
        endless = piece in ("*", "+") or (piece[0] == "{" and piece.endswith(",}"))
        if endless:
            repeats += 1
            if closed or repeats > REPEATS_MAX:
                return True
            inside[-1] = True
        elif piece in ("(", "(?:"):
            inside.append(False)
        elif piece == ")" and len(inside) > 1:
            closed = inside.pop()
            inside[-1] = inside[-1] or closed
            continue
        closed = False
    return False


class BadPattern(ValueError):
    pass


@lru_cache(maxsize=256)
def basic(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """In a basic expression `\\(` groups and `(` is itself."""
    out, at = [], 0
    while at < len(pattern):
        sign = pattern[at]
        bracket = _BRACKET.match(pattern, at) if sign == "[" else None
        if bracket:
            out.append(_bracket(bracket[0]))
            at = bracket.end()
            continue
        if sign == "\\" and at + 1 < len(pattern):
            following = pattern[at + 1]
            out.append(following if following in "(){}|+?" else "\\" + following)
            at += 2
            continue
        literal = sign in "(){}|+?" or (sign == "*" and (not out or out[-1] in ("(", "^")))
        out.append("\\" + sign if literal else sign)
        at += 1
    return _compile("".join(out), ignore_case)


@lru_cache(maxsize=256)
def extended(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    return _compile(_BRACKET.sub(lambda match: _bracket(match[0]), pattern), ignore_case)


def _bracket(text: str) -> str:
    inner = re.sub(r"\[:(\w+):\]", lambda match: _CLASSES.get(match[1], ""), text[1:-1])
    head = "^" if inner.startswith("^") else ""
    body = inner[len(head) :].replace("[", r"\[")
    body = r"\]" + body[1:] if body.startswith("]") else body
    return f"[{head}{body}]"


def _compile(regex: str, ignore_case: bool) -> re.Pattern[str]:
    if explosive(regex):
        raise BadPattern("too complex")
    try:
        return re.compile(regex, re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadPattern(str(error)) from error
