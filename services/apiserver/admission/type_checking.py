"""Whether the expressions of a policy fit the kinds that it is about: what its status warns of. Pure.

Nothing depends on it: a policy that is warned of is evaluated like any other. Only kinds that a rule names in
full are looked at, ten of a rule at most. Upstream: `typechecking.go` of
`apiserver/pkg/admission/plugin/policy/validating`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from services.api.kinds import Resource
from services.apiserver.admission import expressions
from services.apiserver.admission.declared_types import DeclaredTypes
from services.apiserver.cel import CompileError, Environment
from services.apiserver.cel.types import DYN, Type
from services.apiserver.registry.catalog import Catalog

Json = dict[str, Any]
KINDS_MAX = 10


def warnings_of(policy: Json, catalog: Catalog) -> list[Json]:
    """`status.typeChecking.expressionWarnings`."""
    spec, known = policy["spec"], DeclaredTypes(catalog.described)
    params = _params(spec, catalog, known)
    checked = [
        (f"{each.group}/{each.version}, Kind={each.kind}", _environment(spec, kind, params))
        for each in kinds_of(spec, catalog)
        if (kind := known.of(each)) is not None
    ]
    found = []
    for field, text in _expressions(spec):
        faults = [f"{name}: {fault}\n" for name, seen in checked if (fault := _fault(seen, text))]
        if faults:
            found.append({"fieldRef": field, "warning": "\n".join(faults)})
    return found


def kinds_of(spec: Json, catalog: Catalog) -> list[Resource]:
    """The kinds that a policy's rules name, ordered by group, version and kind."""
    found: dict[tuple[str, str, str], Resource] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        named = list(islice(_named(rule, catalog), KINDS_MAX))
        found |= {(each.group, each.version, each.kind): each for each in named}
        if len(named) == KINDS_MAX:
            break
    return [found[key] for key in sorted(found)]


def _named(rule: Json, catalog: Catalog) -> Iterator[Resource]:
    groups, versions = sorted(rule.get("apiGroups") or ()), sorted(rule.get("apiVersions") or ())
    if any("*" in each for each in (*groups, *versions)):
        return
    plurals = sorted(each for each in rule.get("resources") or () if not {"*", "/"} & set(each))
    for group, version, plural in product(groups, versions, plurals):
        if (resource := catalog.named(group, version, plural)) is not None:
            yield resource


def _params(spec: Json, catalog: Catalog, known: DeclaredTypes) -> Type | None:
    """None where there are none, or nobody knows their kind: no expression may name them then."""
    kind = spec.get("paramKind") or {}
    resource = catalog.of_kind(kind.get("apiVersion", ""), kind.get("kind", ""))
    return known.of(resource) if resource is not None else None


def _environment(spec: Json, kind: Type, params: Type | None) -> Environment:
    """What an expression may name where the policy is about objects of that kind."""
    given = {"object": kind, "oldObject": kind}
    if params is not None:
        given["params"] = params
    base = expressions.environment(params=params is not None, authorizer=True).extended(given)
    declared: dict[str, Type] = {}
    for each in spec.get("variables") or ():
        try:
            declared[each["name"]] = (
                expressions.with_variables(base, declared).compile(each["expression"]).type
            )
        except CompileError:
            declared[each["name"]] = DYN
    return expressions.with_variables(base, declared)


def _expressions(spec: Json) -> Iterator[tuple[str, str]]:
    for index, each in enumerate(spec.get("validations") or ()):
        for name in ("expression", "messageExpression"):
            if each.get(name):
                yield f"spec.validations[{index}].{name}", each[name]


def _fault(environment: Environment, text: str) -> str:
    try:
        environment.compile(text)
    except CompileError as error:
        return str(error)
    return ""
