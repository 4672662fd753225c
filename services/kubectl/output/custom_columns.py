"""`-o custom-columns=NAME:.metadata.name,…`: a table whose columns are JSONPaths.

Upstream: kubectl's get/customcolumn.go, Go's way of printing maps and slices included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.kubectl.errors import Fail
from services.kubectl.output.columns import align
from services.kubectl.output.printers import parse_jsonpath
from services.machinery import jsonpath

NONE = "<none>"


@dataclass(frozen=True)
class Column:
    header: str
    path: list[jsonpath.Node]


def parse(spec: str) -> list[Column]:
    if not spec:
        raise Fail("custom-columns format specified but no custom columns given")
    columns = []
    for part in spec.split(","):
        header, colon, expression = part.partition(":")
        if not colon:
            raise Fail(f"unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>")
        columns.append(_column(header, expression))
    return columns


def parse_file(text: str) -> list[Column]:
    """Two lines: headers, and the paths below them."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or len(lines[0]) != len(lines[1]):
        raise Fail("invalid custom columns file, expected a line of headers and a line of paths")
    return [_column(header, path) for header, path in zip(lines[0], lines[1])]


def _column(header: str, expression: str) -> Column:
    try:
        return Column(header, parse_jsonpath(jsonpath.relaxed(expression)))
    except jsonpath.JsonPathError as error:
        raise Fail(str(error)) from error


def render(columns: list[Column], objects: list[Any], *, headers: bool) -> str:
    rows = [[_cell(column, obj) for column in columns] for obj in objects]
    if headers:
        rows.insert(0, [column.header for column in columns])
    return "".join(f"{line}\n" for line in align(rows))


def _cell(column: Column, obj: Any) -> str:
    try:
        found = jsonpath.find(column.path, obj)
    except jsonpath.JsonPathError:
        found = []
    return ",".join(go_value(value) for value in found) or NONE


def go_value(value: Any) -> str:
    """`fmt.Sprint` of decoded JSON: `map[a:b]`, `[1 2]`."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_value(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(go_value(item) for item in value)}]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
