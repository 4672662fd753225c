"""Where a Pod may run: affinity, tolerations, spreading, gates; and the taints of Nodes."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import label_selector
from services.machinery.field_errors import Causes, duplicate, forbidden, invalid, not_supported, required

Json = dict[str, Any]

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_POSITIVE = "must be greater than zero"


def affinity(found: Json | None, path: str, out: Causes) -> None:
    if found is None:
        return
    node = found.get("nodeAffinity")
    if node is not None:
        _node_affinity(node, f"{path}.nodeAffinity", out)
    for kind in ("podAffinity", "podAntiAffinity"):
        part = found.get(kind)
        if part is None:
            continue
        for index, term in enumerate(part.get(_REQUIRED, ())):
            _pod_term(term, f"{path}.{kind}.{_REQUIRED}[{index}]", out)
        for index, weighted in enumerate(part.get(_PREFERRED, ())):
            here = f"{path}.{kind}.{_PREFERRED}[{index}]"
            _weight(weighted, here, out)
            _pod_term(weighted.get("podAffinityTerm", {}), f"{here}.podAffinityTerm", out)


def _weight(term: Json, path: str, out: Causes) -> None:
    if not 1 <= term.get("weight", 0) <= 100:
        out.append(invalid(f"{path}.weight", term.get("weight", 0), "must be in the range 1-100"))


def _node_affinity(found: Json, path: str, out: Causes) -> None:
    needed = found.get(_REQUIRED)
    if needed is not None:
        node_selector(needed, f"{path}.{_REQUIRED}", out)
    for index, preferred in enumerate(found.get(_PREFERRED, ())):
        here = f"{path}.{_PREFERRED}[{index}]"
        _weight(preferred, here, out)
        _node_term(preferred.get("preference", {}), f"{here}.preference", out, check_values=False)


def node_selector(found: Json, path: str, out: Causes) -> None:
    terms = found.get("nodeSelectorTerms") or ()
    if not terms:
        out.append(required(f"{path}.nodeSelectorTerms", "must have at least one node selector term"))
    for index, term in enumerate(terms):
        _node_term(term, f"{path}.nodeSelectorTerms[{index}]", out, check_values=True)


def _node_term(term: Json, path: str, out: Causes, *, check_values: bool) -> None:
    for index, expression in enumerate(term.get("matchExpressions", ())):
        _node_requirement(expression, f"{path}.matchExpressions[{index}]", out, check_values)
    for index, expression in enumerate(term.get("matchFields", ())):
        _node_field(expression, f"{path}.matchFields[{index}]", out)


def _node_requirement(expression: Json, path: str, out: Causes, check_values: bool) -> None:
    values = expression.get("values") or ()
    match expression.get("operator", ""):
        case "In" | "NotIn":
            if not values:
                out.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        case "Exists" | "DoesNotExist":
            if values:
                why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                out.append(forbidden(f"{path}.values", why))
        case "Gt" | "Lt":
            if len(values) != 1:
                why = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                out.append(required(f"{path}.values", why))
        case operator:
            out.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    key = expression.get("key", "")
    names.check(names.qualified_name(key), f"{path}.key", key, out)
    if check_values:
        for index, value in enumerate(values):
            names.check(names.label_value(value), f"{path}.values[{index}]", value, out)


def _node_field(expression: Json, path: str, out: Causes) -> None:
    values, operator = expression.get("values") or (), expression.get("operator", "")
    if operator in ("In", "NotIn"):
        if len(values) != 1:
            why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            out.append(required(f"{path}.values", why))
    else:
        out.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    if expression.get("key") != "metadata.name":
        out.append(invalid(f"{path}.key", expression.get("key", ""), "not a valid field selector key"))
        return
    for index, value in enumerate(values):
        names.check(names.dns1123_subdomain(value), f"{path}.values[{index}]", value, out)


def _pod_term(term: Json, path: str, out: Causes) -> None:
    label_selector(term.get("labelSelector"), f"{path}.labelSelector", out)
    label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector", out)
    for namespace in term.get("namespaces", ()):
        names.check(names.namespace_name(namespace), f"{path}.namespace", namespace, out)
    _label_keys(term, path, out)
    key = term.get("topologyKey", "")
    if not key:
        out.append(required(f"{path}.topologyKey", "can not be empty"))
    names.check(names.qualified_name(key), f"{path}.topologyKey", key, out)


def _label_keys(term: Json, path: str, out: Causes) -> None:
    for field in ("matchLabelKeys", "mismatchLabelKeys"):
        keys = term.get(field, ())
        if keys and term.get("labelSelector") is None:
            why = "must not be specified when labelSelector is not set"
            out.append(forbidden(f"{path}.{field}", why))
            continue
        for index, key in enumerate(keys):
            names.check(names.qualified_name(key), f"{path}.{field}[{index}]", key, out)
    for index, key in enumerate(term.get("matchLabelKeys", ())):
        if key in term.get("mismatchLabelKeys", ()):
            why = "exists in both matchLabelKeys and mismatchLabelKeys"
            out.append(invalid(f"{path}.matchLabelKeys[{index}]", key, why))


def tolerations(values: list[Json], path: str, out: Causes) -> None:
    for index, toleration in enumerate(values):
        _toleration(toleration, f"{path}[{index}]", out)


def _toleration(toleration: Json, path: str, out: Causes) -> None:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    value, effect = toleration.get("value", ""), toleration.get("effect", "")
    if key and (faults := names.qualified_name(key)):
        names.check(faults, f"{path}.key", key, out)
    if not key and operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        out.append(invalid(f"{path}.operator", operator, why))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        out.append(invalid(f"{path}.effect", effect, why))
    if operator in ("Equal", ""):
        if faults := names.label_value(value):
            out.append(invalid(f"{path}.operator", value, ";".join(faults)))
    elif operator == "Exists":
        if value:
            why = "value must be empty when `operator` is 'Exists'"
            out.append(invalid(f"{path}.operator", value, why))
    else:
        out.append(not_supported(f"{path}.operator", operator, ("Equal", "Exists")))
    if effect and effect not in TAINT_EFFECTS:
        out.append(not_supported(f"{path}.effect", effect, TAINT_EFFECTS))


def taints(values: list[Json], path: str, out: Causes) -> None:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(values):
        here, key, effect = f"{path}[{index}]", taint.get("key", ""), taint.get("effect", "")
        names.check(names.qualified_name(key), f"{here}.key", key, out)
        if faults := names.label_value(taint.get("value", "")):
            out.append(invalid(f"{here}.value", taint.get("value", ""), ";".join(faults)))
        if not effect:
            out.append(required(f"{here}.effect"))
        elif effect not in TAINT_EFFECTS:
            out.append(not_supported(f"{here}.effect", effect, TAINT_EFFECTS))
        if (key, effect) in seen:
            shown = {"Key": key, "Value": taint.get("value", ""), "Effect": effect, "TimeAdded": None}
            out.append(duplicate(here, shown, "taints must be unique by key and effect pair"))
        seen.add((key, effect))


def spread(constraints: list[Json], path: str, out: Causes) -> None:
    for index, constraint in enumerate(constraints):
        _spread(constraint, constraints[index + 1 :], f"{path}[{index}]", out)


def _spread(constraint: Json, rest: list[Json], path: str, out: Causes) -> None:
    key, action = constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", "")
    if constraint.get("maxSkew", 0) <= 0:
        out.append(invalid(f"{path}.maxSkew", constraint.get("maxSkew", 0), _POSITIVE))
    if not key:
        out.append(required(f"{path}.topologyKey", "can not be empty"))
    if action not in ("DoNotSchedule", "ScheduleAnyway"):
        allowed = ("DoNotSchedule", "ScheduleAnyway")
        out.append(not_supported(f"{path}.whenUnsatisfiable", action, allowed))
    if any(key == other.get("topologyKey") and action == other.get("whenUnsatisfiable") for other in rest):
        out.append(duplicate(f"{path}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
    domains = constraint.get("minDomains")
    if domains is not None:
        if domains <= 0:
            out.append(invalid(f"{path}.minDomains", domains, _POSITIVE))
        if action != "DoNotSchedule":
            why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
            out.append(invalid(f"{path}.minDomains", domains, why))
    for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        policy = constraint.get(field)
        if policy is not None and policy not in ("Honor", "Ignore"):
            out.append(not_supported(f"{path}.{field}", policy, ("Honor", "Ignore")))
    _spread_keys(constraint, f"{path}.matchLabelKeys", out)
    label_selector(constraint.get("labelSelector"), f"{path}.labelSelector", out)


def _spread_keys(constraint: Json, path: str, out: Causes) -> None:
    keys, selector = constraint.get("matchLabelKeys", ()), constraint.get("labelSelector")
    if not keys:
        return
    if selector is None:
        out.append(forbidden(path, "must not be specified when labelSelector is not set"))
    selected = set((selector or {}).get("matchLabels", ()))
    selected |= {expression.get("key") for expression in (selector or {}).get("matchExpressions", ())}
    for index, key in enumerate(keys):
        names.check(names.qualified_name(key), f"{path}[{index}]", key, out)
        if key in selected:
            out.append(invalid(f"{path}[{index}]", key, "exists in both matchLabelKeys and labelSelector"))


def gates(values: list[Json], path: str, out: Causes) -> None:
    seen: set[str] = set()
    for index, gate in enumerate(values):
        name = gate.get("name", "")
        names.check(names.qualified_name(name), f"{path}[{index}]", name, out)
        if name in seen:
            out.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)
