"""Why a definition is refused for the rules of its schema: they cannot be compiled, or could cost too much.

Upstream: the CEL part of `ValidateCustomResourceDefinitionOpenAPISchema`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.cel import Program
from services.apiserver.crd import internal_form
from services.apiserver.crd.cost_functions import ENDLESS
from services.apiserver.crd.costs import Estimate
from services.apiserver.crd.rule_types import Types
from services.apiserver.crd.rules import Rule, compile_rule
from services.apiserver.crd.sizes import REQUEST_BYTES_MAX, Place, Places
from services.apiserver.crd.structural import Node
from services.machinery.field_errors import Cause, Causes, forbidden, invalid

Json = dict[str, Any]

RULE_COST_MAX, SCHEMA_COST_MAX = 10_000_000, 100_000_000
_TOLD_MAX = 4  # of the rules that cost most
_NO_TYPES = {
    "reason": "InternalError",
    "message": (
        "Internal error: internal error: failed to construct type information for x-kubernetes-validations"
        " rules: unable to convert structural schema to CEL declarations"
    ),
}


class DefinitionRules:
    """Looks at the rules of one schema, place by place. `excused`: single rules may cost what they cost."""

    def __init__(self, *, excused: bool = False) -> None:
        self._types, self._places, self._excused = Types(), Places(), excused
        self._costs: list[tuple[int, str]] = []

    def __call__(
        self, node: Node, path: str, uncorrelatable: str, often: int | None, *, is_root: bool
    ) -> Causes:
        """`often`: how many such places an object may have; None where there is no bound."""
        is_root = is_root or node.embedded
        path = f"{path}.x-kubernetes-validations"
        kind, place = self._types.of(node, is_root=is_root), self._places.of(node, is_root=is_root)
        if kind is None or place is None:
            return [{**_NO_TYPES, "field": path}]
        if often is None:
            often = REQUEST_BYTES_MAX // (place.bytes_min + 1)
        out: Causes = []
        for index, given in enumerate(node.rules):
            rule, here = compile_rule(given, node, kind), f"{path}[{index}]"
            out += self._cost_faults(rule.program, place, often, f"{here}.rule", "estimated rule cost")
            out += _faults(rule, here)
            what = "estimated messageExpression cost"
            out += self._cost_faults(rule.message, place, 1, f"{here}.messageExpression", what)
            out += _old_value_faults(rule, here, uncorrelatable)
        return out

    def _cost_faults(self, program: Program | None, place: Place, often: int, path: str, what: str) -> Causes:
        if program is None:
            return []
        cost = min(Estimate(program.tree, place).most * often, ENDLESS)
        self._costs.append((cost, path))
        if cost <= RULE_COST_MAX or self._excused:
            return []
        return [forbidden(path, _too_costly(what, cost, RULE_COST_MAX))]

    def total_faults(self, path: str) -> Causes:
        """Where all rules together cost too much."""
        total = min(sum(cost for cost, _ in self._costs), ENDLESS)
        if total <= SCHEMA_COST_MAX:
            return []
        expensive = [each for each in self._costs if each[0] >= SCHEMA_COST_MAX // 100]
        expensive.sort(key=lambda each: -each[0])
        why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        return [
            *(forbidden(where, why) for _, where in expensive[:_TOLD_MAX]),
            forbidden(path, _too_costly(what, total, SCHEMA_COST_MAX)),
        ]


def _too_costly(what: str, cost: int, most: int) -> str:
    factor = cost / most
    shown = "more than 100x" if factor > 100 else f"{factor:.6f}x" if factor < 1.5 else f"{factor:.1f}x"
    return (
        f"{what} exceeds budget by factor of {shown} (try simplifying the rule, or adding maxItems,"
        " maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )


def _faults(rule: Rule, path: str) -> Causes:
    shown = internal_form.text(internal_form.rule(rule.given))
    out = [_shown(f"{path}.rule", shown, rule.fault)] if rule.fault else []
    if rule.message_fault:
        out.append(_shown(f"{path}.messageExpression", shown, rule.message_fault))
    return out


def _old_value_faults(rule: Rule, path: str, uncorrelatable: str) -> Causes:
    optional = rule.given.get("optionalOldSelf")
    if rule.compares and uncorrelatable:
        why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
        return [invalid(f"{path}.rule", rule.given["rule"], why)]
    if not rule.compares and optional is not None:
        return [invalid(f"{path}.optionalOldSelf", optional, "may not be set if oldSelf is not used in rule")]
    return []


def _shown(path: str, shown: str, why: str) -> Cause:
    return {"reason": "FieldValueInvalid", "message": f"Invalid value: {shown}: {why}", "field": path}
