"""Kinds without a description of their own: every field in turn, names made readable."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.kubectl.describe import events
from services.kubectl.describe.writer import Writer, head, notes
from services.kubectl.output.custom_columns import go_value

Json = dict[str, Any]

SKIPPED = frozenset(
    f".metadata.{name}" for name in ("managedFields", "name", "namespace", "labels", "annotations")
)
ACRONYMS = frozenset(("API", "URL", "UID", "GUID"))
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|[^A-Za-z]+")


def describe(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    head(writer, obj)
    notes(writer, obj)
    _content(writer, 0, obj, "")
    events.describe(writer, found_events, now)
    return writer.text()


def _content(writer: Writer, level: int, content: Json, path: str) -> None:
    for field in sorted(content):
        value, here = content[field], f"{path}.{field}"
        if here in SKIPPED:
            continue
        if isinstance(value, dict):
            writer.write(level, f"{label(field)}:\n")
            _content(writer, level + 1, value, here)
        elif isinstance(value, list):
            writer.write(level, f"{label(field)}:\n")
            for child in value:
                if isinstance(child, dict):
                    _content(writer, level + 1, child, here)
                else:
                    writer.write(level + 1, f"{go_value(child)}\n")
        else:
            writer.line(level, f"{label(field)}:", go_value(value))


def label(field: str) -> str:
    """`creationTimestamp` → `Creation Timestamp`; names with digits or dots stay as they are."""
    if not all(letter.isalpha() or letter == "-" for letter in field):
        return field
    words = []
    for part in _PARTS.findall(field):
        if part.upper() in ACRONYMS:
            words.append(part.upper())
        elif part.lower() == part:
            words.append(part.capitalize())
        else:
            words.append(part)
    return " ".join(words)
