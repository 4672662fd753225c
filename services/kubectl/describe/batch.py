"""Jobs, CronJobs, DaemonSets and StatefulSets described."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.kubectl.describe import events, pods
from services.kubectl.describe.workloads import pods_status
from services.kubectl.describe.writer import Writer, boolean, controller_of, head, notes, rfc1123
from services.kubectl.output.labels import format_labels, format_selector
from services.machinery.clock import parse_time
from services.machinery.duration import human

Json = dict[str, Any]

UNSET = "<unset>"
INDEXES_LENGTH_MAX = 50


def job(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer, spec, status = Writer(), obj["spec"], obj.get("status") or {}
    head(writer, obj)
    writer.line(0, "Selector:", format_selector(spec.get("selector")))
    notes(writer, obj)
    if controller := controller_of(obj):
        writer.line(0, "Controlled By:", controller)
    _plan(writer, spec)
    _times(writer, status)
    if "activeDeadlineSeconds" in spec:
        writer.line(0, "Active Deadline Seconds:", f"{spec['activeDeadlineSeconds']}s")
    ready = f" ({status['ready']} Ready)" if "ready" in status else ""
    counts = [status.get(field, 0) for field in ("active", "succeeded", "failed")]
    said = f"{counts[0]} Active{ready} / {counts[1]} Succeeded / {counts[2]} Failed"
    writer.line(0, "Pods Statuses:", said)
    if spec.get("completionMode") == "Indexed":
        writer.line(0, "Completed Indexes:", _indexes(status.get("completedIndexes", "")))
    pods.template(spec.get("template") or {}, writer)
    events.describe(writer, found_events, now)
    return writer.text()


def _plan(writer: Writer, spec: Json) -> None:
    if "parallelism" in spec:
        writer.line(0, "Parallelism:", spec["parallelism"])
    writer.line(0, "Completions:", spec.get("completions", UNSET))
    if "completionMode" in spec:
        writer.line(0, "Completion Mode:", spec["completionMode"])
    if "suspend" in spec:
        writer.line(0, "Suspend:", boolean(spec["suspend"]))
    for title, field in (
        ("Backoff Limit:", "backoffLimit"),
        ("TTL Seconds After Finished:", "ttlSecondsAfterFinished"),
    ):
        if field in spec:
            writer.line(0, title, spec[field])


def _times(writer: Writer, status: Json) -> None:
    started, ended = status.get("startTime"), status.get("completionTime")
    if started:
        writer.line(0, "Start Time:", rfc1123(started))
    if ended:
        writer.line(0, "Completed At:", rfc1123(ended))
    if started and ended:
        writer.line(0, "Duration:", human((parse_time(ended) - parse_time(started)).total_seconds()))


def _indexes(text: str) -> str:
    """The first of many, up to a comma."""
    if not text:
        return "<none>"
    comma = text.find(",", INDEXES_LENGTH_MAX)
    return text if comma < 0 else text[: comma + 1] + "..."


def cron_job(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer, spec, status = Writer(), obj["spec"], obj.get("status") or {}
    head(writer, obj)
    notes(writer, obj)
    writer.line(0, "Schedule:", spec.get("schedule", ""))
    writer.line(0, "Concurrency Policy:", spec.get("concurrencyPolicy", ""))
    writer.line(0, "Suspend:", str(spec["suspend"]) if "suspend" in spec else UNSET)
    writer.line(0, "Time Zone:", spec.get("timeZone", UNSET))
    writer.line(0, "Successful Job History Limit:", spec.get("successfulJobsHistoryLimit", UNSET))
    writer.line(0, "Failed Job History Limit:", spec.get("failedJobsHistoryLimit", UNSET))
    deadline = spec.get("startingDeadlineSeconds")
    writer.line(0, "Starting Deadline Seconds:", UNSET if deadline is None else f"{deadline}s")
    _job_template(writer, (spec.get("jobTemplate") or {}).get("spec") or {})
    last = status.get("lastScheduleTime")
    writer.line(0, "Last Schedule Time:", rfc1123(last) if last else UNSET)
    active = ", ".join(each.get("name", "") for each in status.get("active") or ())
    writer.line(0, "Active Jobs:", active or "<none>")
    events.describe(writer, found_events, now)
    return writer.text()


def _job_template(writer: Writer, spec: Json) -> None:
    selector = spec.get("selector")
    writer.line(0, "Selector:", UNSET if selector is None else format_selector(selector))
    writer.line(0, "Parallelism:", spec.get("parallelism", UNSET))
    writer.line(0, "Completions:", spec.get("completions", UNSET))
    if "activeDeadlineSeconds" in spec:
        writer.line(0, "Active Deadline Seconds:", f"{spec['activeDeadlineSeconds']}s")
    pods.template(spec.get("template") or {}, writer)


_NODES = (
    ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
    ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
    ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
    ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
    ("Number of Nodes Misscheduled", "numberMisscheduled"),
)


def daemon_set(obj: Json, owned: Sequence[Json], found_events: Iterable[Json] | None, now: datetime) -> str:
    writer, spec, status = Writer(), obj["spec"], obj.get("status") or {}
    template = spec.get("template") or {}
    head(writer, obj)
    writer.line(0, "Selector:", format_selector(spec.get("selector")))
    writer.line(0, "Node-Selector:", format_labels((template.get("spec") or {}).get("nodeSelector")))
    notes(writer, obj)
    for title, field in _NODES:
        writer.line(0, f"{title}: {status.get(field, 0)}")
    writer.line(0, "Pods Status:", pods_status(owned))
    pods.template(template, writer)
    events.describe(writer, found_events, now)
    return writer.text()


def stateful_set(obj: Json, owned: Sequence[Json], found_events: Iterable[Json] | None, now: datetime) -> str:
    writer, spec, status = Writer(), obj["spec"], obj.get("status") or {}
    head(writer, obj)
    writer.line(0, "CreationTimestamp:", rfc1123(obj["metadata"].get("creationTimestamp")))
    writer.line(0, "Selector:", format_selector(spec.get("selector")))
    notes(writer, obj)
    writer.line(0, "Replicas:", f"{spec.get('replicas', 0)} desired | {status.get('replicas', 0)} total")
    strategy = spec.get("updateStrategy") or {}
    writer.line(0, "Update Strategy:", strategy.get("type", ""))
    rolling = strategy.get("rollingUpdate") or {}
    if "partition" in rolling:
        writer.line(1, "Partition:", rolling["partition"])
        if "maxUnavailable" in rolling:
            writer.line(1, "MaxUnavailable:", rolling["maxUnavailable"])
    writer.line(0, "Pods Status:", pods_status(owned))
    pods.template(spec.get("template") or {}, writer)
    _claims(writer, spec.get("volumeClaimTemplates") or [])
    events.describe(writer, found_events, now)
    return writer.text()


def _claims(writer: Writer, claims: list[Json]) -> None:
    if not claims:
        writer.line(0, "Volume Claims:", "<none>")
        return
    writer.line(0, "Volume Claims:")
    for claim in claims:
        metadata, spec = claim.get("metadata") or {}, claim.get("spec") or {}
        writer.line(1, "Name:", metadata.get("name", ""))
        writer.line(1, "StorageClass:", spec.get("storageClassName") or "")
        for title in ("labels", "annotations"):
            _pairs(writer, title.capitalize(), metadata.get(title) or {})
        capacity = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        writer.line(1, "Capacity:", capacity or "<default>")
        writer.line(1, "Access Modes:", "[" + " ".join(spec.get("accessModes") or ()) + "]")


def _pairs(writer: Writer, title: str, values: dict[str, str]) -> None:
    first = f"{title}:"
    for key, value in sorted(values.items()):
        writer.line(1, first, f"{key}={value}")
        first = ""
    if not values:
        writer.line(1, first, "<none>")
