"""The events at the end of a description."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.kubectl.describe.writer import Writer
from services.machinery.duration import since

Json = dict[str, Any]


def describe(writer: Writer, events: Iterable[Json] | None, now: datetime) -> None:
    """`None` means: do not mention events at all."""
    if events is None:
        return
    ordered = sorted(events, key=lambda event: event.get("lastTimestamp") or "")
    if not ordered:
        writer.line(0, "Events:", "<none>")
        return
    writer.flush()
    writer.write(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage\n")
    writer.line(1, "----", "------", "----", "----", "-------")
    for event in ordered:
        message = event.get("message", "").strip()
        path = (event.get("involvedObject") or {}).get("fieldPath")
        writer.line(
            1,
            event.get("type", ""),
            event.get("reason", ""),
            interval(event, now),
            (event.get("source") or {}).get("component") or event.get("reportingComponent", ""),
            f"{path}: {message}" if path else message,
        )


def interval(event: Json, now: datetime) -> str:
    """`5m`, or `10s (x4 over 2m)` for what happened again and again."""
    first = since(event.get("eventTime") or event.get("firstTimestamp"), now)
    series = event.get("series")
    if series:
        return f"{since(series.get('lastObservedTime'), now)} (x{series.get('count', 0)} over {first})"
    if event.get("count", 0) > 1:
        return f"{since(event.get('lastTimestamp'), now)} (x{event['count']} over {first})"
    return first
