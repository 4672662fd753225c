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
ANNOTATION_BYTES_MAX = 10 * 1024
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}
Parameters = Callable[[Policy, Json, Attributes], list[Json | None]]


class Misconfigured(Exception):
    """A binding whose parameters cannot be found; `of_policy`: no binding of the policy could do better."""

    def __init__(self, why: str, *, of_policy: bool = False) -> None:
        super().__init__(why)
        self._of_policy = of_policy

    def denial(self, policy: Policy, binding: str) -> Denial:
        if self._of_policy:
            return Denial(policy.name, "", f"failed to configure policy: {self}")
        return Denial(policy.name, binding, f"failed to configure binding: {self}")


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a validation that does not hold; `reason` is empty where it has no value."""

    index: int
    message: str
    reason: str = ""


@dataclass(slots=True)
class Findings:
    """What a policy says of a request with one param: verdicts, and for the audit log what and what not."""

    verdicts: list[Verdict] = field(default_factory=list)
    annotations: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def findings_of(policy: Policy, seen: Mapping[str, Any], param: Json | None, budget: Budget) -> Findings:
    found = Findings()
    variables = with_policy_variables(policy, seen, param, budget)
    try:
        if not holds(policy.conditions, variables):
            return found
    except Failed as error:
        found.verdicts.append(Verdict(0, str(error)))
        return found
    for index, validation in enumerate(policy.validations):
        try:
            if validation.expression.evaluate(variables, budget) is not True:
                message = _message(validation, variables, budget)
                found.verdicts.append(Verdict(index, message, validation.reason or "Invalid"))
        except Failed as error:
            found.verdicts.append(Verdict(index, str(error)))
    _annotate(policy, variables, budget, found)
    return found


def _annotate(policy: Policy, variables: Mapping[str, Any], budget: Budget, found: Findings) -> None:
    for key, expression in policy.annotations:
        try:
            value = expression.evaluate(variables, budget)
        except Failed as error:
            found.faults.append(str(error))
            continue
        if isinstance(value, str) and (text := value.strip()):
            found.annotations.append((key, text.encode()[:ANNOTATION_BYTES_MAX].decode("utf-8", "ignore")))


def _message(validation: Validation, variables: Mapping[str, Any], budget: Budget) -> str:
    if validation.message_expression is not None:
        try:
            said = validation.message_expression.evaluate(variables, budget)
        except Failed:
            said = ""
        text = said.strip() if isinstance(said, str) else ""
        if text and "\n" not in text and len(text.encode()) <= MESSAGE_BYTES_MAX:
            return text
    return validation.message or f"failed expression: {validation.expression.text.strip()}"


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
            annotations: dict[str, list[str]] = {}
            for binding in bound.bindings:
                if binding_matches(binding, asked, self._equivalents):
                    self._bound(bound.policy, binding, asked, seen(asked), found, annotations)
            # Of several bindings and params each that says something else is told.
            found.notes += (
                (f"{bound.policy.name}/{key}", ", ".join(dict.fromkeys(values)))
                for key, values in annotations.items()
            )
        return found

    def _bound(
        self,
        policy: Policy,
        binding: Json,
        asked: Attributes,
        seen: Mapping[str, Any],
        found: Judgement,
        annotations: dict[str, list[str]],
    ) -> None:
        name = binding["metadata"]["name"]
        try:
            parameters = self._parameters(policy, binding, asked)
        except Misconfigured as error:
            if not policy.ignores_failure:
                found.denials.append(error.denial(policy, name))
            return
        noted: list[Json] = []
        budget = Budget()
        for param in parameters:
            findings = findings_of(policy, seen, param, budget)
            for verdict in findings.verdicts:
                if verdict.reason or not policy.ignores_failure:
                    _tell(policy, binding, verdict, found, noted)
            for key, value in findings.annotations:
                annotations.setdefault(key, []).append(value)
            if not policy.ignores_failure:
                found.denials += [Denial(policy.name, name, fault) for fault in findings.faults]
        if noted:
            key = "validation.policy.admission.k8s.io/validation_failure"
            found.notes.append((key, orjson.dumps(noted).decode()))


def _tell(policy: Policy, binding: Json, verdict: Verdict, found: Judgement, noted: list[Json]) -> None:
    """Whom the binding says to."""
    name, actions = binding["metadata"]["name"], binding["spec"].get("validationActions") or ()
    if "Deny" in actions:
        found.denials.append(Denial(policy.name, name, verdict.message, verdict.reason))
    if "Warn" in actions:
        which = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{name}'"
        found.warnings.append(f"Validation failed for {which}: {verdict.message}")
    if "Audit" in actions:
        noted.append(_noted(policy.name, name, verdict.index, verdict.message, actions))


def _noted(policy: str, binding: str, index: int, message: str, actions: Sequence[str]) -> Json:
    """A failed validation, as the audit log has it."""
    found = {"message": message, "policy": policy, "binding": binding, "expressionIndex": index}
    return {**found, "validationActions": list(actions)}
