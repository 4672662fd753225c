"""ValidatingAdmissionPolicy: what policies say of a request, and what their bindings make of that.

Upstream: `apiserver/pkg/admission/plugin/policy/validating`. A failed validation is denied, warned about or
noted in the audit log, as the binding says; of several denials the first is told. A policy that cannot be
evaluated counts as failed, unless it ignores failures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.admission import matching
from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.conditions import Budget, Failed, holds
from services.apiserver.admission.policy_programs import Policy, Validation, with_policy_variables
from services.apiserver.admission.registrations import Bound
from services.apiserver.strands import Strands

Json = dict[str, Any]
MESSAGE_BYTES_MAX = 5 * 1024
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}
Parameters = Callable[[Policy, Json, Attributes], list[Json | None]]


class Misconfigured(Exception):
    """A binding whose parameters cannot be found."""


@dataclass(slots=True)
class Judgement:
    """What is to be told of a request: who denies it, to its sender, and to the audit log."""

    denials: list[Denial] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Denial:
    policy: str
    binding: str
    message: str
    reason: str = ""


def binding_matches(binding: Json, asked: Attributes, equivalents: matching.Equivalents) -> bool:
    """What a binding narrows the policy to."""
    match = binding["spec"].get("matchResources")
    return match is None or is_meant(match, asked, equivalents, anything=True)


def is_meant(
    match: Json, asked: Attributes, equivalents: matching.Equivalents, *, anything: bool = False
) -> bool:
    """MatchResources; `anything`: no rules at all mean every request."""
    policy, rules = match.get("matchPolicy", "Equivalent"), match.get("resourceRules") or ()
    if not rules and not anything:
        return False
    if rules and matching.matched_as(rules, asked, policy, equivalents) is None:
        return False
    excluded = match.get("excludeResourceRules") or ()
    if excluded and matching.matched_as(excluded, asked, policy, equivalents) is not None:
        return False
    return matching.namespace_selected(match.get("namespaceSelector"), asked) and matching.object_selected(
        match.get("objectSelector"), asked
    )


def denied(asked: Attributes, kind: str, denial: Denial) -> ApiError:
    with_binding = f" with binding '{denial.binding}'" if denial.binding else ""
    message = f"{kind} '{denial.policy}'{with_binding} denied request: {denial.message}"
    error = errors.forbidden(asked.resource, asked.shown_name, message)
    reason = denial.reason or "Invalid"
    error.status["reason"], error.status["code"] = reason, _CODES.get(reason, 422)
    error.status["details"]["causes"] = [{"message": message}]
    return error


def verdicts(
    policy: Policy, seen: Mapping[str, Any], param: Json | None, budget: Budget
) -> Iterable[tuple[int, str, str, bool]]:
    """Index, message, reason and whether the evaluation failed, for each validation that does not hold."""
    variables = with_policy_variables(policy, seen, param, budget)
    try:
        if not holds(policy.conditions, variables, budget):
            return
    except Failed as error:
        yield 0, str(error), "", True
        return
    for index, validation in enumerate(policy.validations):
        try:
            if validation.expression.evaluate(variables, budget) is True:
                continue
        except Failed as error:
            yield index, str(error), "", True
            continue
        yield index, _message(validation, variables, budget), validation.reason or "Invalid", False


def _message(validation: Validation, variables: Mapping[str, Any], budget: Budget) -> str:
    if validation.message_expression is not None:
        try:
            said = validation.message_expression.evaluate(variables, budget)
        except Failed:
            said = ""
        text = said.strip() if isinstance(said, str) else ""
        if text and "\n" not in text and len(text) <= MESSAGE_BYTES_MAX:
            return text
    return validation.message or f"failed expression: {validation.expression.text.strip()}"


def annotations_of(
    policy: Policy, seen: Mapping[str, Any], param: Json | None, budget: Budget
) -> dict[str, str]:
    """What the policy has to say to the audit log. Failed."""
    if not policy.annotations:
        return {}
    variables = with_policy_variables(policy, seen, param, budget)
    if not holds(policy.conditions, variables, budget):
        return {}
    found = {}
    for key, expression in policy.annotations:
        value = expression.evaluate(variables, budget)
        if isinstance(value, str) and value.strip():
            found[f"{policy.name}/{key}"] = value.strip()
    return found


class Policies:
    """`seen` are the variables of a request; `note` takes annotations for the audit log."""

    def __init__(
        self,
        parameters: Parameters,
        equivalents: matching.Equivalents,
        note: Callable[[str, str], None],
        strands: Strands,
    ) -> None:
        self._parameters, self._equivalents, self._note = parameters, equivalents, note
        self._strands = strands

    async def validate(
        self, bounds: Iterable[Bound], asked: Attributes, seen: Callable[[Attributes], Mapping[str, Any]]
    ) -> None:
        """ApiError (403, 413, 422)."""
        found = await self._strands.judge(lambda: self._judge(bounds, asked, seen))
        for warning in found.warnings:
            asked.ctx.warn(warning)
        for key, value in found.notes:
            self._note(key, value)
        if found.denials:
            raise denied(asked, "ValidatingAdmissionPolicy", found.denials[0])

    def _judge(
        self, bounds: Iterable[Bound], asked: Attributes, seen: Callable[[Attributes], Mapping[str, Any]]
    ) -> Judgement:
        found = Judgement()
        for bound in bounds:
            constraints = bound.policy.spec.get("matchConstraints") or {}
            if not is_meant(constraints, asked, self._equivalents):
                continue
            budget = Budget()
            for binding in bound.bindings:
                if binding_matches(binding, asked, self._equivalents):
                    self._bound(bound.policy, binding, asked, seen(asked), budget, found)
        return found

    def _bound(
        self,
        policy: Policy,
        binding: Json,
        asked: Attributes,
        seen: Mapping[str, Any],
        budget: Budget,
        found: Judgement,
    ) -> None:
        name, actions = binding["metadata"]["name"], binding["spec"].get("validationActions") or ()
        try:
            parameters = self._parameters(policy, binding, asked)
        except Misconfigured as error:
            if not policy.ignores_failure:
                found.denials.append(Denial(policy.name, name, f"failed to configure binding: {error}"))
            return
        noted = []
        for param in parameters:
            for index, message, reason, is_failure in verdicts(policy, seen, param, budget):
                if is_failure and policy.ignores_failure:
                    continue
                if "Deny" in actions:
                    found.denials.append(Denial(policy.name, name, message, reason))
                if "Warn" in actions:
                    which = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{name}'"
                    found.warnings.append(f"Validation failed for {which}: {message}")
                if "Audit" in actions:
                    noted.append(_noted(policy.name, name, index, message, actions))
            try:
                found.notes += annotations_of(policy, seen, param, budget).items()
            except Failed as error:
                if not policy.ignores_failure:
                    found.denials.append(Denial(policy.name, name, str(error)))
        if noted:
            key = "validation.policy.admission.k8s.io/validation_failure"
            found.notes.append((key, orjson.dumps(noted).decode()))


def _noted(policy: str, binding: str, index: int, message: str, actions: Sequence[str]) -> Json:
    """A failed validation, as the audit log has it."""
    found = {"message": message, "policy": policy, "binding": binding, "expressionIndex": index}
    return {**found, "validationActions": list(actions)}
