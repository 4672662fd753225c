"""A policy's expressions, compiled: variables one after the other, then conditions, validations, mutations.

What was valid when it was stored compiles; where it does not any more, the request that meets it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.apiserver.admission import expressions
from services.apiserver.admission.conditions import Budget, Condition, Failed, compile_conditions
from services.apiserver.cel import CompileError, Environment, EvaluationError, Program
from services.apiserver.cel.types import DYN, Type

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression; `program` None: it does not compile, and `fault` says why."""

    text: str
    program: Program | None
    fault: str = ""

    def evaluate(self, variables: Mapping[str, Any], budget: Budget) -> Any:
        """Failed."""
        if self.program is None:
            raise Failed(f"compilation error: {self.fault}")
        return budget.evaluate(self.program, variables)


@dataclass(frozen=True, slots=True)
class Validation:
    expression: Compiled
    message: str
    message_expression: Compiled | None
    reason: str


@dataclass(frozen=True, slots=True)
class Mutation:
    patch_type: str
    expression: Compiled


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    spec: Json
    conditions: tuple[Condition, ...]
    variables: tuple[tuple[str, Compiled], ...]
    validations: tuple[Validation, ...]
    annotations: tuple[tuple[str, Compiled], ...]
    mutations: tuple[Mutation, ...]

    @property
    def ignores_failure(self) -> bool:
        return bool(self.spec.get("failurePolicy") == "Ignore")


def _compiled(environment: Environment, text: str, answers: tuple[Type, ...]) -> Compiled:
    try:
        return Compiled(text, expressions.compile_as(environment, text, answers))
    except CompileError as error:
        return Compiled(text, None, str(error))


def compile_policy(obj: Json) -> Policy:
    spec, has_params = obj["spec"], obj["spec"].get("paramKind") is not None
    full = expressions.environment(params=has_params, authorizer=True)
    plain = expressions.environment(params=has_params, authorizer=False)
    conditions = compile_conditions(full, spec.get("matchConditions"))
    declared: dict[str, Type] = {}
    variables = []
    for each in spec.get("variables") or ():
        made = _compiled(expressions.with_variables(full, declared), each["expression"], ())
        declared[each["name"]] = made.program.type if made.program is not None else DYN
        variables.append((each["name"], made))
    if declared:
        full, plain = (expressions.with_variables(each, declared) for each in (full, plain))
    return Policy(
        obj["metadata"]["name"],
        spec,
        conditions,
        tuple(variables),
        tuple(_validation(each, full, plain) for each in spec.get("validations") or ()),
        tuple(
            (each["key"], _compiled(full, each["valueExpression"].strip(), expressions.AUDIT))
            for each in spec.get("auditAnnotations") or ()
        ),
        tuple(_mutation(each, full) for each in spec.get("mutations") or ()),
    )


def _validation(found: Json, full: Environment, plain: Environment) -> Validation:
    said = found.get("messageExpression") or ""
    return Validation(
        _compiled(full, found["expression"], expressions.CONDITION),
        (found.get("message") or "").strip(),
        _compiled(plain, said, expressions.MESSAGE) if said else None,
        found.get("reason") or "",
    )


def _mutation(found: Json, full: Environment) -> Mutation:
    kind = found["patchType"]
    environment, answers = expressions.for_mutation(full, kind)
    text = (found.get("applyConfiguration" if kind == "ApplyConfiguration" else "jsonPatch") or {})[
        "expression"
    ]
    return Mutation(kind, _compiled(environment, text, answers))


class LazyVariables:
    """`variables.NAME`: evaluated when first asked for, then kept; what failed fails again."""

    def __init__(self, policy: Policy, seen: Mapping[str, Any], budget: Budget) -> None:
        self._waiting = {
            name: partial(each.evaluate, {**seen, "variables": self}, budget)
            for name, each in policy.variables
        }
        self._known: dict[str, Any] = {}

    def cel_field(self, name: str) -> Any:
        """EvaluationError."""
        if name not in self._known:
            if name not in self._waiting:
                raise EvaluationError(f"no such key: {name}")
            try:
                self._known[name] = self._waiting[name]()
            except Failed as error:
                raise EvaluationError(f'composited variable "{name}" fails to evaluate: {error}') from None
        return self._known[name]

    def cel_has(self, name: str) -> bool:
        return name in self._waiting


def with_policy_variables(
    policy: Policy, seen: Mapping[str, Any], param: Json | None, budget: Budget
) -> dict[str, Any]:
    variables = {**seen, "params": param}
    if policy.variables:
        variables["variables"] = LazyVariables(policy, variables, budget)
    return variables
