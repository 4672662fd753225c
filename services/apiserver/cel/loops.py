"""Macros at work: what goes over the elements of a list, or the keys of a map.

`all` and `exists` are decided by one element even where another has no value, as `&&` and `||` are. Each
round costs; the variable of an outer loop that an inner one hides comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.tree import Macro
from services.apiserver.cel.values import NO_OVERLOAD, NONE, Optional

if TYPE_CHECKING:
    from services.apiserver.cel.activation import Activation, Run

_ABSENT = object()
Body = Callable[["Activation", Iterable[Any]], Any]


def loop(node: Macro, over: Run, condition: Run | None, result: Run | None) -> Run:
    if node.kind in ("bind", "optMap", "optFlatMap"):
        assert result is not None
        return _bound(node, over, result) if node.kind == "bind" else _on_optional(node, over, result)
    first, second = node.variable, node.second
    body = _body(node.kind, condition, result)

    def run(activation: Activation) -> Any:
        ranged = over(activation)
        if not isinstance(ranged, list | dict):
            raise EvaluationError(NO_OVERLOAD)
        variables = activation.variables
        hidden = variables.get(first, _ABSENT), variables.get(second, _ABSENT)
        try:
            return body(activation, _rounds(activation, ranged, first, second))
        finally:
            _restore(variables, first, hidden[0])
            if second:
                _restore(variables, second, hidden[1])

    return run


def _restore(variables: dict[str, Any], name: str, value: Any) -> None:
    if value is _ABSENT:
        variables.pop(name, None)
    else:
        variables[name] = value


def _rounds(activation: Activation, ranged: Any, first: str, second: str) -> Iterator[Any]:
    """Sets the variables for each round; yields the element, or with two variables the key."""
    variables = activation.variables
    if second:
        pairs = enumerate(ranged) if isinstance(ranged, list) else ranged.items()
        for key, value in pairs:
            activation.cost += 1
            if activation.cost > activation.mark:
                activation.passed()
            variables[first], variables[second] = key, value
            yield key
        return
    for element in ranged:
        activation.cost += 1
        if activation.cost > activation.mark:
            activation.passed()
        variables[first] = element
        yield element


def _body(kind: str, condition: Run | None, result: Run | None) -> Body:
    match kind:
        case "all":
            return _decided(condition, by=False)
        case "exists":
            return _decided(condition, by=True)
        case "existsOne":
            return _counted(condition)
        case "filter":
            return _gathered(condition, None)
        case "map" | "transformList":
            return _gathered(condition, result)
    return _mapped(condition, result, entries=kind == "transformMapEntry")


def _decided(condition: Run | None, *, by: bool) -> Body:
    assert condition is not None

    def body(activation: Activation, rounds: Iterable[Any]) -> Any:
        failed: EvaluationError | None = None
        for _ in rounds:
            try:
                found = condition(activation)
            except EvaluationError as error:
                failed = failed or error
                continue
            if found is by:
                return by
            if type(found) is not bool:
                failed = failed or EvaluationError(NO_OVERLOAD)
        if failed is not None:
            raise failed
        return not by

    return body


def _holds(condition: Run | None, activation: Activation) -> bool:
    if condition is None:
        return True
    found = condition(activation)
    if type(found) is not bool:
        raise EvaluationError(NO_OVERLOAD)
    return found


def _counted(condition: Run | None) -> Body:
    def body(activation: Activation, rounds: Iterable[Any]) -> Any:
        return sum(_holds(condition, activation) for _ in rounds) == 1

    return body


def _gathered(condition: Run | None, result: Run | None) -> Body:
    def body(activation: Activation, rounds: Iterable[Any]) -> Any:
        activation.spend(10)
        return [
            element if result is None else result(activation)
            for element in rounds
            if _holds(condition, activation)
        ]

    return body


def _mapped(condition: Run | None, result: Run | None, *, entries: bool) -> Body:
    assert result is not None

    def body(activation: Activation, rounds: Iterable[Any]) -> Any:
        activation.spend(30)
        found: dict[Any, Any] = {}
        for key in rounds:
            if not _holds(condition, activation):
                continue
            value = result(activation)
            if not entries:
                found[key] = value
                continue
            if not isinstance(value, dict):
                raise EvaluationError(NO_OVERLOAD)
            for each in value:
                if each in found:
                    raise EvaluationError(f"insert failed: key {each} already exists")
            found.update(value)
        return found

    return body


def _bound(node: Macro, value: Run, result: Run) -> Run:
    """`cel.bind`: a name for a value that is needed more than once."""

    def run(activation: Activation) -> Any:
        found, variables = value(activation), activation.variables
        hidden = variables.get(node.variable, _ABSENT)
        variables[node.variable] = found
        try:
            return result(activation)
        finally:
            _restore(variables, node.variable, hidden)

    return run


def _on_optional(node: Macro, over: Run, result: Run) -> Run:
    """`optMap`, `optFlatMap`: what becomes of a value that may not be there."""

    def run(activation: Activation) -> Any:
        given = over(activation)
        if not isinstance(given, Optional):
            raise EvaluationError(NO_OVERLOAD)
        if not given.present:
            return NONE
        hidden = activation.variables.get(node.variable, _ABSENT)
        activation.variables[node.variable] = given.value
        try:
            found = result(activation)
        finally:
            _restore(activation.variables, node.variable, hidden)
        return found if node.kind == "optFlatMap" else Optional(found, True)

    return run
