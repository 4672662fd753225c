"""Rows as aligned columns: Go's tabwriter with kubectl's settings, and server-made Tables on top.

A cell is padded by three spaces, no column is narrower than six, the last cell is never padded.
While watching, widths only grow, so that later lines stand under the first ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from services.kubectl.output.labels import format_labels

MIN_WIDTH = 6
PADDING = 3

Table = dict[str, Any]


def align(rows: Iterable[Sequence[str]], widths: list[int] | None = None) -> list[str]:
    """The lines of rows of equal length. `widths`, where given, is kept and grown for the next call."""
    rows = list(rows)
    remembered = [] if widths is None else widths
    for row in rows:
        remembered.extend([MIN_WIDTH] * (len(row) - 1 - len(remembered)))
        for index, cell in enumerate(row[:-1]):
            remembered[index] = max(remembered[index], len(cell) + PADDING)
    return [
        "".join(cell.ljust(width) for cell, width in zip(row[:-1], remembered)) + row[-1]
        for row in rows
        if row
    ]


def cell_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    for position, letter in enumerate(text):
        if letter in "\f\n\r":
            return text[:position] + "..."
    return text


@dataclass
class TablePrinter:
    """Prints Tables of one kind, headers once. Upstream: printers.TablePrinter."""

    out: TextIO
    wide: bool = False
    headers: bool = True
    kind_prefix: str = ""  # `deployment.apps`, where several kinds are printed
    with_namespace: bool = False
    show_labels: bool = False
    label_columns: tuple[str, ...] = ()
    columns: list[Table] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)

    def print(self, table: Table, event: str | None = None) -> bool:
        """Writes the rows; True when there were any."""
        self.columns = table.get("columnDefinitions") or self.columns
        lines = [self._row(row, event) for row in table.get("rows") or ()]
        if not lines:
            return False
        if self.headers:
            self.headers = False
            lines.insert(0, self._header(event))
        for line in align(lines, self.widths):
            self.out.write(line + "\n")
        return True

    def _shown(self) -> list[int]:
        return [index for index, column in enumerate(self.columns) if self.wide or not column.get("priority")]

    def _header(self, event: str | None) -> list[str]:
        names = ["EVENT"] if event is not None else []
        if self.with_namespace:
            names.append("NAMESPACE")
        names += [self.columns[index]["name"].upper() for index in self._shown()]
        names += [label.rpartition("/")[2].upper() for label in self.label_columns]
        return [*names, "LABELS"] if self.show_labels else names

    def _row(self, row: Table, event: str | None) -> list[str]:
        metadata = (row.get("object") or {}).get("metadata") or {}
        cells = [event] if event is not None else []
        if self.with_namespace:
            cells.append(metadata.get("namespace", ""))
        for index in self._shown():
            text = cell_text(row["cells"][index]) if index < len(row["cells"]) else ""
            if self.kind_prefix and self.columns[index].get("format") == "name":
                text = f"{self.kind_prefix}/{text}"
            cells.append(text)
        labels = metadata.get("labels") or {}
        cells += [labels.get(name, "") for name in self.label_columns]
        return [*cells, format_labels(labels)] if self.show_labels else cells
