"""What may go wrong with an expression: at compilation, at evaluation, or by costing too much.

Compilation reports every fault that it finds, each with the line it stands in and a caret below the place,
ordered by place, as upstream shows them.
"""

from __future__ import annotations

FAULTS_MAX = 100


class CompileError(Exception):
    """Upstream's text, the carets included."""


class EvaluationError(Exception):
    """What became of an expression that has no value for what it was given. `&&` and `||` may absorb it."""


class CostExceeded(Exception):
    """Nothing absorbs it: the expression is cancelled."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


class Faults:
    """What compilation found so far, by place in the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, offset: int, message: str) -> None:
        if len(self._found) < FAULTS_MAX:
            self._found.append((offset, message))

    def has(self, message: str) -> bool:
        return any(each[1] == message for each in self._found)

    def error(self) -> CompileError:
        ordered = sorted(self._found, key=lambda each: each[0])
        return CompileError("\n".join(shown(self._text, offset, message) for offset, message in ordered))


def shown(text: str, offset: int, message: str) -> str:
    """One fault, the line it is in, and where."""
    before = text[:offset]
    line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1)
    return shown_at(text, line, column, message)


def shown_at(text: str, line: int, column: int, message: str) -> str:
    """`line` counts from 1, `column` from 0."""
    lines = text.split("\n")
    found = f"ERROR: <input>:{line}:{column + 1}: {message}"
    if not 0 < line <= len(lines):
        return found
    source = lines[line - 1].replace("\t", " ")
    return f"{found}\n | {source}\n | {'.' * column}^"
