"""Roles and their bindings. Upstream: `pkg/apis/rbac/validation`."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import label_selector, object_meta, object_meta_update
from services.machinery.field_errors import Causes, invalid, not_supported, required

Json = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"


def role(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.path_segment, out)
    _rules(obj, True, out)


def role_update(new: Json, old: Json, out: Causes) -> None:
    role(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)


def cluster_role(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.path_segment, out)
    _rules(obj, False, out)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return
    path, selectors = "aggregationRule.clusterRoleSelectors", aggregation.get("clusterRoleSelectors") or []
    if not selectors:
        why = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        out.append(required(path, why))
    for index, selector in enumerate(selectors):
        label_selector(selector, f"{path}[{index}]", out)


def cluster_role_update(new: Json, old: Json, out: Causes) -> None:
    cluster_role(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)


def _rules(obj: Json, namespaced: bool, out: Causes) -> None:
    for index, rule in enumerate(obj.get("rules") or ()):
        _rule(rule, namespaced, f"rules[{index}]", out)


def _rule(rule: Json, namespaced: bool, path: str, out: Causes) -> None:
    if not rule.get("verbs"):
        out.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            why = "namespaced rules cannot apply to non-resource URLs"
            out.append(invalid(f"{path}.nonResourceURLs", urls, why))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            why = "rules cannot apply to both regular resources and non-resource URLs"
            out.append(invalid(f"{path}.nonResourceURLs", urls, why))
        return
    if not rule.get("apiGroups"):
        out.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        out.append(required(f"{path}.resources", "resource rules must supply at least one resource"))


def role_binding(obj: Json, out: Causes) -> None:
    _binding(obj, True, out)


def cluster_role_binding(obj: Json, out: Causes) -> None:
    _binding(obj, False, out)


def role_binding_update(new: Json, old: Json, out: Causes) -> None:
    _binding(new, True, out)
    _same_role(new, old, out)


def cluster_role_binding_update(new: Json, old: Json, out: Causes) -> None:
    _binding(new, False, out)
    _same_role(new, old, out)


def _same_role(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    role_ref = new.get("roleRef") or {}
    if role_ref != (old.get("roleRef") or {}):
        shown = {go: role_ref.get(name, "") for go, name in _ROLE_REF}
        out.append(invalid("roleRef", shown, "cannot change roleRef"))


_ROLE_REF = (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))


def _binding(obj: Json, namespaced: bool, out: Causes) -> None:
    object_meta(obj["metadata"], namespaced, names.path_segment, out)
    reference = obj.get("roleRef") or {}
    group, kind, name = (reference.get(field, "") for field in ("apiGroup", "kind", "name"))
    if group != GROUP:
        out.append(not_supported("roleRef.apiGroup", group, (GROUP,)))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if kind not in kinds:
        out.append(not_supported("roleRef.kind", kind, kinds))
    if not name:
        out.append(required("roleRef.name"))
    else:
        names.check(names.path_segment(name), "roleRef.name", name, out)
    for index, subject in enumerate(obj.get("subjects") or ()):
        _subject(subject, namespaced, f"subjects[{index}]", out)


def _subject(subject: Json, namespaced: bool, path: str, out: Causes) -> None:
    kind, name, group = (subject.get(field, "") for field in ("kind", "name", "apiGroup"))
    if not name:
        out.append(required(f"{path}.name"))
    match kind:
        case "ServiceAccount":
            if name:
                names.check(names.dns1123_subdomain(name), f"{path}.name", name, out)
            if group:
                out.append(not_supported(f"{path}.apiGroup", group, ("",)))
            if not namespaced and not subject.get("namespace"):
                out.append(required(f"{path}.namespace"))
        case "User" | "Group":
            if group != GROUP:
                out.append(not_supported(f"{path}.apiGroup", group, (GROUP,)))
        case _:
            out.append(not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group")))
