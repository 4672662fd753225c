"""x-kubernetes-validations: the rules of a schema as programs, and what they find in an object.

Programs are compiled when first needed. A rule about a part of the object that an update did not touch
is forgiven, unless it compares with the old value. All rules together may cost a request no more than
`BUDGET`. Upstream: `schema/cel` of apiextensions-apiserver; expressions: `services.apiserver.cel`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from services.apiserver.cel import CompileError, CostExceeded, Environment, EvaluationError, Program, types
from services.apiserver.cel.environment import BUDGET
from services.apiserver.cel.schema_values import value_of
from services.apiserver.cel.tree import Ident
from services.apiserver.cel.types import Type
from services.apiserver.cel.values import NONE, Optional
from services.apiserver.crd import field_paths, values
from services.apiserver.crd.number_checks import NIL
from services.apiserver.crd.rule_types import Types, escaped
from services.apiserver.crd.structural import META_FIELDS, Node
from services.machinery import turns
from services.machinery.field_errors import (
    Cause,
    Causes,
    duplicate,
    forbidden,
    invalid,
    invalid_as_a_whole,
    required,
)

Json = dict[str, Any]

COMPILATION = 300  # units of work, and one for each letter
MESSAGE_BYTES_MAX = 5 * 1024  # of what a messageExpression makes
_OUT_OF_BUDGET = (
    "validation failed due to running out of cost budget, no further validation rules will be run"
)


@dataclass(slots=True)
class Rule:
    """One rule, compiled; `fault` says why it could not be."""

    given: Json
    program: Program | None = None
    message: Program | None = None
    compares: bool = False  # names oldSelf
    path: str = ""
    fault: str = ""
    message_fault: str = ""

    @property
    def optional(self) -> bool:
        return bool(self.given.get("optionalOldSelf"))

    @property
    def shown(self) -> str:
        return str(self.given.get("message") or self.given.get("rule", "")).strip()


def _names(tree: Any) -> Iterator[str]:
    """Every name in an expression."""
    if isinstance(tree, Ident):
        yield tree.name
    if isinstance(tree, list | tuple):
        for each in tree:
            yield from _names(each)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, Type):
        for each in dataclasses.fields(tree):
            if each.name not in ("type", "kind", "declared", "overloads"):
                yield from _names(getattr(tree, each.name))


def compile_rule(given: Json, node: Node, kind: Type) -> Rule:
    """The rule as a program, or with what is wrong with it."""
    rule = Rule(given)
    text = given.get("rule", "")
    if not text.strip():
        return rule
    turns.done(COMPILATION + len(text) + len(given.get("messageExpression", "")))
    old = types.optional_of(kind) if given.get("optionalOldSelf") else kind
    environment = Environment({"self": kind, "oldSelf": old})
    try:
        program = environment.compile(text)
    except CompileError as error:
        rule.fault = f"compilation failed: {error}"
        return rule
    if program.type.kind != "bool":
        rule.fault = "cel expression must evaluate to a bool"
        return rule
    rule.program = program
    rule.compares = "oldSelf" in text and "oldSelf" in _names(program.tree)
    if expression := given.get("messageExpression"):
        _compile_message(rule, expression, environment)
    if given.get("fieldPath"):
        try:
            rule.path = field_paths.resolve(given["fieldPath"], node).text
        except field_paths.PathError:
            rule.path = ""  # Then the fault is told of the place that the rule stands at.
    return rule


def _compile_message(rule: Rule, expression: str, environment: Environment) -> None:
    try:
        message = environment.compile(expression)
    except CompileError as error:
        rule.message_fault = f"messageExpression compilation failed: {error}"
        return
    if message.type.kind != "string":
        rule.message_fault = "messageExpression must evaluate to a string"
        return
    rule.message = message


class _Spent(Exception):
    """The budget is used up; what was found until then is told."""


@dataclass(slots=True)
class _Run:
    """One look at one object: what was found, and what may still be spent."""

    budget: int = BUDGET
    found: Causes = dataclasses.field(default_factory=list)

    def spend(self, cost: int, path: str, kind: str, why: str = _OUT_OF_BUDGET) -> None:
        if cost > self.budget:
            self.found.append(invalid(path or NIL, kind, why))
            raise _Spent
        self.budget -= cost


class Checker:
    """The rules at and under one place of a schema. Stateless once compiled; shared by all requests."""

    def __init__(self, node: Node, kind: Type | None, types_of: Types, *, is_root: bool) -> None:
        self._node, self._types = node, types_of
        self._kind = kind if kind is not None else types.DYN
        self._rules = (
            [compile_rule(given, node, self._kind) for given in node.rules] if kind is not None else []
        )
        self._items = self._child(node.items, self._kind.args[0] if self._kind.kind == "list" else None)
        self._additional = self._child(
            node.additional, self._kind.args[1] if self._kind.kind == "map" else None
        )
        self._properties: dict[str, Checker] = {}
        for name, child in node.properties.items():
            found = self._child(child, self._field_type(name, child, is_root))
            if found is not None:
                self._properties[name] = found

    def _field_type(self, name: str, child: Node, is_root: bool) -> Type | None:
        word = escaped(name)
        if word is None or (is_root and name in META_FIELDS):
            return self._types.of(child, is_root=child.embedded) if child.rules_below else None
        found = (self._kind.fields or {}).get(word)
        return found.type if found is not None else None

    def _child(self, node: Node | None, kind: Type | None) -> Checker | None:
        if node is None or not node.rules_below or kind is None:
            return None
        return Checker(node, kind, self._types, is_root=node.embedded)

    def faults(self, new: Any, old: Any = None, path: str = "") -> Causes:
        """What the rules find in a new value; `old` None where there was none."""
        run = _Run()
        with suppress(_Spent):  # What was found until then is in the run.
            self._walk(run, new, old, path, values.UNKNOWN if old is None else old, unchanged=False)
        return run.found

    def _walk(self, run: _Run, new: Any, old: Any, path: str, former: Any, *, unchanged: bool) -> None:
        """`former` is the old value that faults are forgiven by; UNKNOWN where there is none to compare with,
        and then `unchanged` tells of what surrounds this."""
        if new is None:
            return
        if former is not values.UNKNOWN:
            unchanged = values.same(former, new)
        if self._rules:
            self._evaluate(run, new, old, path, unchanged)
        if type(new) is list and self._items is not None:
            self._walk_list(run, new, old, path, former, unchanged)
        elif type(new) is dict:
            self._walk_object(run, new, old, path, former, unchanged)

    def _walk_list(
        self, run: _Run, new: list[Any], old: Any, path: str, former: Any, unchanged: bool
    ) -> None:
        by_key: dict[Any, Any] = {}
        if self._node.list_type == "map" and type(old) is list:
            by_key = {values.key_of(self._node, item): item for item in old}
        assert self._items is not None
        for index, item in enumerate(new):
            before = by_key.get(values.key_of(self._node, item)) if by_key else None
            correlated = values.UNKNOWN if before is None or former is values.UNKNOWN else before
            self._items._walk(run, item, before, f"{path}[{index}]", correlated, unchanged=unchanged)

    def _walk_object(self, run: _Run, new: Json, old: Any, path: str, former: Any, unchanged: bool) -> None:
        before = old if type(old) is dict else {}
        known = former if type(former) is dict else {}
        for name, item in new.items():
            checker, place = self._properties.get(name), f"{path}.{name}" if path else name
            if checker is None:
                if self._additional is None or name in self._node.properties:
                    continue
                checker, place = self._additional, f"{path}[{name}]"
            correlated = known.get(name, values.UNKNOWN)
            checker._walk(run, item, before.get(name), place, correlated, unchanged=unchanged)

    def _evaluate(self, run: _Run, new: Any, old: Any, path: str, unchanged: bool) -> None:
        variables: dict[str, Any] = {"self": value_of(new, self._kind)}
        if old is not None:
            variables["oldSelf"] = value_of(old, self._kind)
        kind = self._node.type
        for rule in self._rules:
            if rule.fault:
                run.found.append(invalid(path or NIL, kind, f"rule compile error: {rule.fault}"))
            if rule.program is None or (rule.compares and old is None and not rule.optional):
                continue
            given = variables
            if rule.optional:
                before = NONE if old is None else Optional(variables["oldSelf"], True)
                given = {"self": variables["self"], "oldSelf": before}
            if self._holds(run, rule, given, path):
                continue
            cause = self._cause(run, rule, given, new, path)
            if rule.compares or not unchanged:
                run.found.append(cause)

    def _holds(self, run: _Run, rule: Rule, variables: Json, path: str) -> bool:
        """True also where evaluation failed: then that is what was found."""
        assert rule.program is not None
        kind, place = self._node.type, path or NIL
        if run.budget <= 0:
            run.spend(1, path, kind)
        try:
            value, cost = rule.program.evaluate(variables, as_declared=True)
        except CostExceeded as error:
            why = (
                f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule"
            )
            run.found.append(invalid(place, kind, f"{why}: {rule.shown}"))
            raise _Spent from None
        except EvaluationError as error:
            why = f"{error} evaluating rule: {rule.shown}"
            if str(error).startswith("no such overload"):
                signature = "call arguments did not match a supported operator, function or macro signature"
                why = f"'{error}': {signature} for rule: {rule.shown}"
            run.found.append(invalid(place, kind, why))
            return True
        run.spend(cost, path, kind)
        return value is True

    def _cause(self, run: _Run, rule: Rule, variables: Json, value: Any, path: str) -> Cause:
        place = f"{path}.{rule.path}" if path and rule.path else path or rule.path or NIL
        detail = self._message(run, rule, variables, place)
        whole = self._node.type in ("object", "array")
        match rule.given.get("reason"):
            case "FieldValueForbidden":
                return forbidden(place, detail)
            case "FieldValueRequired":
                return required(place, detail)
            case "FieldValueDuplicate":
                if whole:
                    return {"reason": "FieldValueDuplicate", "message": "Duplicate value", "field": place}
                return duplicate(place, value)
        return invalid_as_a_whole(place, detail) if whole else invalid(place, value, detail)

    def _message(self, run: _Run, rule: Rule, variables: Json, place: str) -> str:
        given = rule.given.get("message", "").strip()
        fallback = given if rule.given.get("message") else f"failed rule: {rule.shown}"
        if rule.message is None:
            return fallback
        try:
            text, cost = rule.message.evaluate(variables, as_declared=True)
        except EvaluationError:
            return fallback
        except CostExceeded:
            what = f'"{rule.given["messageExpression"]}"'
            why = "no further validation rules will be run due to call cost exceeds limit for"
            run.found.append(invalid(place, self._node.type, f"{why} messageExpression: {what}"))
            raise _Spent from None
        why = (
            "messageExpression evaluation failed due to running out of cost budget,"
            " no further validation rules will be run"
        )
        run.spend(cost, place, self._node.type, why)
        text = text.strip() if isinstance(text, str) else ""
        if not text or "\n" in text or len(text.encode()) > MESSAGE_BYTES_MAX:
            return fallback
        return text


def compiled(root: Node, *, is_root: bool = True) -> Checker:
    """The rules of a whole schema."""
    types_of = Types()
    return Checker(root, types_of.of(root, is_root=is_root), types_of, is_root=is_root)
