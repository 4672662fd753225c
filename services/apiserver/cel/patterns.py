"""Regular expressions in expressions: whether one is found, and what it finds, in linear time."""

from __future__ import annotations

from services.apiserver.cel.faults import EvaluationError
from services.machinery import regexp


def searched(text: str, pattern: str) -> bool:
    """Whether the pattern is found anywhere in the text. EvaluationError where it is no pattern."""
    return _compiled(pattern).search(text)


def found(text: str, pattern: str, most: int = -1) -> list[str]:
    """All that it finds, or the first ones. EvaluationError where it is no pattern."""
    return _compiled(pattern).found(text, most)


def is_pattern(text: str) -> bool:
    try:
        regexp.compiled(text)
    except regexp.RegexpError:
        return False
    return True


def _compiled(pattern: str) -> regexp.Regexp:
    try:
        return regexp.compiled(pattern)
    except regexp.RegexpError as error:
        raise EvaluationError(str(error)) from None
