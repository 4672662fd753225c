"""Preparation of Jobs, CronJobs, DaemonSets, StatefulSets and Pod templates. In place, as in `prepare`."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.defaults_workloads import TEMPLATE_GENERATION
from services.apiserver.rules.prepare import status_update, with_status_create, with_status_update
from services.apiserver.rules.validation.jobs import (
    CONTROLLER_UID,
    JOB_NAME,
    OLD_CONTROLLER_UID,
    OLD_JOB_NAME,
)

Json = dict[str, Any]


def job_create(obj: Json) -> None:
    """A Job finds its Pods by a label that nobody else can have, unless it manages its selector itself."""
    with_status_create(obj)
    if not obj["spec"].get("manualSelector"):
        _generate_selector(obj)


def _generate_selector(obj: Json) -> None:
    meta, spec = obj["metadata"], obj["spec"]
    found = spec["template"].setdefault("metadata", {})
    labels, uid, name = found.get("labels") or {}, meta.get("uid", ""), meta.get("name", "")
    added = {OLD_JOB_NAME: name, JOB_NAME: name, OLD_CONTROLLER_UID: uid, CONTROLLER_UID: uid}
    complete = {**added, **labels}
    # The Job's own labels follow its template's where it was given none.
    if not meta.get("labels") or meta["labels"] is found.get("labels"):
        meta["labels"] = dict(complete)
    found["labels"] = complete
    selector = spec.setdefault("selector", {})
    selector["matchLabels"] = {CONTROLLER_UID: uid, **selector.get("matchLabels", {})}


def daemon_set_create(obj: Json) -> None:
    with_status_create(obj)
    annotations = obj["metadata"].setdefault("annotations", {})
    annotations[TEMPLATE_GENERATION] = str(max(1, _template_generation(obj)))


def _template_generation(obj: Json) -> int:
    return int(obj["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, "0"))


def daemon_set_update(new: Json, old: Json) -> None:
    with_status_update(new, old)
    changed = new["spec"].get("template") != old["spec"].get("template")
    _note_template_generation(new, _template_generation(old) + changed)


def daemon_set_status(new: Json, old: Json) -> None:
    status_update(new, old)
    _note_template_generation(new, _template_generation(old))


def _note_template_generation(obj: Json, number: int) -> None:
    obj["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = str(number)


def autoscaler_create(obj: Json) -> None:
    """Its specs are not counted."""
    obj["status"] = {"currentMetrics": None, "desiredReplicas": 0}


def pod_template_update(new: Json, old: Json) -> None:
    if new.get("template") != old.get("template"):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
