"""Jobs: how many Pods, how they may fail, and what of it may still change."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.job_policies import failure_policy, success_policy
from services.apiserver.rules.validation.meta import (
    immutable,
    label_selector,
    not_negative,
    object_meta,
    object_meta_update,
    selects,
    shown_selector,
)
from services.apiserver.rules.validation.pod_spec import template
from services.machinery.field_errors import Causes, invalid, not_supported, required, too_long
from services.machinery.schema import definition, in_order

Json = dict[str, Any]

JOB_NAME, CONTROLLER_UID = "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid"
# The same as they were called before labels had to have a prefix.
OLD_JOB_NAME, OLD_CONTROLLER_UID = "job-name", "controller-uid"
_COUNTS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
_MANAGER_CHARACTERS_MAX = 63
_INDEXED_MAX = 100_000  # of parallelism, and of failed indexes
_MANY_COMPLETIONS = 100_000
_OF_MANY_MAX = 10_000
_INDEXED_ONLY = "requires indexed completion mode"
_REPLACEMENTS = ("Failed", "TerminatingOrFailed")


def job(obj: Json, out: Causes) -> None:
    _job(obj, True, out)


def _job(obj: Json, prefixed: bool, out: Causes) -> None:
    """`prefixed`: whether the labels with a prefix must be there; Jobs made long ago lack them."""
    meta, spec = obj["metadata"], obj["spec"]
    object_meta(meta, True, names.dns1123_subdomain, out)
    if not spec.get("manualSelector") and spec.get("selector") is not None:
        _generated_selector(obj, prefixed, out)
    _spec_with_selector(spec, out)
    completions = spec.get("completions") or 0
    if is_indexed(spec) and completions > 0:
        hostname = f"{meta.get('name', '')}-{completions - 1}"
        if names.dns1123_label(hostname):
            why = f"will not able to create pod with invalid DNS label: {hostname}"
            out.append(invalid("metadata.name", meta.get("name", ""), why))


def is_indexed(spec: Json) -> bool:
    return bool(spec.get("completionMode") == "Indexed")


def _generated_selector(obj: Json, prefixed: bool, out: Causes) -> None:
    """The selector and the labels are as a Job without a selector of its own gets them."""
    uid, name = obj["metadata"].get("uid", ""), obj["metadata"].get("name", "")
    if not uid:
        out.append(required("metadata.uid"))
    labels = obj["spec"]["template"].get("metadata", {}).get("labels") or {}
    expected = {OLD_CONTROLLER_UID: uid, OLD_JOB_NAME: name}
    if prefixed:
        expected |= {CONTROLLER_UID: uid, JOB_NAME: name}
    for key, value in expected.items():
        _has_label(labels, key, value, out)
    selector = obj["spec"]["selector"]
    if not _selector_is_faulty(selector) and not selects(selector, expected):
        out.append(invalid("spec.selector", shown_selector(selector), "`selector` not auto-generated"))


def _has_label(labels: Json, key: str, value: str, out: Causes) -> None:
    path = "spec.template.metadata.labels"
    if key not in labels:
        out.append(required(f"{path}[{key}]", f"must be '{value}'"))
    elif labels[key] != value:
        out.append(invalid(f"{path}[{key}]", labels[key], f"must be '{value}'"))


def _selector_is_faulty(selector: Json) -> bool:
    faults: Causes = []
    label_selector(selector, "", faults)
    return bool(faults)


def _spec_with_selector(spec: Json, out: Causes) -> None:
    job_spec(spec, "spec", out)
    selector = spec.get("selector")
    if selector is None:
        out.append(required("spec.selector"))
    else:
        label_selector(selector, "spec.selector", out)
    labels = spec["template"].get("metadata", {}).get("labels")
    if not (selector and _selector_is_faulty(selector)) and not selects(selector, labels or {}):
        shown = None if labels is None else dict(sorted(labels.items()))
        why = "`selector` does not match template `labels`"
        out.append(invalid("spec.template.metadata.labels", shown, why))


def job_spec(spec: Json, path: str, out: Causes) -> None:
    """What a Job and a CronJob's template have in common: all but the selector."""
    for field in _COUNTS:
        not_negative(spec, field, path, out)
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        out.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    _manager(spec.get("managedBy"), f"{path}.managedBy", out)
    _completion_mode(spec, path, out)
    if spec.get("podFailurePolicy") is not None:
        failure_policy(spec, f"{path}.podFailurePolicy", out)
    if spec.get("successPolicy") is not None:
        if is_indexed(spec):
            success_policy(spec, f"{path}.successPolicy", out)
        else:
            shown = in_order(spec["successPolicy"], definition("batch.v1.SuccessPolicy"))
            out.append(invalid(f"{path}.successPolicy", shown, _INDEXED_ONLY))
    _replacement(spec, f"{path}.podReplacementPolicy", out)
    template(spec["template"], f"{path}.template", out)
    _restart_policy(spec, f"{path}.template.spec.restartPolicy", out)


def _manager(name: str | None, path: str, out: Causes) -> None:
    if name is None:
        return
    names.domain_prefixed_path(name, path, out)
    if len(name) > _MANAGER_CHARACTERS_MAX:
        out.append(too_long(path, _MANAGER_CHARACTERS_MAX))


def _completion_mode(spec: Json, path: str, out: Causes) -> None:
    mode = spec.get("completionMode")
    if mode not in (None, "NonIndexed", "Indexed"):
        out.append(not_supported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed")))
    if is_indexed(spec):
        _indexed(spec, path, out)
    if mode in (None, "NonIndexed"):
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if field in spec:
                out.append(invalid(f"{path}.{field}", spec[field], _INDEXED_ONLY))


def _indexed(spec: Json, path: str, out: Causes) -> None:
    completions, parallelism = spec.get("completions"), spec.get("parallelism") or 0
    failed = spec.get("maxFailedIndexes")
    if completions is None:
        out.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism > _INDEXED_MAX:
        why = f"must be less than or equal to {_INDEXED_MAX} when completion mode is Indexed"
        out.append(invalid(f"{path}.parallelism", parallelism, why))
    if failed is not None:
        here = f"{path}.maxFailedIndexes"
        if completions is not None and failed > completions:
            out.append(invalid(here, failed, "must be less than or equal to completions"))
        if failed > _INDEXED_MAX:
            out.append(invalid(here, failed, f"must be less than or equal to {_INDEXED_MAX}"))
    if completions is not None and completions > _MANY_COMPLETIONS and "backoffLimitPerIndex" in spec:
        _many(spec, path, out)


def _many(spec: Json, path: str, out: Causes) -> None:
    """So many indexes that the failed ones must fit into the status."""
    if "maxFailedIndexes" not in spec:
        why = f"must be specified when completions is above {_MANY_COMPLETIONS}"
        out.append(required(f"{path}.maxFailedIndexes", why))
    for field in ("parallelism", "maxFailedIndexes"):
        if (spec.get(field) or 0) > _OF_MANY_MAX:
            why = (
                f"must be less than or equal to {_OF_MANY_MAX} when completions are above"
                f" {_MANY_COMPLETIONS} and used with backoff limit per index"
            )
            out.append(invalid(f"{path}.{field}", spec[field], why))


def _replacement(spec: Json, path: str, out: Causes) -> None:
    policy = spec.get("podReplacementPolicy")
    allowed = _REPLACEMENTS if spec.get("podFailurePolicy") is None else _REPLACEMENTS[:1]
    if policy is not None and policy not in allowed:
        out.append(not_supported(path, policy, allowed))


def _restart_policy(spec: Json, path: str, out: Causes) -> None:
    policy = spec["template"].get("spec", {}).get("restartPolicy", "")
    if policy in ("", "Always"):
        out.append(required(path, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        out.append(not_supported(path, policy, ("OnFailure", "Never")))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        out.append(invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))


def job_update(new: Json, old: Json, out: Causes) -> None:
    labels = old["spec"]["template"].get("metadata", {}).get("labels") or {}
    _job(new, JOB_NAME in labels and CONTROLLER_UID in labels, out)
    object_meta_update(new["metadata"], old["metadata"], out)
    spec, before = new["spec"], old["spec"]
    _spec_with_selector(spec, out)
    _completions(spec, before, out)
    immutable(
        shown_selector(spec.get("selector")), shown_selector(before.get("selector")), "spec.selector", out
    )
    _template_update(new, old, out)
    for field in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        immutable(spec.get(field), before.get(field), f"spec.{field}", out)


def _completions(spec: Json, before: Json, out: Causes) -> None:
    completions = spec.get("completions")
    if not is_indexed(spec):
        immutable(completions, before.get("completions"), "spec.completions", out)
    elif completions not in (None, before.get("completions")) and completions != spec.get("parallelism"):
        why = "can only be modified in tandem with spec.parallelism"
        out.append(invalid("spec.completions", completions, why))


_DIRECTIVES = ("nodeSelector", "tolerations", "schedulingGates")


def _template_update(new: Json, old: Json, out: Causes) -> None:
    """The template stays; while a Job rests, where its Pods go and what they need may change."""
    found, before = new["spec"]["template"], old["spec"]["template"]
    if not _rests(old):
        if found != before:
            shown = in_order(found, definition("core.v1.PodTemplateSpec"))
            immutable(shown, before, "spec.template", out)
        return
    pod = found.get("spec", {})
    kept = _but_for_resources(pod, _but_for_directives(found, before).get("spec", {}))
    if pod != kept:
        immutable(in_order(pod, definition("core.v1.PodSpec")), kept, "spec.template.spec", out)


def _rests(job: Json) -> bool:
    """Suspended, and either never started, or known to its controller as suspended with no Pod left."""
    status = job["status"]
    if not job["spec"].get("suspend") or status.get("active"):
        return False
    conditions = status.get("conditions") or ()
    told = any(each.get("type") == "Suspended" and each.get("status") == "True" for each in conditions)
    return told or not status.get("startTime")


def _but_for_resources(found: Json, before: Json) -> Json:
    """The former Pod with the resources of each container put to what they are now."""
    held = {**before}
    for field in ("containers", "initContainers"):
        now, then = found.get(field) or [], before.get(field) or []
        if then and len(now) == len(then):
            held[field] = [_with_resources(*pair) for pair in zip(then, now, strict=True)]
    return held


def _with_resources(before: Json, found: Json) -> Json:
    if before.get("name") != found.get("name"):
        return before
    made = {name: value for name, value in before.items() if name != "resources"}
    return {**made, "resources": found["resources"]} if "resources" in found else made


def _but_for_directives(found: Json, before: Json) -> Json:
    """The former template with all that may change put to what it is now."""
    spec, meta = {**before.get("spec", {})}, {**before.get("metadata", {})}
    for holder, other, fields in (
        (spec, found.get("spec", {}), _DIRECTIVES),
        (meta, found.get("metadata", {}), ("labels", "annotations")),
    ):
        for field in fields:
            holder.pop(field, None)
            if field in other:
                holder[field] = other[field]
    wanted = found.get("spec", {}).get("affinity")
    held = {key: value for key, value in (spec.pop("affinity", None) or {}).items() if key != "nodeAffinity"}
    if wanted is not None and "nodeAffinity" in wanted:
        held["nodeAffinity"] = wanted["nodeAffinity"]
    if held or wanted is not None:
        spec["affinity"] = held
    return {**before, "metadata": meta, "spec": spec}
