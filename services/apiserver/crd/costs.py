"""What a rule may cost at most, estimated before it ever runs: one that could take for ever is refused.

A cost is counted as cel-go counts it, by the largest values that the schema allows (`sizes.py`). Each macro
is charged for the loop that upstream makes of it. What cannot be told is taken for endless. Where upstream
loses track of optional values, this does not, and so is milder. Upstream: cel-go `checker/cost.go`.
"""

from __future__ import annotations

from typing import NamedTuple

from services.apiserver.cel.tree import Call, Ident, ListOf, Literal, Macro, MapOf, Node, Select, Struct
from services.apiserver.cel.types import Type
from services.apiserver.crd import cost_functions
from services.apiserver.crd.cost_functions import ENDLESS, ONE, Size, scaled
from services.apiserver.crd.sizes import KEY, Place

_LIST, _MAP, _STRUCT = 10, 30, 40  # what it costs to make one
_SCALARS = frozenset(("bool", "double", "duration", "int", "timestamp", "uint"))
_TRAVERSAL = 0.1  # for each letter


class Known(NamedTuple):
    """What is known of a value: its size, its place in the schema, and the size of its elements."""

    size: Size | None = None
    place: Place | None = None
    element: Size | None = None


_NOTHING = Known()


class Estimate:
    """One expression; `most` is what it costs at most."""

    def __init__(self, tree: Node, root: Place, names: tuple[str, ...] = ("self", "oldSelf")) -> None:
        """`names` are the variables that stand for the root."""
        self._known: dict[int, Known] = {}
        self._variables: dict[str, Known] = {name: Known(place=root) for name in names}
        self.most = min(self._cost(tree), ENDLESS)

    # What is known of a value.

    def _of(self, node: Node) -> Known:
        return self._known.get(id(node), _NOTHING)

    def size(self, node: Node) -> Size:
        found = self._of(node)
        if found.size is not None:
            return found.size
        if found.place is not None:
            return Size(0, found.place.elements)
        return ONE if _is_scalar(node.type) else Size(0, ENDLESS)

    def element_size(self, node: Node) -> Size | None:
        """Of the elements of a list; None where it is no list."""
        if node.type.kind != "list":
            return None
        found = self._of(node)
        if found.place is not None and found.place.items is not None:
            return Size(0, found.place.items.elements)
        if found.element is not None:
            return found.element
        return ONE if node.type.args and _is_scalar(node.type.args[0]) else Size(0, ENDLESS)

    # What evaluating it costs.

    def _cost(self, node: Node) -> int:
        match node:
            case Literal():
                self._known[id(node)] = Known(_literal_size(node))
                return 0
            case Ident():
                self._known[id(node)] = self._variables.get(node.name, _NOTHING)
                return 1
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case ListOf():
                return self._list(node)
            case MapOf():
                pairs = [each for entry in node.entries for each in (entry.key, entry.value)]
                cost = sum(map(self._cost, pairs)) + _MAP
                self._known[id(node)] = Known(Size(len(node.entries), len(node.entries)))
                return cost
            case Struct():
                return sum(self._cost(value) for _, value, _, _ in node.fields) + _STRUCT
            case Macro():
                return self._macro(node)
        return 0

    def _select(self, node: Select) -> int:
        if node.variable:
            self._known[id(node)] = self._variables.get(node.variable, _NOTHING)
            return 1
        cost = self._cost(node.operand)
        if node.tests:
            return cost
        place = self._of(node.operand).place
        if place is not None:
            self._known[id(node)] = Known(place=place.fields.get(node.field) or place.others)
        return cost + 1

    def _list(self, node: ListOf) -> int:
        cost = sum(map(self._cost, node.elements)) + _LIST
        sizes = [self.size(each) for each in node.elements]
        element = Size(min(each.least for each in sizes), max(each.most for each in sizes)) if sizes else None
        self._known[id(node)] = Known(Size(len(sizes), len(sizes)), element=element or Size(0, 0))
        return cost

    def _call(self, node: Call) -> int:
        target = self._cost(node.target) if node.target is not None else 0
        costs = list(map(self._cost, node.args))
        name, args = node.function, node.args
        if name in ("_&&_", "_||_"):
            return sum(costs)
        if name == "_?_:_":
            one, other = self.size(args[1]), self.size(args[2])
            self._known[id(node)] = Known(Size(min(one.least, other.least), max(one.most, other.most)))
            return costs[0] + max(costs[1:])
        if name == "dyn":
            self._known[id(node)] = self._of(args[0])
            return costs[0] + 1
        return target + sum(costs) + self._function(node)

    def _function(self, node: Call) -> int:
        """The cost of the function alone; notes what is known of its result."""
        name, args = node.function, node.args
        if name in ("_[_]", "_[?_]"):
            place = self._of(args[0]).place
            inner = None if place is None else place.items or place.values
            self._known[id(node)] = Known(self._of(args[0]).element if inner is None else None, inner)
            return 1
        if name in ("value", "orValue", "or") and node.target is not None:
            self._known[id(node)] = self._of(node.target)
            return 1
        found = cost_functions.estimate(self, node)
        if found is None:
            return self._operator(node)
        if found.result is not None:
            self._known[id(node)] = Known(found.result, element=found.element)
        return found.cost

    def _operator(self, node: Call) -> int:
        name, args = node.function, node.args
        kinds = {each.type.kind for each in args}
        match name:
            case "_==_" | "_!=_":
                return self._comparison(args)
            case "_<_" | "_<=_" | "_>_" | "_>=_":
                return max(1, self._comparison(args)) if kinds & {"string", "bytes", "dyn"} else 1
            case "@in" if args[1].type.kind in ("list", "dyn"):
                return self.size(args[1]).most
            case "_+_" if kinds & {"string", "bytes", "list"}:
                one, other = self.size(args[0]), self.size(args[1])
                total = Size(one.least + other.least, min(one.most + other.most, ENDLESS))
                self._known[id(node)] = Known(total, element=self._of(args[0]).element)
                return 1 if "list" in kinds else scaled(total.most, _TRAVERSAL)
        return 1

    def _comparison(self, args: list[Node]) -> int:
        return scaled(min(self.size(each).most for each in args), _TRAVERSAL)

    # Loops. `@result` is what they gather; each mention of it costs 1, as does each operator.

    def _macro(self, node: Macro) -> int:
        start = self._cost(node.range)
        if node.kind == "bind":
            return start + self._bound(node) + _LIST
        count = self.size(node.range)
        before = self._variables
        self._variables = {**before, **self._iterated(node)}
        condition = self._cost(node.condition) if node.condition is not None else 0
        result = self._cost(node.result) if node.result is not None else 0
        made = self.size(node.result) if node.result is not None else None
        self._variables = before
        if node.kind in ("optMap", "optFlatMap"):
            return start + result + 2 * _LIST
        step, rest = self._step(node, condition, result)
        if node.kind in ("map", "filter", "transformList"):
            kept = self._of(node.range)
            element = made if node.kind != "filter" else kept.element
            self._known[id(node)] = Known(count, element=element or self.element_size(node.range))
        elif node.kind.startswith("transformMap"):
            self._known[id(node)] = Known(count)
        return start + rest + min(count.most * step, ENDLESS)

    def _bound(self, node: Macro) -> int:
        before = self._variables
        self._variables = {**before, node.variable: self._of(node.range)}
        assert node.result is not None
        cost = self._cost(node.result)
        self._variables = before
        self._known[id(node)] = self._of(node.result)
        return cost

    def _step(self, node: Macro, condition: int, result: int) -> tuple[int, int]:
        """What one turn costs, and what is paid once."""
        match node.kind:
            case "all":
                return condition + 3, 1
            case "exists":
                return condition + 4, 1
            case "existsOne":
                return condition + 2, 3
            case "filter":
                return condition + 13, _LIST + 1
            case "map" | "transformList":
                return condition + result + 12, _LIST + 1
        return condition + result + 4, _MAP + 1

    def _iterated(self, node: Macro) -> dict[str, Known]:
        kind, known = node.range.type.kind, self._of(node.range)
        if kind == "optional":
            return {node.variable: known}
        element = Known(known.element, known.place.items if known.place is not None else None)
        if known.place is not None and known.place.values is not None:
            element = Known(place=known.place.values)
        if node.second:
            return {node.variable: _NOTHING, node.second: element}
        if kind == "list":
            return {node.variable: element}
        return {node.variable: Known(place=known.place.keys or KEY) if known.place is not None else _NOTHING}


def _is_scalar(kind: Type) -> bool:
    if kind.kind == "optional" and kind.args:
        return _is_scalar(kind.args[0])
    return kind.kind in _SCALARS


def _literal_size(node: Literal) -> Size:
    if isinstance(node.value, str | bytes):
        return Size(len(node.value), len(node.value))
    return ONE
