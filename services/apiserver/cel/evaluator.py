"""Makes a checked tree into closures, and runs them: `program(activation)` is the expression's value.

What is decided at compilation is not asked again: an exact call goes straight to its function. Every step
that may cost counts, in upstream's measure: a name, a field, a call 1, a list 10, a map 30, a string by its
length. Loops and costly calls stop where the cost passes its limit, so that an evaluation is bounded in
time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.cel import operators
from services.apiserver.cel.activation import Activation, Run
from services.apiserver.cel.checker import type_named
from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library, Overload
from services.apiserver.cel.loops import loop
from services.apiserver.cel.operators import select
from services.apiserver.cel.tree import Call, Ident, ListOf, Literal, Macro, MapOf, Node, Select, Struct
from services.apiserver.cel.values import NO_OVERLOAD, Optional, matches

LIST_COST, MAP_COST, STRUCT_COST = 10, 30, 40


# Operators that cost by the size of their operands, and kinds whose size is always 1.
_BY_SIZE = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_+_"))
_SMALL = frozenset(("bool", "double", "duration", "int", "null", "timestamp", "uint"))


class Builder:
    def __init__(self, library: Library) -> None:
        self._library = library

    def build(self, node: Node) -> Run:
        match node:
            case Literal():
                return _constant(node.value)
            case Ident():
                return _ident(node.name)
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case ListOf():
                return self._list(node)
            case MapOf():
                return self._map(node)
            case Struct():
                return self._struct(node)
            case Macro():
                return self._macro(node)
        raise AssertionError(node)

    def _macro(self, node: Macro) -> Run:
        condition = self.build(node.condition) if node.condition is not None else None
        result = self.build(node.result) if node.result is not None else None
        return loop(node, self.build(node.range), condition, result)

    def _select(self, node: Select) -> Run:
        if node.variable:
            return _ident(node.variable)
        operand, key = self.build(node.operand), node.key or node.field
        if node.tests:
            return lambda activation: operators.has(operand(activation), key)
        optional = node.optional

        def run(activation: Activation) -> Any:
            found = operand(activation)
            activation.cost += 1
            if type(found) is dict and not optional:
                try:
                    return found[key]
                except KeyError:
                    raise EvaluationError(f"no such key: {key}") from None
            return select(found, key, optional)

        return run

    # -- calls -----------------------------------------------------------------------------------

    def _call(self, node: Call) -> Run:
        args = [self.build(each) for each in ([node.target] if node.target else []) + node.args]
        match node.function:
            case "_&&_":
                return _both(*args)
            case "_||_":
                return _either(*args)
            case "_?_:_":
                return _choice(*args)
        cost = self._library.costs.get(node.function)
        if cost is not None and node.function in _BY_SIZE and all(map(_is_small, node.args)):
            cost = None
        if node.exact and cost is None:
            function = node.overloads[0].call
            if len(args) == 1:
                return _call_one(function, args[0])
            if len(args) == 2:
                return _call_two(function, *args)
        return _dispatched(node.overloads, tuple(args), node.exact, cost)

    # -- literals --------------------------------------------------------------------------------

    def _list(self, node: ListOf) -> Run:
        elements = [self.build(each) for each in node.elements]
        optional = node.optional

        def run(activation: Activation) -> Any:
            activation.spend(LIST_COST)
            if not optional:
                return [each(activation) for each in elements]
            found: list[Any] = []
            for index, each in enumerate(elements):
                value = each(activation)
                if index not in optional:
                    found.append(value)
                elif _optional(value).present:
                    found.append(value.value)
            return found

        return run

    def _map(self, node: MapOf) -> Run:
        entries = [(self.build(each.key), self.build(each.value), each.optional) for each in node.entries]

        def run(activation: Activation) -> Any:
            activation.spend(MAP_COST)
            found: dict[Any, Any] = {}
            for key_of, value_of, optional in entries:
                key, value = key_of(activation), value_of(activation)
                if not isinstance(key, str | int):
                    raise EvaluationError("unsupported key type")
                if key in found:
                    raise EvaluationError(f"Failed with repeated key: {key}")
                if not optional:
                    found[key] = value
                elif _optional(value).present:
                    found[key] = value.value
            return found

        return run

    def _struct(self, node: Struct) -> Run:
        fields = [(name, self.build(value), optional) for name, value, optional, _ in node.fields]
        declared = node.declared.fields if node.declared.fields is not None else {}

        def run(activation: Activation) -> Any:
            activation.spend(STRUCT_COST)
            found: dict[str, Any] = {}
            for name, value_of, optional in fields:
                value = value_of(activation)
                if optional:
                    if not _optional(value).present:
                        continue
                    value = value.value
                found[declared[name].key or name] = value
            return found

        return run


def _is_small(node: Node) -> bool:
    return node.type.kind in _SMALL


def _optional(value: Any) -> Optional:
    if not isinstance(value, Optional):
        raise EvaluationError(NO_OVERLOAD)
    return value


def _constant(value: Any) -> Run:
    return lambda activation: value


def _ident(name: str) -> Run:
    known = type_named(name)

    def run(activation: Activation) -> Any:
        activation.cost += 1
        try:
            return activation.variables[name]
        except KeyError:
            if known is not None:
                return known
            raise EvaluationError(f"no such attribute(s): {name}") from None

    return run


def _call_one(function: Callable[[Any], Any], arg: Run) -> Run:
    def run(activation: Activation) -> Any:
        activation.cost += 1
        return function(arg(activation))

    return run


def _call_two(function: Callable[[Any, Any], Any], one: Run, other: Run) -> Run:
    def run(activation: Activation) -> Any:
        activation.cost += 1
        return function(one(activation), other(activation))

    return run


def _dispatched(
    overloads: tuple[Overload, ...], args: tuple[Run, ...], exact: bool,
    cost: Callable[[tuple[Any, ...], Any], int] | None,
) -> Run:  # fmt: skip
    def run(activation: Activation) -> Any:
        given = tuple([arg(activation) for arg in args])
        activation.cost += cost(given, None) if cost is not None else 1
        if activation.cost > activation.mark:
            activation.passed()
        for overload in overloads:
            if exact or all(map(matches, given, overload.args)):
                result = overload.call(*given)
                if type(result) is not bool and isinstance(result, str | list) and len(result) > 64:
                    activation.spend(len(result) // 10)
                return result
        raise EvaluationError(NO_OVERLOAD)

    return run


# -- logic ---------------------------------------------------------------------------------------


def _both(one: Run, other: Run) -> Run:
    """One that is false decides, even where the other one has no value."""

    def run(activation: Activation) -> Any:
        try:
            first = one(activation)
        except EvaluationError:
            if other(activation) is False:
                return False
            raise
        if first is False:
            return False
        second = other(activation)
        if second is False:
            return False
        if first is not True or second is not True:
            raise EvaluationError(NO_OVERLOAD)
        return True

    return run


def _either(one: Run, other: Run) -> Run:
    def run(activation: Activation) -> Any:
        try:
            first = one(activation)
        except EvaluationError:
            if other(activation) is True:
                return True
            raise
        if first is True:
            return True
        second = other(activation)
        if second is True:
            return True
        if first is not False or second is not False:
            raise EvaluationError(NO_OVERLOAD)
        return False

    return run


def _choice(condition: Run, one: Run, other: Run) -> Run:
    def run(activation: Activation) -> Any:
        decided = condition(activation)
        if decided is True:
            return one(activation)
        if decided is False:
            return other(activation)
        raise EvaluationError(NO_OVERLOAD)

    return run


__all__ = ["Builder"]
