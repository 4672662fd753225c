"""MutatingAdmissionPolicy: what policies change, by JSON patches or by apply configurations made in CEL.

Upstream: `apiserver/pkg/admission/plugin/policy/mutating`. Each mutation sees what the one before it made;
managedFields stay the caller's. A policy that fails refuses the request, unless it ignores failures.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.conditions import Budget, Failed, holds
from services.apiserver.admission.matching import Equivalents
from services.apiserver.admission.policies import (
    Denial,
    Misconfigured,
    Parameters,
    binding_matches,
    denied,
    is_meant,
)
from services.apiserver.admission.policy_programs import Mutation, Policy, with_policy_variables
from services.apiserver.admission.registrations import Bound
from services.apiserver.cel import values
from services.machinery.patch import apply as apply_patch
from services.machinery.patch.json_patch import NotApplicable, NotMeant, applied
from services.machinery.schema import Schema

Json = dict[str, Any]
_KIND = "MutatingAdmissionPolicy"
_MANAGER = "mutating-admission-policy"
EXACT_MAX = 2**53 - 1


class Mutations:
    def __init__(
        self,
        parameters: Parameters,
        equivalents: Equivalents,
        variables: Callable[[Attributes], Mapping[str, Any]],
        now: Callable[[], datetime],
    ) -> None:
        self._parameters, self._equivalents = parameters, equivalents
        self._variables, self._now = variables, now

    def mutate(
        self, bound: Bound, asked: Attributes, schema: Schema, settle: Callable[[Json], Json]
    ) -> bool | None:
        """Changes `asked.obj`; whether there was a change, None where it is not concerned. ApiError."""
        constraints = bound.policy.spec.get("matchConstraints") or {}
        if asked.obj is None or not is_meant(constraints, asked, self._equivalents):
            return None
        before, budget = asked.obj, Budget()
        wanted = [each for each in bound.bindings if binding_matches(each, asked, self._equivalents)]
        for binding in wanted:
            self._bound(bound.policy, binding, asked, schema, settle, budget)
        return asked.obj != before if wanted else None

    def _bound(
        self,
        policy: Policy,
        binding: Json,
        asked: Attributes,
        schema: Schema,
        settle: Callable[[Json], Json],
        budget: Budget,
    ) -> None:
        before = asked.obj
        try:
            for param in self._parameters(policy, binding, asked):
                self._apply(policy, param, asked, schema, settle, budget)
        except (Failed, Misconfigured, ApiError) as error:
            asked.obj = before
            if policy.ignores_failure:
                return
            name = binding["metadata"]["name"]
            if isinstance(error, Misconfigured):
                raise denied(asked, _KIND, error.denial(policy, name)) from error
            raise denied(asked, _KIND, Denial(policy.name, name, str(error))) from error

    def _apply(
        self,
        policy: Policy,
        param: Json | None,
        asked: Attributes,
        schema: Schema,
        settle: Callable[[Json], Json],
        budget: Budget,
    ) -> None:
        seen = with_policy_variables(policy, self._variables(asked), param, budget)
        if not holds(policy.conditions, seen):
            return
        for mutation in policy.mutations:
            seen = with_policy_variables(policy, self._variables(asked), param, budget)
            answer = mutation.expression.evaluate(seen, budget)
            assert asked.obj is not None
            asked.obj = settle(self._changed(mutation, asked.obj, answer, schema))

    def _changed(self, mutation: Mutation, obj: Json, answer: Any, schema: Schema) -> Json:
        wanted = json_of(answer)
        if mutation.patch_type == "JSONPatch":
            try:
                return applied(obj, wanted)
            except NotMeant:
                return obj
            except NotApplicable as error:
                raise Failed(f"JSON Patch: {error}") from None
        if not isinstance(wanted, dict):
            raise Failed(f"expression '{mutation.expression.text}' must evaluate to Object")
        return merged(obj, wanted, schema, self._now())


def json_of(value: Any) -> Any:
    """What an expression answers, as JSON has it. Failed."""
    match value:
        case dict():
            return {key: json_of(each) for key, each in value.items()}
        case list():
            return [json_of(each) for each in value]
        case bool() | str() | float() | None:
            return value
        case int():
            # What other readers of JSON would not tell apart is a text, as in protobuf's JSON.
            return int(value) if abs(value) <= EXACT_MAX else str(int(value))
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return values.timestamp_text(value)
        case values.Duration():
            return values.duration_text(value)
    raise Failed(f"a value of type {values.type_of(value)} cannot be written as JSON")


def merged(obj: Json, wanted: Json, schema: Schema, now: datetime) -> Json:
    """What a forced apply of `wanted` makes of the object; who owns its fields stays as it was. ApiError."""
    if "managedFields" in (wanted.get("metadata") or {}):
        raise errors.bad_request("ApplyConfiguration may not set metadata.managedFields")
    meta = obj["metadata"]
    names = {key: meta[key] for key in ("name", "namespace", "generateName") if key in meta}
    config = {
        **orjson.loads(orjson.dumps(wanted)),
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
    }
    config["metadata"] = {**(config.get("metadata") or {}), **names}
    live = {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}
    made = apply_patch.apply(
        orjson.loads(orjson.dumps(live)),
        config,
        manager=_MANAGER,
        force=True,
        subresource="",
        api_version=obj["apiVersion"],
        kind=obj["kind"],
        now=now,
        schema=schema,
    )
    made["metadata"].pop("managedFields", None)
    if "managedFields" in meta:
        made["metadata"]["managedFields"] = meta["managedFields"]
    return made
