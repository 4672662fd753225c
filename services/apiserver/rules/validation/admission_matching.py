"""What webhooks and policies have in common: rules about requests, selectors, match conditions.

Upstream: `pkg/apis/admissionregistration/validation`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.admission import expressions
from services.apiserver.cel import CompileError, Environment
from services.apiserver.cel.types import Type
from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import label_selector
from services.machinery.field_errors import Causes, duplicate, invalid, not_supported, required, too_many

Json = dict[str, Any]
FAILURE_POLICIES = ("Fail", "Ignore")
_MATCH_POLICIES = ("Equivalent", "Exact")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
CONDITIONS_MAX = 64


def one_of(holder: Json, field: str, known: tuple[str, ...], path: str, out: Causes) -> None:
    value = holder.get(field)
    if value is not None and value not in known:
        out.append(not_supported(f"{path}.{field}", value, known))


def match_policy(holder: Json, path: str, out: Causes) -> None:
    one_of(holder, "matchPolicy", _MATCH_POLICIES, path, out)


def rule(found: Json, path: str, out: Causes) -> None:
    """RuleWithOperations."""
    operations = found.get("operations") or []
    if not operations:
        out.append(required(f"{path}.operations"))
    _alone(operations, f"{path}.operations", "operations", out)
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            out.append(not_supported(f"{path}.operations[{index}]", operation, _OPERATIONS))
    groups, versions = found.get("apiGroups") or [], found.get("apiVersions") or []
    if not groups:
        out.append(required(f"{path}.apiGroups"))
    _alone(groups, f"{path}.apiGroups", "API groups", out)
    if not versions:
        out.append(required(f"{path}.apiVersions"))
    _alone(versions, f"{path}.apiVersions", "API versions", out)
    for index, version in enumerate(versions):
        if not version:
            out.append(required(f"{path}.apiVersions[{index}]"))
    _resources(found.get("resources") or [], f"{path}.resources", out)
    one_of(found, "scope", _SCOPES, path, out)


def _alone(values: list[str], path: str, what: str, out: Causes) -> None:
    if len(values) > 1 and "*" in values:
        out.append(invalid(path, values, f"if '*' is present, must not specify other {what}"))


def _resources(resources: list[str], path: str, out: Causes) -> None:
    if not resources:
        out.append(required(path))
    whole: set[str] = set()
    parts: set[str] = set()
    plain = False
    for index, found in enumerate(resources):
        if not found:
            out.append(required(f"{path}[{index}]"))
            continue
        resource, slash, part = found.partition("/")
        if not slash:
            plain = found != "*"
            continue
        if resource in whole:
            why = f"if '{resource}/*' is present, must not specify {found}"
            out.append(invalid(f"{path}[{index}]", found, why))
        if part in parts:
            out.append(
                invalid(f"{path}[{index}]", found, f"if '*/{part}' is present, must not specify {found}")
            )
        if part == "*":
            whole.add(resource)
        if resource == "*":
            parts.add(part)
    if len(resources) > 1 and "*/*" in resources:
        out.append(invalid(path, resources, "if '*/*' is present, must not specify other resources"))
    if "*" in resources and plain:
        why = "if '*' is present, must not specify other resources without subresources"
        out.append(invalid(path, resources, why))


def match_resources(match: Json | None, path: str, out: Causes) -> None:
    if match is None:
        return
    match_policy(match, path, out)
    for field in ("namespaceSelector", "objectSelector"):
        label_selector(match.get(field), f"{path}.{field}", out)
    for field in ("resourceRules", "excludeResourceRules"):
        for index, found in enumerate(match.get(field) or ()):
            _named_rule(found, f"{path}.{field}[{index}]", out)


def _named_rule(found: Json, path: str, out: Causes) -> None:
    seen: set[str] = set()
    for index, name in enumerate(found.get("resourceNames") or ()):
        names.check(names.path_segment(name), f"{path}.resourceNames[{index}]", name, out)
        if name in seen:
            out.append(duplicate(f"{path}.resourceNames[{index}]", name))
        seen.add(name)
    rule(found, path, out)


def conditions(found: list[Json] | None, path: str, out: Causes, *, params: bool) -> None:
    """Match conditions: CEL that says whether a request concerns a webhook or policy at all."""
    found = found or []
    if len(found) > CONDITIONS_MAX:
        out.append(too_many(path, len(found), CONDITIONS_MAX))
        return
    environment = expressions.environment(params=params, authorizer=True)
    seen: set[str] = set()
    for index, condition in enumerate(found):
        at, text, name = (
            f"{path}[{index}]",
            condition.get("expression", "").strip(),
            condition.get("name", ""),
        )
        if not text:
            out.append(required(f"{at}.expression"))
        else:
            expression(environment, text, f"{at}.expression", expressions.CONDITION, out)
        if not name:
            out.append(required(f"{at}.name"))
            continue
        names.check(names.qualified_name(name), f"{at}.name", name, out)
        if name in seen:
            out.append(duplicate(f"{at}.name", name))
        seen.add(name)


def expression(
    environment: Environment, text: str, path: str, answers: tuple[Type, ...], out: Causes
) -> Type | None:
    """What it answers; None where it does not compile, which `out` tells."""
    try:
        return expressions.compile_as(environment, text, answers).type
    except CompileError as error:
        out.append(invalid(path, text, str(error)))
        return None
