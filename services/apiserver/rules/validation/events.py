"""Events that come through events.k8s.io/v1: what core/v1 takes for old clients' sake is refused here.

Of the stored shape, and beside what holds for all Events.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import immutable, object_meta, object_meta_update
from services.machinery.field_errors import Causes, invalid, required

Json = dict[str, Any]

_OLD_FIELDS = ("firstTimestamp", "lastTimestamp", "count")
_FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason",
    "type", "eventTime", "action", "related", "reportingComponent", "reportingInstance",
)  # fmt: skip
_EMPTY: Json = {"reason": "", "message": "", "type": "", "action": "", "count": 0, "source": {}}


def new_event(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _series(obj.get("series"), out)
    if obj.get("eventTime") is None:
        out.append(required("eventTime"))
    kind = obj.get("type", "")
    if kind not in ("Normal", "Warning"):
        out.append(invalid("type", "", f"has invalid value: {kind}"))
    for field in _OLD_FIELDS:
        if obj.get(field):
            out.append(invalid(field, "", "needs to be unset"))
    source = obj.get("source") or {}
    if source.get("component") or source.get("host"):
        out.append(invalid("source", "", "needs to be unset"))


def new_event_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    if new.get("series") != old.get("series"):
        _series(new.get("series"), out)
    for field in _FIXED:
        path = "reportingController" if field == "reportingComponent" else field
        empty = _EMPTY.get(field)
        immutable(new.get(field) or empty, old.get(field) or empty, path, out)


def _series(series: Json | None, out: Causes) -> None:
    if series is None:
        return
    if series.get("count", 0) < 2:
        out.append(invalid("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        out.append(required("series.lastObservedTime"))
