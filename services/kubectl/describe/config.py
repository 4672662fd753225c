"""ConfigMaps, Secrets, ServiceAccounts and Namespaces described."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.kubectl.describe import events, quotas
from services.kubectl.describe.writer import Writer, head, lines_below, notes, rfc1123

Json = dict[str, Any]


def config_map(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    head(writer, obj)
    notes(writer, obj)
    writer.write(0, "\nData\n====\n")
    for key, value in sorted((obj.get("data") or {}).items()):
        writer.write(0, f"{key}:\n----\n{value}\n\n")
    writer.write(0, "\nBinaryData\n====\n")
    for key, value in sorted((obj.get("binaryData") or {}).items()):
        writer.write(0, f"{key}: {len(base64.b64decode(value))} bytes\n")
    writer.write(0, "\n")
    events.describe(writer, found_events, now)
    return writer.text()


def secret(obj: Json) -> str:
    writer = Writer()
    head(writer, obj)
    notes(writer, obj)
    writer.write(0, f"\nType:\t{obj.get('type', '')}\n")
    writer.write(0, "\nData\n====\n")
    for key, value in sorted((obj.get("data") or {}).items()):
        content = base64.b64decode(value)
        if key == "token" and obj.get("type") == "kubernetes.io/service-account-token":
            writer.line(0, f"{key}:", content.decode(errors="replace"))
        else:
            writer.line(0, f"{key}:", f"{len(content)} bytes")
    return writer.text()


def service_account(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    head(writer, obj)
    notes(writer, obj)
    title = "Image pull secrets"
    names = [reference["name"] for reference in obj.get("imagePullSecrets") or ()]
    lines_below(writer, title, names[:1])
    for name in names[1:]:
        writer.line(0, " " * (len(title) + 1), name)
    events.describe(writer, found_events, now)
    return writer.text()


def namespace(obj: Json, resource_quotas: Sequence[Json], limit_ranges: Sequence[Json]) -> str:
    writer = Writer()
    status = obj.get("status") or {}
    writer.line(0, "Name:", obj["metadata"]["name"])
    notes(writer, obj)
    writer.line(0, "Status:", status.get("phase", ""))
    conditions = status.get("conditions") or ()
    if conditions:
        writer.write(0, "Conditions:\n")
        writer.line(1, "Type", "Status", "LastTransitionTime", "Reason", "Message")
        writer.line(1, "----", "------", "------------------", "------", "-------")
    for condition in conditions:
        writer.line(
            1,
            condition["type"],
            condition["status"],
            rfc1123(condition.get("lastTransitionTime")),
            condition.get("reason", ""),
            condition.get("message", ""),
        )
    quotas.of_namespace(writer, resource_quotas, limit_ranges)
    return writer.text()
