"""The rules of Jobs, CronJobs, DaemonSets, StatefulSets and Pod templates."""

from __future__ import annotations

from services.apiserver.rules import prepare, prepare_workloads
from services.apiserver.rules.kind_rules import Rules, of_status
from services.apiserver.rules.validation import (
    autoscaling,
    cron_jobs,
    daemon_sets,
    job_status,
    jobs,
    pod_templates,
    stateful_sets,
    workloads,
)

KINDS: dict[str, Rules] = {
    "Job": Rules(jobs.job, jobs.job_update, prepare_workloads.job_create, prepare.with_status_update),
    "CronJob": Rules(
        cron_jobs.cron_job,
        cron_jobs.cron_job_update,
        prepare.with_status_create,
        prepare.with_status_update,
    ),
    "DaemonSet": Rules(
        daemon_sets.daemon_set,
        daemon_sets.daemon_set_update,
        prepare_workloads.daemon_set_create,
        prepare_workloads.daemon_set_update,
    ),
    "StatefulSet": Rules(
        stateful_sets.stateful_set,
        stateful_sets.stateful_set_update,
        prepare.with_status_create,
        prepare.with_status_update,
    ),
    "HorizontalPodAutoscaler": Rules(
        autoscaling.autoscaler,
        autoscaling.autoscaler_update,
        prepare_workloads.autoscaler_create,
        prepare.keep_status,
    ),
    "PodTemplate": Rules(
        pod_templates.pod_template,
        pod_templates.pod_template_update,
        prepare.counted_create,
        prepare_workloads.pod_template_update,
    ),
}

SUBRESOURCES: dict[tuple[str, str], Rules] = {
    ("HorizontalPodAutoscaler", "status"): of_status(autoscaling.autoscaler_status),
    ("Job", "status"): of_status(job_status.job_status_update),
    ("CronJob", "status"): of_status(cron_jobs.cron_job_status),
    ("DaemonSet", "status"): of_status(daemon_sets.daemon_set_status, prepare_workloads.daemon_set_status),
    ("StatefulSet", "status"): of_status(stateful_sets.stateful_set_status),
    ("StatefulSet", "scale"): Rules(validate=workloads.scale),
}
