"""Roles, bindings, PriorityClasses and disruption budgets described: who may, who goes first, how many go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.kubectl.describe import events
from services.kubectl.describe.writer import Writer, boolean, head, notes
from services.kubectl.output.labels import format_selector
from services.machinery.policy_rules import broken_down, combined, compacted

Json = dict[str, Any]


def role(obj: Json) -> str:
    """The rules one resource a line, as kubectl puts them together."""
    writer = Writer()
    writer.line(0, "Name:", obj["metadata"]["name"])
    notes(writer, obj)
    writer.write(0, "PolicyRule:\n")
    writer.line(1, "Resources", "Non-Resource URLs", "Resource Names", "Verbs")
    writer.line(1, "---------", "-----------------", "--------------", "-----")
    parts = (part for rule in obj.get("rules") or () for part in broken_down(rule))
    for rule in compacted(parts):
        lists = (_list(rule.get(field)) for field in ("nonResourceURLs", "resourceNames", "verbs"))
        writer.line(1, combined(rule), *lists)
    return writer.text()


def _list(values: Iterable[str] | None) -> str:
    return f"[{' '.join(values or ())}]"


def binding(obj: Json) -> str:
    writer = Writer()
    writer.line(0, "Name:", obj["metadata"]["name"])
    notes(writer, obj)
    reference = obj.get("roleRef") or {}
    writer.write(0, "Role:\n")
    writer.line(1, "Kind:", reference.get("kind", ""))
    writer.line(1, "Name:", reference.get("name", ""))
    writer.write(0, "Subjects:\n")
    writer.line(1, "Kind", "Name", "Namespace")
    writer.line(1, "----", "----", "---------")
    for subject in obj.get("subjects") or ():
        writer.line(1, *(subject.get(field, "") for field in ("kind", "name", "namespace")))
    return writer.text()


def priority_class(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    annotations = sorted((obj["metadata"].get("annotations") or {}).items())
    writer.line(0, "Name:", obj["metadata"]["name"])
    writer.line(0, "Value:", obj.get("value", 0))
    writer.line(0, "GlobalDefault:", boolean(obj.get("globalDefault")))
    writer.line(0, "PreemptionPolicy:", obj.get("preemptionPolicy", ""))
    writer.line(0, "Description:", obj.get("description", ""))
    shown = ",".join(f"{key}={value}" for key, value in annotations) or "<none>"
    writer.line(0, "Annotations:", shown)
    events.describe(writer, found_events, now)
    return writer.text()


def budget(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    spec, status = obj["spec"], obj.get("status") or {}
    head(writer, obj)
    if "minAvailable" in spec:
        writer.line(0, "Min available:", spec["minAvailable"])
    elif "maxUnavailable" in spec:
        writer.line(0, "Max unavailable:", spec["maxUnavailable"])
    selector = spec.get("selector")
    writer.line(0, "Selector:", format_selector(selector) if selector is not None else "<unset>")
    writer.write(0, "Status:\n")
    shown = (
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    )
    for title, field in shown:
        writer.line(2, f"{title}:", status.get(field, 0))
    events.describe(writer, found_events, now)
    return writer.text()
