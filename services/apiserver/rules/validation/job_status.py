"""The status of a Job: whoever runs it, its counts and conditions tell one story that only goes forward.

Most rules look only at what changed: a status that was stored before there was a rule stays acceptable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.rules.validation.job_policies import interval, intervals
from services.apiserver.rules.validation.jobs import is_indexed
from services.apiserver.rules.validation.meta import IMMUTABLE, not_negative, object_meta_update
from services.machinery.clock import parse_time
from services.machinery.field_errors import Causes, duplicate, invalid, invalid_as_a_whole, required

Json = dict[str, Any]


def job_status_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _counts(new["status"], out)
    _uncounted(new["status"], out)
    seen = _Seen(new, old)
    for why in _contradictions(seen):
        out.append(invalid_as_a_whole("status.conditions", why))
    _times(seen, out)
    _finished(seen, out)
    _indexes(seen, out)
    _success(seen, out)
    _forward(seen, out)


class _Seen:
    """Both statuses, and what differs between them."""

    def __init__(self, new: Json, old: Json) -> None:
        self.spec, self.status, self.before = new["spec"], new["status"], old["status"]

    def now(self, *kinds: str) -> bool:
        return any(_is_true(self.status, kind) for kind in kinds)

    def then(self, *kinds: str) -> bool:
        return any(_is_true(self.before, kind) for kind in kinds)

    def turned(self, *kinds: str) -> bool:
        """Whether one of these conditions came or went."""
        return any(self.now(kind) != self.then(kind) for kind in kinds)

    def changed(self, *fields: str) -> bool:
        return any(self.status.get(field) != self.before.get(field) for field in fields)

    def ended(self) -> bool:
        """Whether being finished is news."""
        return self.now("Complete", "Failed") != self.then("Complete", "Failed")


def _is_true(status: Json, kind: str) -> bool:
    conditions = status.get("conditions") or ()
    return any(each.get("type") == kind and each.get("status") == "True" for each in conditions)


def _counts(status: Json, out: Causes) -> None:
    for field in ("active", "succeeded", "failed", "ready", "terminating"):
        not_negative(status, field, "status", out)


def _uncounted(status: Json, out: Causes) -> None:
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for index, uid in enumerate((status.get("uncountedTerminatedPods") or {}).get(field) or ()):
            path = f"status.uncountedTerminatedPods.{field}[{index}]"
            if not uid:
                out.append(invalid(path, uid, "must not be empty"))
            elif uid in seen:
                out.append(duplicate(path, uid))
            seen.add(uid)


def _contradictions(seen: _Seen) -> Iterator[str]:
    if seen.turned("Complete", "Failed") and seen.now("Complete") and seen.now("Failed"):
        yield "cannot set Complete=True and Failed=true conditions"
    if seen.turned("Complete", "FailureTarget") and seen.now("Complete") and seen.now("FailureTarget"):
        yield "cannot set Complete=True and FailureTarget=true conditions"


def _times(seen: _Seen, out: Causes) -> None:
    path, ended, started = (
        "status.completionTime",
        *(seen.status.get(field) for field in ("completionTime", "startTime")),
    )
    if seen.turned("Complete") or seen.changed("completionTime"):
        if ended and not seen.now("Complete"):
            why = "cannot set completionTime when there is no Complete=True condition"
            out.append(invalid(path, ended, why))
        if not ended and seen.now("Complete"):
            out.append(required(path, "completionTime is required for Complete jobs"))
    backwards = started and ended and parse_time(ended) < parse_time(started)
    if backwards and seen.changed("startTime", "completionTime"):
        out.append(invalid(path, ended, "must be equal to or after `startTime`"))


def _finished(seen: _Seen, out: Causes) -> None:
    status, is_finished = seen.status, seen.now("Complete", "Failed")
    news = seen.turned("Failed") or seen.changed("failedIndexes")
    if news and seen.now("Failed") and not seen.now("FailureTarget"):
        why = "cannot set Failed=True condition without the FailureTarget=true condition"
        out.append(invalid_as_a_whole("status.conditions", why))
    unmet = seen.now("Complete") and not seen.now("SuccessCriteriaMet")
    if seen.turned("Complete", "SuccessCriteriaMet") and unmet:
        why = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        out.append(invalid_as_a_whole("status.conditions", why))
    if not is_finished:
        return
    active, uncounted = status.get("active") or 0, status.get("uncountedTerminatedPods") or {}
    if active > 0 and (seen.ended() or seen.changed("active")):
        out.append(invalid("status.active", active, "active>0 is invalid for finished job"))
    if not status.get("startTime") and (seen.ended() or seen.changed("startTime")):
        out.append(required("status.startTime", "startTime is required for finished job"))
    news = seen.ended() or seen.changed("uncountedTerminatedPods")
    if news and (uncounted.get("failed") or uncounted.get("succeeded")):
        out.append(invalid("status.uncountedTerminatedPods", uncounted, "must be empty for finished job"))


def _indexes(seen: _Seen, out: Causes) -> None:
    spec, completions = seen.spec, seen.spec.get("completions")
    completed, failed = seen.status.get("completedIndexes", ""), seen.status.get("failedIndexes")
    if seen.changed("completedIndexes") and completions is not None:
        _list_of_indexes("completedIndexes", completed, completions, out)
    by_index = "backoffLimitPerIndex" in spec
    if seen.changed("failedIndexes") and completions is not None and by_index and failed is not None:
        _list_of_indexes("failedIndexes", failed, completions, out)
    if seen.changed("completedIndexes") and completed and not is_indexed(spec):
        why = "cannot set non-empty completedIndexes when non-indexed completion mode"
        out.append(invalid("status.completedIndexes", completed, why))
    if seen.changed("failedIndexes") and failed is not None and not by_index:
        why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        out.append(invalid("status.failedIndexes", failed, why))
    if seen.changed("failedIndexes", "completedIndexes") and completions is not None and failed is not None:
        shared = _shared_index(completed, failed, completions)
        if shared is not None:
            why = f"failedIndexes and completedIndexes overlap at index: {shared}"
            out.append(invalid("status.failedIndexes", failed, why))


def _list_of_indexes(field: str, text: str, completions: int, out: Causes) -> None:
    try:
        intervals(text, completions)
    except ValueError as error:
        out.append(invalid(f"status.{field}", text, f"error parsing {field}: {error}"))


def _shared_index(completed: str, failed: str, completions: int) -> int | None:
    """The first index in both lists; parts that cannot be read are somebody else's to report."""
    ours, theirs = (_readable(text, completions) for text in (completed, failed))
    place = other_place = 0
    while place < len(ours) and other_place < len(theirs):
        (first, last), (other, other_last) = ours[place], theirs[other_place]
        if first <= other_last and other <= last:
            return max(first, other)
        if first <= other:
            place += 1
        else:
            other_place += 1
    return None


def _readable(text: str, completions: int) -> list[tuple[int, int]]:
    found = []
    for part in text.split(","):
        try:
            found.append(interval(part, completions))
        except ValueError:
            continue
    return found


def _success(seen: _Seen, out: Causes) -> None:
    status = seen.status
    terminating, ready, active = (status.get(field) or 0 for field in ("terminating", "ready", "active"))
    is_finished = seen.now("Complete", "Failed")
    if terminating > 0 and is_finished and (seen.ended() or seen.changed("terminating")):
        out.append(invalid("status.terminating", terminating, "terminating>0 is invalid for finished job"))
    if ready > active and seen.changed("ready", "active"):
        out.append(invalid("status.ready", ready, "cannot set more ready pods than active"))
    met = seen.now("SuccessCriteriaMet")
    for kind in ("Failed", "FailureTarget"):
        if met and seen.now(kind):
            why = f"cannot set SuccessCriteriaMet=True and {kind}=true conditions"
            out.append(invalid_as_a_whole("status.conditions", why))
    if seen.spec.get("successPolicy") is not None and not met and seen.now("Complete"):
        why = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        out.append(invalid_as_a_whole("status.conditions", why))


def _forward(seen: _Seen, out: Causes) -> None:
    """What was said once is not taken back."""
    for kind in ("Failed", "Complete", "FailureTarget"):
        if seen.then(kind) and not seen.now(kind):
            why = f"cannot disable the terminal {kind}=True condition"
            out.append(invalid_as_a_whole("status.conditions", why))
    # An indexed Job that grows and shrinks as a whole may lose indexes that had succeeded.
    elastic = is_indexed(seen.spec) and seen.spec.get("completions") == seen.spec.get("parallelism")
    for field in ("failed",) if elastic else ("failed", "succeeded"):
        count = seen.status.get(field) or 0
        if count < (seen.before.get(field) or 0):
            out.append(invalid(f"status.{field}", count, f"cannot decrease the {field} counter"))
    ended, before = seen.status.get("completionTime"), seen.before.get("completionTime")
    if ended and before and ended != before:
        out.append(invalid("status.completionTime", ended, IMMUTABLE))
    if seen.before.get("startTime") and seen.changed("startTime") and not seen.spec.get("suspend"):
        out.append(required("status.startTime", "startTime cannot be removed for unsuspended job"))
    if seen.then("SuccessCriteriaMet") and not seen.now("SuccessCriteriaMet"):
        why = "cannot disable the SuccessCriteriaMet=True condition"
        out.append(invalid_as_a_whole("status.conditions", why))
    late = seen.then("Complete") and not seen.then("SuccessCriteriaMet") and seen.now("SuccessCriteriaMet")
    if late:
        why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        out.append(invalid_as_a_whole("status.conditions", why))
