"""The checks that level `restricted` adds: what is not needed is given up."""

from __future__ import annotations

from collections.abc import Iterator

from services.apiserver.rules.pod_security import baseline
from services.apiserver.rules.pod_security.pod import (
    Check,
    Finding,
    Json,
    containers,
    failing,
    has_own_users,
    is_windows,
    listed,
    named,
    plural,
    security,
    setters,
)

_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)


def not_on_windows(check: Check) -> Check:
    """Linux' means are not asked of a Pod that says it is for Windows."""
    return lambda meta, spec: None if is_windows(spec) else check(meta, spec)


def privilege_escalation(meta: Json, spec: Json) -> Finding | None:
    found = failing(spec, lambda each: security(each).get("allowPrivilegeEscalation") is not False)
    if not found:
        return None
    detail = f"{named(found)} must set securityContext.allowPrivilegeEscalation=false"
    return Finding("allowPrivilegeEscalation != false", detail)


def capabilities(meta: Json, spec: Json) -> Finding | None:
    def given(container: Json, what: str) -> list[str]:
        return (security(container).get("capabilities") or {}).get(what) or []

    def added(container: Json) -> set[str]:
        return {*given(container, "add")} - {"NET_BIND_SERVICE"}

    def faults() -> Iterator[str]:
        keeping = failing(spec, lambda each: "ALL" not in given(each, "drop"))
        if keeping:
            yield f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]'
        adding = failing(spec, added)
        if adding:
            forbidden = listed(sorted(set[str]().union(*map(added, containers(spec)))))
            yield f"{named(adding)} must not include {forbidden} in securityContext.capabilities.add"

    detail = "; ".join(faults())
    return Finding("unrestricted capabilities", detail) if detail else None


def volumes(meta: Json, spec: Json) -> Finding | None:
    found = [each for each in spec.get("volumes") or () if all(each.get(kind) is None for kind in _VOLUMES)]
    if not found:
        return None
    kinds = sorted({kind for each in found for kind in each if kind != "name"}) or ["unknown"]
    shown = f"{plural(len(found), 'volume')} {listed(each['name'] for each in found)}"
    use, what = plural(len(found), "uses", "use"), plural(len(kinds), "restricted volume type")
    return Finding("restricted volume types", f"{shown} {use} {what} {listed(kinds)}")


def run_as_non_root(meta: Json, spec: Json) -> Finding | None:
    if has_own_users(spec):
        return None
    reason, pod = "runAsNonRoot != true", security(spec).get("runAsNonRoot")
    explicit = failing(spec, lambda each: security(each).get("runAsNonRoot") is False)
    who = setters(pod is False, explicit)
    if who:
        return Finding(reason, f"{who} must not set securityContext.runAsNonRoot=false")
    silent = [] if pod else failing(spec, lambda each: security(each).get("runAsNonRoot") is None)
    if silent:
        return Finding(reason, f"pod or {named(silent)} must set securityContext.runAsNonRoot=true")
    return None


def run_as_user(meta: Json, spec: Json) -> Finding | None:
    if has_own_users(spec):
        return None

    def root(holder: Json) -> bool:
        return security(holder).get("runAsUser") == 0

    who = setters(root(spec), failing(spec, root))
    return Finding("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def seccomp(meta: Json, spec: Json) -> Finding | None:
    bad = baseline.seccomp(meta, spec)
    if bad or (security(spec).get("seccompProfile") or {}).get("type"):
        return bad
    silent = failing(spec, lambda each: security(each).get("seccompProfile") is None)
    if not silent:
        return None
    wanted = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Finding("seccompProfile", f"pod or {named(silent)} {wanted}")
