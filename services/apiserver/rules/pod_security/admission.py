"""Admission plugin PodSecurity: what a Namespace's labels ask of its Pods.

`pod-security.kubernetes.io/{enforce,warn,audit}` name a level, `…-version` a version of Kubernetes to judge
by. Pods are refused by `enforce`; workloads, which only make Pods, are warned about. Labels that make sense
no more count as the strictest to enforce, and as nothing to warn of. Without labels anything goes.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from services.api import core_v1, errors, kinds
from services.apiserver.audit.audit import annotate
from services.apiserver.rules.context import Context
from services.apiserver.rules.pod_security.standards import LATEST, LEVELS, Policy, details, judge, reasons
from services.machinery.field_errors import Cause, invalid, quoted

Json = dict[str, Any]

PREFIX = "pod-security.kubernetes.io/"
_VERSION = re.compile(r"v1\.([0-9]|[1-9][0-9]{1,8})")
_NAMESPACES = kinds.resource_of(core_v1.Namespace)
_PODS = kinds.resource_of(core_v1.Pod)
# Pods that are looked at when a Namespace is labelled; upstream gives it a second.
PODS_CHECKED_MAX = 3000
_JUDGED = ("", "ephemeralcontainers", "resize")
_WORKLOADS = (
    "ReplicationController",
    "PodTemplate",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
)
_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"


class Policies(NamedTuple):
    enforce: Policy = Policy()
    audit: Policy = Policy()
    warn: Policy = Policy()


_NONE = Policies()


def admit(
    verb: str, resource: kinds.Resource, subresource: str, obj: Json, old: Json | None, ctx: Context
) -> None:
    """ApiError 403 for a Pod that is not as its Namespace wants it, 422 for a Namespace with bad labels."""
    kind = resource.kind
    if kind == "Namespace" and not subresource:
        _namespace(resource, obj, old, ctx)
    elif kind == "Pod" and subresource in _JUDGED:
        policies = _policies_of(obj, ctx)
        if policies != _NONE and (old is None or _matters(obj, old)):
            _pod(resource, obj, policies, ctx)
    elif kind in _WORKLOADS and not subresource:
        policies = _policies_of(obj, ctx)
        template = _template(obj) if policies != _NONE else None
        if template:
            meta, spec = template.get("metadata") or {}, template.get("spec") or {}
            _record(policies.audit, meta, spec)
            _warn(policies.warn, meta, spec, ctx)


def _policies_of(obj: Json, ctx: Context) -> Policies:
    namespace = ctx.lookup(_NAMESPACES, "", obj["metadata"].get("namespace", ""))
    labels = namespace["metadata"].get("labels") if namespace else None
    return read(labels)[0] if labels else _NONE


# -- labels --------------------------------------------------------------------------------------


def read(labels: Json) -> tuple[Policies, list[Cause]]:
    """The policies that labels mean, and what is wrong with the labels."""
    faults: list[Cause] = []
    found = (_policy(labels, mode, faults) for mode in Policies._fields)
    return Policies(*found), faults


def _policy(labels: Json, mode: str, faults: list[Cause]) -> Policy:
    level, version = labels.get(f"{PREFIX}{mode}"), labels.get(f"{PREFIX}{mode}-version")
    if level is not None and level not in LEVELS:
        why = f"must be one of {', '.join(LEVELS)}"
        faults.append(invalid(f"metadata.labels[{PREFIX}{mode}]", level, why))
        level = "restricted" if mode == "enforce" else "privileged"
    minor = LATEST
    if version is not None and version != "latest":
        if match := _VERSION.fullmatch(version):
            minor = int(match[1])
        else:
            where = f"metadata.labels[{PREFIX}{mode}-version]"
            faults.append(invalid(where, version, 'must be "latest" or "v1.x"'))
    return Policy(level or "privileged", minor)


# -- Pods and workloads --------------------------------------------------------------------------


def _pod(resource: kinds.Resource, pod: Json, policies: Policies, ctx: Context) -> None:
    meta, spec = pod["metadata"], pod["spec"]
    found = judge(policies.enforce, meta, spec)
    annotate("pod-security.kubernetes.io/enforce-policy", str(policies.enforce))
    _record(policies.audit, meta, spec)
    if found:
        why = f"violates PodSecurity {quoted(str(policies.enforce))}: {details(found)}"
        raise errors.forbidden(resource, meta.get("name") or meta.get("generateName", ""), why)
    _warn(policies.warn, meta, spec, ctx)


def _record(policy: Policy, meta: Json, spec: Json) -> None:
    """For the audit log."""
    found = judge(policy, meta, spec)
    if found:
        why = f"would violate PodSecurity {quoted(str(policy))}: {details(found)}"
        annotate("pod-security.kubernetes.io/audit-violations", why)


def _warn(policy: Policy, meta: Json, spec: Json, ctx: Context) -> None:
    found = judge(policy, meta, spec)
    if found:
        ctx.warn(f"would violate PodSecurity {quoted(str(policy))}: {details(found)}")


def _template(obj: Json) -> Json | None:
    if obj.get("kind") == "PodTemplate":
        return obj.get("template")
    spec = obj.get("spec") or {}
    if obj.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    found: Json | None = spec.get("template")
    return found


def _matters(new: Json, old: Json) -> bool:
    """Whether an update changes what is judged: images, and containers that were not there."""
    annotations, before = (each["metadata"].get("annotations") or {} for each in (new, old))

    def images(pod: Json) -> list[tuple[str, ...]]:
        spec, notes = pod["spec"], pod["metadata"].get("annotations") or {}
        return [
            (
                field,
                each.get("name", ""),
                each.get("image", ""),
                notes.get(_SECCOMP_CONTAINER + each["name"], ""),
            )
            for field in ("containers", "initContainers", "ephemeralContainers")
            for each in spec.get(field) or ()
        ]

    return annotations.get(_SECCOMP) != before.get(_SECCOMP) or images(new) != images(old)


# -- Namespaces ----------------------------------------------------------------------------------


def _namespace(resource: kinds.Resource, new: Json, old: Json | None, ctx: Context) -> None:
    labels, before = (((each or {}).get("metadata") or {}).get("labels") or {} for each in (new, old))
    if labels == before:
        return
    policies, faults = read(labels)
    earlier, known_faults = read(before)
    if faults and (old is None or faults != known_faults):
        raise errors.invalid(resource.group, resource.kind, new["metadata"].get("name", ""), faults)
    if old is None or policies.enforce == earlier.enforce:
        return
    relaxed = policies.enforce.minor == earlier.enforce.minor and LEVELS.index(
        policies.enforce.level
    ) <= LEVELS.index(earlier.enforce.level)
    if policies.enforce.level != "privileged" and not relaxed:
        _warn_of_present_pods(policies.enforce, new["metadata"]["name"], ctx)


def _warn_of_present_pods(policy: Policy, namespace: str, ctx: Context) -> None:
    """They stay; but they would not be let in again."""
    violating: dict[str, list[str]] = {}
    pods = list(ctx.within(_PODS, namespace))
    for pod in pods[:PODS_CHECKED_MAX]:
        found = judge(policy, pod["metadata"], pod["spec"])
        if found:
            violating.setdefault(reasons(found), []).append(pod["metadata"]["name"])
    if len(pods) > PODS_CHECKED_MAX:
        ctx.warn(
            f"new PodSecurity enforce level only checked against the first {PODS_CHECKED_MAX} of {len(pods)}"
            " existing pods"
        )
    if violating:
        ctx.warn(
            f"existing pods in namespace {quoted(namespace)} violate the new PodSecurity enforce level"
            f" {quoted(str(policy))}"
        )
    for text in sorted(_counted(sorted(names), why) for why, names in violating.items()):
        ctx.warn(text)


def _counted(names: list[str], why: str) -> str:
    others = len(names) - 1
    more = f" (and {others} other pod{'' if others == 1 else 's'})" if others else ""
    return f"{names[0]}{more}: {why}"
