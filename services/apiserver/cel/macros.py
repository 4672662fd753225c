"""The calls that are no calls: `has`, `all`, `exists`, `map`, `filter` and their kin with two variables."""

from __future__ import annotations

from services.apiserver.cel.faults import Faults
from services.apiserver.cel.tree import Call, Ident, Literal, Macro, Node, Select
from services.apiserver.cel.types import NULL

# Name and number of arguments -> how many of them are variables; then come the condition and the result.
_PREDICATES = ("all", "exists", "exists_one", "existsOne", "filter")
_WITH_TWO = ("all", "exists", "existsOne")
_SORTED, SORT_BY = "@__sortBy_input__", "@sortByAssociatedKeys"  # no names that anybody could write
_TRANSFORMS = ("transformList", "transformMap", "transformMapEntry")


def expand(call: Call, faults: Faults, *, binds: bool = False) -> Node:
    """What a call means, if its name and shape are a macro's; else the call. `binds`: `cel.bind` is one."""
    count, name, target = len(call.args), call.function, call.target
    if target is None:
        return _has(call, faults) if name == "has" and count == 1 else call
    if binds and name == "bind" and count == 3 and isinstance(target, Ident) and target.name == "cel":
        return _of_one(call, call.args[1], result=call.args[2], faults=faults)
    if name in _PREDICATES and count == 2:
        return _of_one(call, target, condition=call.args[1], faults=faults)
    if name == "map" and count in (2, 3):
        condition = call.args[1] if count == 3 else None
        return _of_one(call, target, condition=condition, result=call.args[-1], faults=faults)
    if name in ("optMap", "optFlatMap") and count == 2:
        return _of_one(call, target, result=call.args[1], faults=faults)
    if name == "sortBy" and count == 2:
        return _sorted_by(call, target, faults)
    if name in _WITH_TWO and count == 3:
        return _of_two(call, target, condition=call.args[2], faults=faults)
    if name in _TRANSFORMS and count in (3, 4):
        condition = call.args[2] if count == 4 else None
        return _of_two(call, target, condition=condition, result=call.args[-1], faults=faults)
    return call


def _has(call: Call, faults: Faults) -> Node:
    argument = call.args[0]
    if isinstance(argument, Select) and not argument.optional:
        argument.tests = True
        return argument
    faults.add(argument.at, "invalid argument to has() macro")
    return Literal(at=call.at, value=None, kind=NULL)


def _variable(node: Node, faults: Faults) -> str:
    if isinstance(node, Ident):
        return node.name
    faults.add(node.at, "argument must be a simple name")
    return ""


def _of_one(
    call: Call, target: Node, *, condition: Node | None = None, result: Node | None = None, faults: Faults
) -> Macro:
    kind = "existsOne" if call.function == "exists_one" else call.function
    variable = _variable(call.args[0], faults)
    return Macro(at=call.at, kind=kind, range=target, variable=variable, condition=condition, result=result)


def _sorted_by(call: Call, target: Node, faults: Faults) -> Macro:
    """The list has a name, since it is needed twice: to be sorted, and for what it is sorted by."""
    keys = Macro(
        at=call.at,
        kind="map",
        range=Ident(at=target.at, name=_SORTED),
        variable=_variable(call.args[0], faults),
        result=call.args[1],
    )
    sort = Call(at=call.at, function=SORT_BY, target=Ident(at=target.at, name=_SORTED), args=[keys])
    return Macro(at=call.at, kind="bind", range=target, variable=_SORTED, result=sort)


def _of_two(
    call: Call, target: Node, *, condition: Node | None = None, result: Node | None = None, faults: Faults
) -> Macro:
    first, second = _variable(call.args[0], faults), _variable(call.args[1], faults)
    if first and first == second:
        faults.add(call.args[1].at, f"duplicate variable name: {second}")
    return Macro(
        at=call.at, kind=call.function, range=target, variable=first, second=second,
        condition=condition, result=result,
    )  # fmt: skip
