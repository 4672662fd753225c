"""events.k8s.io/v1 Events as core/v1 stores them, and back: the same fields, most of them renamed.

What is new through events.k8s.io is looked at more strictly: see `validation/events.py`.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_STORED_NAMES = {stored: name for name, stored in _NAMES.items()}
_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
FIELDS = {
    **{f"regarding.{name}": f"involvedObject.{name}" for name in _REFERENCE},
    "reason": "reason",
    "reportingController": "reportingComponent",
    "type": "type",
}
# Written even when empty, in the stored version and in neither of the new one's.
_ALWAYS = ("reportingComponent", "reportingInstance")


def to_stored(obj: Json) -> Json:
    made = {_NAMES.get(name, name): value for name, value in obj.items()}
    for name in _ALWAYS:
        made.setdefault(name, "")
    made.setdefault("involvedObject", {})
    return made


def from_stored(obj: Json) -> Json:
    return {
        _STORED_NAMES.get(name, name): value for name, value in obj.items() if name not in _ALWAYS or value
    }
