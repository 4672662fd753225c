"""Defaults of Jobs, CronJobs, DaemonSets, StatefulSets and Pod templates.

A CronJob's Job template gets only what its Pod template needs: the rest comes when a Job is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from services.api.errors import bad_request
from services.apiserver.rules.defaults_pods import template
from services.apiserver.rules.defaults_storage import claim
from services.machinery.field_errors import quoted

Json = dict[str, Any]

HISTORY_MAX = 10
BACKOFF_LIMIT = 6
INT32_MAX = 2147483647
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def job(obj: Json) -> None:
    spec = obj["spec"]
    # One Pod that must succeed, unless one of both numbers was given.
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = spec["parallelism"] = 1
    spec.setdefault("parallelism", 1)
    if "backoffLimit" not in spec:
        # Failures count for each index apart, where they have limits of their own.
        spec["backoffLimit"] = INT32_MAX if "backoffLimitPerIndex" in spec else BACKOFF_LIMIT
    labels = spec["template"]["metadata"].get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = labels  # The same ones: what is added to them later shows in both.
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    policy = spec.get("podFailurePolicy")
    for rule in (policy or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed" if policy is None else "Failed")
    spec.setdefault("manualSelector", False)
    template(spec)


def cron_job(obj: Json) -> None:
    spec = obj["spec"]
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template(spec["jobTemplate"]["spec"])


def daemon_set(obj: Json) -> None:
    spec = obj["spec"]
    strategy = spec["updateStrategy"]
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", HISTORY_MAX)
    template(spec)
    _template_generation(obj)


def _template_generation(obj: Json) -> None:
    """How often the template changed was a field once, and is an annotation since."""
    annotations = obj["metadata"].setdefault("annotations", {})
    text = annotations.setdefault(TEMPLATE_GENERATION, "0")
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.A):
        raise bad_request(
            'DaemonSet in version "v1" cannot be handled as a DaemonSet: strconv.ParseInt:'
            f" parsing {quoted(text)}: invalid syntax"
        )


def stateful_set(obj: Json) -> None:
    spec = obj["spec"]
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = spec["updateStrategy"]
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for when in ("whenDeleted", "whenScaled"):
        if not retention.get(when):
            retention[when] = "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", HISTORY_MAX)
    template(spec)
    for each in spec.get("volumeClaimTemplates", ()):
        each["apiVersion"], each["kind"] = "v1", "PersistentVolumeClaim"
        claim(each)


def pod_template(obj: Json) -> None:
    template(obj)


DEFAULTS: dict[str, Callable[[Json], None]] = {
    "Job": job,
    "CronJob": cron_job,
    "DaemonSet": daemon_set,
    "StatefulSet": stateful_set,
    "PodTemplate": pod_template,
}
