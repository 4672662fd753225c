"""Columns and cells of Jobs, CronJobs, DaemonSets, StatefulSets and Pod templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.apiserver.tables.rows import (
    NONE,
    age_of,
    containers,
    format_labels,
    format_selector,
    name_of,
    of_template,
)
from services.machinery.clock import parse_time
from services.machinery.duration import human, since

Json = dict[str, Any]
Cells = list[Any]

_COMPLETIONS = (
    "The number of pods which reached phase Succeeded. The value increases monotonically for a given spec. "
    "However, it may decrease in reaction to scale down of elastic indexed jobs."
)
_JOB_SELECTOR = (
    "A label query over pods that should match the pod count. Normally, the system sets this field for you. "
    "More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
)
_TIME_ZONE = (
    "The time zone name for the given schedule, see "
    "https://en.wikipedia.org/wiki/List_of_tz_database_time_zones. If not specified, this will default to "
    "the time zone of the kube-controller-manager process. The set of valid time zone names and the time "
    "zone offset is loaded from the system-wide time zone database by the API server during CronJob "
    "validation and the controller manager during execution. If no system-wide time zone database can be "
    "found a bundled version of the database is used instead. If the time zone name becomes invalid during "
    "the lifetime of a CronJob or due to a change in host configuration, the controller will stop creating "
    "new new Jobs and will create a system event with the reason UnknownTimeZone. More information can be "
    "found in https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#time-zones"
)
_SUSPEND = (
    "This flag tells the controller to suspend subsequent executions, it does not apply to already started "
    "executions.  Defaults to false."
)
_DESIRED = (
    "The total number of nodes that should be running the daemon pod (including nodes correctly running the "
    "daemon pod). More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/"
)
_CURRENT = (
    "The number of nodes that are running at least 1 daemon pod and are supposed to run the daemon pod. More "
    "info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/"
)
_READY = (
    "numberReady is the number of nodes that should be running the daemon pod and have one or more of the "
    "daemon pod running with a Ready Condition."
)
_AVAILABLE = (
    "The number of nodes that should be running the daemon pod and have one or more of the daemon pod "
    "running and available (ready for at least spec.minReadySeconds)"
)
_NODE_SELECTOR = (
    "NodeSelector is a selector which must be true for the pod to fit on a node. Selector which must match a "
    "node's labels for the pod to be scheduled on that node. More info: "
    "https://kubernetes.io/docs/concepts/configuration/assign-pod-node/"
)
_DAEMON_SELECTOR = (
    "A label query over pods that are managed by the daemon set. Must match in order to be controlled. It "
    "must match the pod template's labels. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
)
_NAME: Column = {**column("Name", COMMON["name"]), "format": "name"}


def _parts(*, wide: bool = True) -> list[Column]:
    return [
        column("Containers", COMMON["containers"], wide=wide),
        column("Images", COMMON["images"], wide=wide),
    ]


COLUMNS: dict[str, list[Column]] = {
    "Job": [
        _NAME,
        column("Status", "Status of the job."),
        column("Completions", _COMPLETIONS),
        column("Duration", "Time required to complete the job."),
        AGE,
        *_parts(),
        column("Selector", _JOB_SELECTOR, wide=True),
    ],
    "CronJob": [
        _NAME,
        column("Schedule", "The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron."),
        column("Timezone", _TIME_ZONE),
        column("Suspend", _SUSPEND, type="boolean"),
        column("Active", "A list of pointers to currently running jobs.", type="integer"),
        column("Last Schedule", "Information when was the last time the job was successfully scheduled."),
        AGE,
        *_parts(),
        column("Selector", _JOB_SELECTOR, wide=True),
    ],
    "DaemonSet": [
        _NAME,
        column("Desired", _DESIRED, type="integer"),
        column("Current", _CURRENT, type="integer"),
        column("Ready", _READY, type="integer"),
        column("Up-to-date", "The total number of nodes that are running updated daemon pod", type="integer"),
        column("Available", _AVAILABLE, type="integer"),
        column("Node Selector", _NODE_SELECTOR),
        AGE,
        *_parts(),
        column("Selector", _DAEMON_SELECTOR, wide=True),
    ],
    "StatefulSet": [_NAME, column("Ready", COMMON["deployment.Ready"]), AGE, *_parts()],
    "PodTemplate": [
        _NAME,
        *_parts(wide=False),
        column("Pod Labels", "The labels for the pod template."),
    ],
}

# What a Job that is not over shows, the most telling first.
_CONDITIONS = ("Suspended", "FailureTarget", "SuccessCriteriaMet")


def _job(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [
        name_of(obj),
        _job_status(obj),
        _completions(spec, status.get("succeeded", 0)),
        _duration(status, now),
        age_of(obj, now),
        *containers(obj),
        format_selector(spec.get("selector")),
    ]


def _job_status(obj: Json) -> str:
    conditions = obj.get("status", {}).get("conditions") or ()
    held = {each.get("type") for each in conditions if each.get("status") == "True"}
    for kind in ("Complete", "Failed"):
        if kind in held:
            return kind
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((kind for kind in _CONDITIONS if kind in held), "Running")


def _completions(spec: Json, succeeded: int) -> str:
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(status: Json, now: datetime) -> str:
    started, ended = status.get("startTime"), status.get("completionTime")
    if not started:
        return ""
    return human(((parse_time(ended) if ended else now) - parse_time(started)).total_seconds())


def _cron_job(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    job = spec.get("jobTemplate", {}).get("spec", {})
    last = status.get("lastScheduleTime")
    suspend = spec.get("suspend")
    return [
        name_of(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        "<unset>" if suspend is None else str(suspend),
        len(status.get("active") or ()),
        since(last, now) if last else NONE,
        age_of(obj, now),
        *of_template(job.get("template")),
        format_selector(job.get("selector")),
    ]


def _daemon_set(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        name_of(obj),
        *(status.get(field, 0) for field in counts),
        format_labels(spec.get("template", {}).get("spec", {}).get("nodeSelector")),
        age_of(obj, now),
        *containers(obj),
        format_selector(spec.get("selector")),
    ]


def _stateful_set(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name_of(obj), ready, age_of(obj, now), *containers(obj)]


def _pod_template(obj: Json, now: datetime) -> Cells:
    template = obj.get("template") or {}
    labels = template.get("metadata", {}).get("labels")
    return [name_of(obj), *of_template(template), format_labels(labels)]


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {
    "Job": _job,
    "CronJob": _cron_job,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "PodTemplate": _pod_template,
}
