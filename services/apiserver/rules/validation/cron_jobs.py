"""CronJobs: when, in which time zone, what of several at once, and the Job to make."""

from __future__ import annotations

import re
import zoneinfo
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.jobs import job_spec
from services.apiserver.rules.validation.meta import (
    not_negative,
    object_meta,
    object_meta_update,
    shown_selector,
)
from services.machinery import cron
from services.machinery.field_errors import Causes, invalid, not_supported, required

Json = dict[str, Any]

_NAME_CHARACTERS_MAX = 52  # The name of each Job adds eleven.
_POLICIES = ("Allow", "Forbid", "Replace")
_ZONE_PART = re.compile(r"[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}", re.A)


def cron_job(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _spec(obj["spec"], None, out)
    name = obj["metadata"].get("name", "")
    if len(name) > _NAME_CHARACTERS_MAX:
        out.append(invalid("metadata.name", name, f"must be no more than {_NAME_CHARACTERS_MAX} characters"))


def cron_job_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _spec(new["spec"], old["spec"], out)


def _spec(spec: Json, before: Json | None, out: Causes) -> None:
    schedule = spec.get("schedule", "")
    if not schedule:
        out.append(required("spec.schedule"))
    else:
        _schedule(schedule, spec.get("timeZone"), before, out)
    not_negative(spec, "startingDeadlineSeconds", "spec", out)
    if before is None or spec.get("timeZone") != before.get("timeZone"):
        _time_zone(spec.get("timeZone"), "spec.timeZone", out)
    policy = spec.get("concurrencyPolicy", "")
    if not policy:
        out.append(required("spec.concurrencyPolicy"))
    elif policy not in _POLICIES:
        out.append(not_supported("spec.concurrencyPolicy", policy, _POLICIES))
    _job_template(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", out)
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        not_negative(spec, field, "spec", out)


def _schedule(schedule: str, zone: str | None, before: Json | None, out: Causes) -> None:
    path = "spec.schedule"
    try:
        cron.parse(schedule)
    except cron.CronError as error:
        out.append(invalid(path, schedule, str(error)))
    if "TZ" not in schedule:
        return
    if before is None or "TZ" not in before.get("schedule", ""):
        why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        out.append(invalid(path, schedule, why))
    elif zone is not None:
        why = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        out.append(invalid(path, schedule, why))


def _time_zone(zone: str | None, path: str, out: Causes) -> None:
    if zone is None:
        return
    if not zone:
        out.append(invalid(path, zone, "timeZone must be nil or non-empty string"))
        return
    unknown = f"unknown time zone {zone}"
    for part in zone.split("/"):
        if part in (".", "..") or not _ZONE_PART.fullmatch(part):
            out.append(invalid(path, zone, unknown))
            return
    if zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        out.append(invalid(path, zone, why))
    if zone not in ("Local", "UTC") and not _is_known(zone):
        out.append(invalid(path, zone, unknown))


def _is_known(zone: str) -> bool:
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _job_template(spec: Json, path: str, out: Causes) -> None:
    job_spec(spec, path, out)
    if spec.get("selector") is not None:
        shown = shown_selector(spec["selector"])
        out.append(invalid(f"{path}.selector", shown, "`selector` will be auto-generated"))
    if spec.get("manualSelector"):
        out.append(not_supported(f"{path}.manualSelector", True, ("nil", "false")))


def cron_job_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
