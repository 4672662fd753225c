"""ResourceQuotas and LimitRanges described, on their own and as parts of a Namespace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.kubectl.describe.writer import Writer

Json = dict[str, Any]

_SCOPES = {
    "Terminating": (
        "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before"
        " being actively terminated by the system."
    ),
    "NotTerminating": (
        "Matches all pods that do not have an active deadline. These pods usually include long running pods"
        " whose container command is not expected to terminate."
    ),
    "BestEffort": (
        "Matches all pods that do not have resource requirements set. These pods have a best effort quality"
        " of service."
    ),
    "NotBestEffort": (
        "Matches all pods that have at least one resource requirement set. These pods have a burstable or"
        " guaranteed quality of service."
    ),
}
_TITLES = ("Type", "Resource", "Min", "Max", "Default Request", "Default Limit", "Max Limit/Request Ratio")
_BOUNDS = ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio")


def quota(obj: Json) -> str:
    writer = Writer()
    writer.line(0, "Name:", obj["metadata"]["name"])
    writer.line(0, "Namespace:", obj["metadata"].get("namespace", ""))
    _scopes(writer, 0, obj)
    writer.line(0, "Resource", "Used", "Hard")
    writer.line(0, "--------", "----", "----")
    _amounts(writer, 0, obj)
    return writer.text()


def of_namespace(writer: Writer, quotas: Sequence[Json], limit_ranges: Sequence[Json]) -> None:
    if quotas:
        writer.write(0, "\nResource Quotas\n")
    else:
        writer.write(0, "\nNo resource quota.\n")
    for index, each in enumerate(sorted(quotas, key=lambda obj: str(obj["metadata"]["name"]))):
        if index:
            writer.write(0, "\n")
        writer.line(1, "Name:", each["metadata"]["name"])
        _scopes(writer, 1, each)
        writer.line(1, "Resource", "Used", "Hard")
        writer.line(1, "--------", "---", "---")
        _amounts(writer, 1, each)
    if not limit_ranges:
        writer.write(0, "\nNo LimitRange resource.\n")
        return
    writer.write(0, "\nResource Limits\n")
    _titles(writer, " ")
    for each in limit_ranges:
        _limits(writer, each, " ")


def limit_range(obj: Json) -> str:
    writer = Writer()
    writer.line(0, "Name:", obj["metadata"]["name"])
    writer.line(0, "Namespace:", obj["metadata"].get("namespace", ""))
    _titles(writer, "")
    _limits(writer, obj, "")
    return writer.text()


def _scopes(writer: Writer, level: int, obj: Json) -> None:
    scopes = sorted(obj["spec"].get("scopes") or ())
    if scopes:
        writer.line(level, "Scopes:", ", ".join(scopes))
        for scope in scopes:
            if scope in _SCOPES:
                writer.write(level, f" * {_SCOPES[scope]}\n")


def _amounts(writer: Writer, level: int, obj: Json) -> None:
    status = obj.get("status") or {}
    used = status.get("used") or {}
    for name, hard in sorted((status.get("hard") or {}).items()):
        writer.line(level, name, used.get(name, "0"), hard)


def _titles(writer: Writer, prefix: str) -> None:
    writer.line(0, prefix + _TITLES[0], *_TITLES[1:])
    writer.line(0, prefix + "-" * len(_TITLES[0]), *("-" * len(title) for title in _TITLES[1:]))


def _limits(writer: Writer, obj: Json, prefix: str) -> None:
    for limit in obj["spec"].get("limits") or ():
        named = {name for field in _BOUNDS for name in limit.get(field) or ()}
        for name in sorted(named):
            cells = ((limit.get(field) or {}).get(name, "-") for field in _BOUNDS)
            writer.line(0, f"{prefix}{limit.get('type', '')}", name, *cells)
