"""Expressions at work: what they see of a request, and the match conditions of webhooks and policies.

Upstream: `apiserver/pkg/admission/plugin/cel`, `…/webhook/matchconditions`. What one webhook or policy may
spend for one request is bounded over all of its expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.apiserver.admission.attributes import Attributes, GroupVersionKind
from services.apiserver.admission.expressions import CONDITION, compile_as
from services.apiserver.cel import CompileError, CostExceeded, Environment, EvaluationError, Program
from services.apiserver.cel.environment import BUDGET
from services.apiserver.cel.library.access import Asked, AuthorizerValue, Decide, ResourceCheck

Json = dict[str, Any]
Authorize = Callable[[Attributes, Asked], tuple[bool, str, str]]
_NAMESPACE = GroupVersionKind("", "v1", "Namespace")
CONDITIONS_BUDGET = BUDGET // 4
OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class Failed(Exception):
    """An expression that has no value for this request; the text is what the user reads."""


class Budget:
    """What is left to spend."""

    def __init__(self, limit: int = BUDGET) -> None:
        self.left = limit

    def evaluate(self, program: Program, variables: Mapping[str, Any]) -> Any:
        """Failed."""
        if self.left <= 0:
            raise Failed(OUT_OF_BUDGET)
        try:
            value, cost = program.evaluate(variables, self.left)
        except EvaluationError as error:
            raise Failed(f"expression '{program.text}' resulted in error: {error}") from None
        except CostExceeded as error:
            self.left = 0
            raise Failed(f"expression '{program.text}' resulted in error: {error}") from None
        self.left -= cost
        return value


@dataclass(frozen=True, slots=True)
class Condition:
    """`program` None: it does not compile any more, and `fault` says why."""

    name: str
    program: Program | None
    fault: str = ""


def compile_conditions(environment: Environment, given: list[Json] | None) -> tuple[Condition, ...]:
    made = []
    for each in given or ():
        try:
            program = compile_as(environment, each["expression"].strip(), CONDITION)
            made.append(Condition(each["name"], program))
        except CompileError as error:
            made.append(Condition(each["name"], None, f"compilation error: {error}"))
    return tuple(made)


def holds(conditions: tuple[Condition, ...], variables: Mapping[str, Any]) -> bool:
    """Whether all do. One that does not decides, whatever became of the others. Failed."""
    faults: list[str] = []
    budget = Budget(CONDITIONS_BUDGET)
    for condition in conditions:
        if condition.program is None:
            faults.append(condition.fault)
            continue
        try:
            if budget.evaluate(condition.program, variables) is not True:
                return False
        except Failed as error:
            faults.append(str(error))
    if faults:
        raise Failed(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")
    return True


def variables_of(asked: Attributes, namespace: Json | None, authorize: Authorize) -> dict[str, Any]:
    """What every expression may name; `params` and `variables` come on top."""

    def decide(question: Asked) -> tuple[bool, str, str]:
        return authorize(asked, question)

    return {
        "object": asked.obj,
        "oldObject": asked.old,
        "request": request_of(asked),
        # A Namespace is in none, though its requests name it as theirs.
        "namespaceObject": None if asked.kind == _NAMESPACE else namespace_seen(namespace),
        "authorizer": AuthorizerValue(decide),
        "authorizer.requestResource": _own_resource(asked, decide),
    }


def _own_resource(asked: Attributes, decide: Decide) -> ResourceCheck:
    resource = asked.resource
    question = Asked(
        "", group=resource.group, resource=resource.plural, subresource=asked.subresource,
        namespace=asked.namespace, name=asked.name,
    )  # fmt: skip
    return ResourceCheck(decide, question)


def request_of(asked: Attributes) -> Json:
    """AdmissionRequest less the objects, as expressions see it: what is empty is not there."""
    kind, resource = asked.kind._asdict(), asked.resource
    where = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    found = {
        "kind": kind,
        "resource": where,
        "subResource": asked.subresource,
        "requestKind": kind,
        "requestResource": where,
        "requestSubResource": asked.subresource,
        "name": asked.shown_name if asked.operation != "CREATE" else asked.name,
        "namespace": asked.name if _is_known_namespace(asked) else asked.namespace,
        "operation": asked.operation,
        "userInfo": asked.user.info(),
    }
    request = {key: value for key, value in found.items() if value}
    return {**request, "dryRun": asked.dry_run, "options": asked.options or None}


def _is_known_namespace(asked: Attributes) -> bool:
    """A Namespace counts as in itself, once it is there."""
    resource = asked.resource
    return (resource.group, resource.plural) == ("", "namespaces") and asked.operation != "CREATE"


_SEEN = (
    "name", "generateName", "namespace", "labels", "annotations", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "generation", "resourceVersion", "finalizers",
)  # fmt: skip


def namespace_seen(namespace: Json | None) -> Json | None:
    """The fields of a Namespace that expressions know."""
    if namespace is None:
        return None
    meta = namespace["metadata"]
    shown = {name: meta[name] for name in _SEEN if name in meta}
    if "uid" in meta:
        shown["UID"] = meta["uid"]
    return {"metadata": shown, "spec": namespace.get("spec") or {}, "status": namespace.get("status") or {}}
