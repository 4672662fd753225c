"""Text in aligned columns, as `describe` writes it: tabs part cells, two spaces part columns.

`tabulate` is Go's text/tabwriter: a column is a run of consecutive lines that have that cell, so one
table does not widen the next. `Writer` collects lines by level of indentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from services.machinery.clock import parse_time

Json = dict[str, Any]

ANNOTATION_LENGTH_MAX = 140
HIDDEN_ANNOTATIONS = frozenset(("kubectl.kubernetes.io/last-applied-configuration",))


def tabulate(text: str, min_width: int = 0, padding: int = 2) -> str:
    """Replaces tabs by spaces so that cells stand below each other. The last cell is never padded."""
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[] for _ in lines]
    _columns(lines, widths, 0, len(lines), 0, min_width, padding)
    return "\n".join(_line(cells, width) for cells, width in zip(lines, widths))


def _columns(
    lines: list[list[str]],
    widths: list[list[int]],
    start: int,
    end: int,
    column: int,
    least: int,
    padding: int,
) -> None:
    index = start
    while index < end:
        if column >= len(lines[index]) - 1:
            index += 1
            continue
        block = index
        while index < end and column < len(lines[index]) - 1:
            index += 1
        width = max(least, *(len(lines[row][column]) + padding for row in range(block, index)))
        for row in range(block, index):
            widths[row].append(width)
        _columns(lines, widths, block, index, column + 1, least, padding)


def _line(cells: list[str], widths: list[int]) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, widths)) + cells[-1]


class Writer:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._done: list[str] = []

    def write(self, level: int, text: str) -> None:
        """Text at a level of indentation; a newline only where it says so."""
        self._parts.append("  " * level + text)

    def line(self, level: int, *cells: object) -> None:
        """One line of cells."""
        self.write(level, "\t".join(str(cell) for cell in cells) + "\n")

    def flush(self) -> None:
        """What follows aligns on its own."""
        self._done.append(tabulate("".join(self._parts)))
        self._parts.clear()

    def text(self, *, aligned: bool = True) -> str:
        if not aligned:
            return "".join(self._parts)
        self.flush()
        return "".join(self._done)


def rfc1123(timestamp: str | None) -> str:
    """`Sat, 21 Nov 2026 11:55:17 +0000`; Go's zero time where there is none."""
    if not timestamp:
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    return parse_time(timestamp).astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")


def lines_below(writer: Writer, title: str, entries: Iterable[str]) -> None:
    """`Title:` and entries below each other; `<none>` for none."""
    prefix = f"{title}:\t"
    empty = True
    for entry in entries:
        writer.write(0, f"{prefix}{entry}\n")
        prefix, empty = "\t", False
    if empty:
        writer.write(0, f"{prefix}<none>\n")


def labels(writer: Writer, title: str, values: Mapping[str, str] | None) -> None:
    lines_below(writer, title, (f"{key}={value}" for key, value in sorted((values or {}).items())))


def annotation_lines(writer: Writer, title: str, values: Mapping[str, str] | None) -> None:
    shown = {key: value for key, value in (values or {}).items() if key not in HIDDEN_ANNOTATIONS}
    entries = []
    for key, value in sorted(shown.items()):
        value = value.removesuffix("\n")
        if len(value) + len(key) + 2 > ANNOTATION_LENGTH_MAX or "\n" in value:
            rows = (_shorten(row, ANNOTATION_LENGTH_MAX - 2) for row in value.split("\n"))
            entries.append(f"{key}:\n" + "\n".join(f"\t  {row}" for row in rows))
        else:
            entries.append(f"{key}: {value}")
    lines_below(writer, title, entries)


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "..."


def taints(writer: Writer, values: Iterable[Json]) -> None:
    ordered = sorted(values, key=lambda taint: f"{taint.get('effect', '')},{taint['key']}")
    lines_below(writer, "Taints", (taint_text(taint) for taint in ordered))


def taint_text(taint: Json) -> str:
    value, effect = taint.get("value", ""), taint.get("effect", "")
    if not effect:
        return f"{taint['key']}={value}:" if value else str(taint["key"])
    return f"{taint['key']}={value}:{effect}" if value else f"{taint['key']}:{effect}"


def tolerations(writer: Writer, title: str, values: Iterable[Json]) -> None:
    ordered = sorted(values, key=lambda toleration: toleration.get("key", ""))
    lines_below(writer, title, (_toleration(toleration) for toleration in ordered))


def _toleration(toleration: Json) -> str:
    text = str(toleration.get("key", ""))
    if toleration.get("value"):
        text += f"={toleration['value']}"
    if toleration.get("effect"):
        text += f":{toleration['effect']}"
    if toleration.get("operator") == "Exists" and not toleration.get("value"):
        text += " op=Exists" if text else "op=Exists"
    if toleration.get("tolerationSeconds") is not None:
        text += f" for {toleration['tolerationSeconds']}s"
    return text


def head(writer: Writer, obj: Json) -> None:
    """The first lines of every namespaced object."""
    metadata = obj["metadata"]
    writer.line(0, "Name:", metadata["name"])
    writer.line(0, "Namespace:", metadata.get("namespace", ""))


def notes(writer: Writer, obj: Json) -> None:
    labels(writer, "Labels", obj["metadata"].get("labels"))
    annotation_lines(writer, "Annotations", obj["metadata"].get("annotations"))


def boolean(value: object) -> str:
    return "true" if value else "false"


def controller_of(obj: Json) -> str:
    """`ReplicaSet/web-1`; empty for an object that nothing controls."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return f"{owner['kind']}/{owner['name']}"
    return ""
