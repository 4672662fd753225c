"""What calls of functions cost at most, by the sizes of what they are given, and how large results can be.

Upstream: cel-go `checker/cost.go` functionCost, `k8s.io/apiserver/pkg/cel/library` CostEstimator.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple, Protocol

from services.apiserver.cel.tree import Call, Literal, Node

ENDLESS = (1 << 64) - 1
_TRAVERSAL, _REGEX = 0.1, 0.25  # for each letter of a text, of a pattern


class Size(NamedTuple):
    least: int
    most: int


class Found(NamedTuple):
    cost: int
    result: Size | None = None
    element: Size | None = None


class Sizes(Protocol):
    def size(self, node: Node) -> Size: ...

    def element_size(self, node: Node) -> Size | None: ...


ONE = Size(1, 1)
_NOMINAL = frozenset((
    "masked", "prefixLength", "family", "isUnspecified", "isLoopback", "isLinkLocalMulticast",
    "isLinkLocalUnicast", "sign", "asInteger", "isInteger", "asApproximateFloat", "isGreaterThan",
    "isLessThan", "compareTo", "add", "sub", "serviceAccount", "path", "group", "resource", "subresource",
    "namespace", "name", "allowed", "reason", "error", "errored",
))  # fmt: skip
_LIST = 10  # what it costs to make one
_NEW_LISTS = frozenset(("distinct", "flatten", "reverse", "slice", "sort", "@sortByAssociatedKeys"))
_OF_LISTS = frozenset(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"))
_SAME_SIZE = frozenset(("lowerAscii", "upperAscii", "substring", "trim"))
_READS_ARGUMENT = frozenset(("url", "cidr", "isIP", "isCIDR", "ip", "quantity", "isQuantity"))


def scaled(amount: int, factor: float) -> int:
    return min(ceil(amount * factor), ENDLESS)


def estimate(sizes: Sizes, call: Call) -> Found | None:
    """None for what is no function of a library."""
    name, args = call.function, call.args
    if name in _NOMINAL:
        return Found(1)
    if name in _READS_ARGUMENT and args:
        return Found(scaled(sizes.size(args[0]).most, _TRAVERSAL))
    if call.target is None:
        return _global(sizes, name, args)
    target = sizes.size(call.target)
    if name in _NEW_LISTS:
        return _new_list(sizes, call, call.target, target)
    if name in _OF_LISTS:
        return _of_list(sizes, call.target, target)
    if name in _SAME_SIZE:
        return Found(scaled(target.most, _TRAVERSAL), target)
    match name:
        case "startsWith" | "endsWith":
            return Found(scaled(sizes.size(args[0]).most, _TRAVERSAL))
        case "contains":
            return Found(_product(target.most, _TRAVERSAL, sizes.size(args[0]).most, _TRAVERSAL))
        case "matches":
            return Found(_product(target.most + 1, _TRAVERSAL, sizes.size(args[0]).most, _REGEX))
        case "find" | "findAll":
            cost = _product(target.most + 1, _TRAVERSAL, sizes.size(args[0]).most, _REGEX)
            return Found(cost, Size(0, target.most))
        case "split":
            return Found(scaled(target.most, 2 * _TRAVERSAL), Size(0, target.most))
        case "replace" if len(args) >= 2:
            result = _replaced(target, sizes.size(args[0]), sizes.size(args[1]))
            return Found(scaled(target.most, 2 * _TRAVERSAL), result)
        case "join":
            return _joined(sizes, call, target)
        case "containsIP" | "containsCIDR":
            return Found(4 + 3 + scaled(sizes.size(args[0]).most, _TRAVERSAL))
        case "format" if args:
            return Found(scaled(target.most, _TRAVERSAL), Size(0, min(target.most * 2, ENDLESS)))
    return None


def _product(one: int, factor: float, other: int, other_factor: float) -> int:
    return min(scaled(one, factor) * scaled(other, other_factor), ENDLESS)


def _whole(node: Node, unknown: int) -> int:
    """A number that is written there."""
    return max(0, node.value) if isinstance(node, Literal) and isinstance(node.value, int) else unknown


def _allocated(factor: float, size: Size, element: Size | None) -> Found:
    return Found(min(scaled(size.most, factor) + 1 + _LIST, ENDLESS), size, element)


def _new_list(sizes: Sizes, call: Call, target: Node, size: Size) -> Found:
    args, element = call.args, sizes.element_size(target)
    match call.function:
        case "slice" if len(args) == 2:
            length = max(0, _whole(args[1], size.most) - _whole(args[0], 0))
            return _allocated(1, Size(length, length), element)
        case "flatten" if args:
            return _allocated(_whole(args[0], ENDLESS), size, None)
        case "flatten" | "reverse":
            return _allocated(1, size, element if call.function == "reverse" else None)
    compared = args[0] if args else target  # by which it is sorted
    size, kind = sizes.size(compared), compared.type
    is_text = bool(kind.args) and kind.args[0].kind in ("string", "bytes") and call.function != "distinct"
    squared = Size(size.least**2, min(size.most**2, ENDLESS))
    return _allocated(2.1 if is_text else 2, squared, element)


def _global(sizes: Sizes, name: str, args: list[Node]) -> Found | None:
    if name == "lists.range" and args:
        length = _whole(args[0], ENDLESS)
        return _allocated(1, Size(length, length), ONE)
    if name == "bytes" and args and args[0].type.kind == "string":
        size = sizes.size(args[0])
        return Found(scaled(size.most, _TRAVERSAL), Size(size.least, min(size.most * 4, ENDLESS)))
    if name == "string" and args and args[0].type.kind == "bytes":
        size = sizes.size(args[0])
        return Found(scaled(size.most, _TRAVERSAL), Size(size.least // 4, size.most))
    return None


def _of_list(sizes: Sizes, target: Node, size: Size) -> Found:
    element = sizes.element_size(target)
    if element is None:  # indexOf of a text
        return Found(scaled(size.most, _TRAVERSAL))
    holds_text = bool(target.type.args) and target.type.args[0].kind in ("string", "bytes")
    each = 1 + (scaled(element.most, _TRAVERSAL) if holds_text else 0)
    return Found(min(size.most * each, ENDLESS))


def _replaced(target: Size, old: Size, new: Size) -> Size:
    if old.least == 0:
        most = (target.most + 1) * new.most + target.most
    elif new.most <= old.least:
        most = target.most
    else:
        most = ceil(target.most / old.least) * new.most
    return Size(0, min(most, ENDLESS))


def _joined(sizes: Sizes, call: Call, target: Size) -> Found:
    assert call.target is not None
    element = sizes.element_size(call.target) or Size(0, 0)
    most = target.most * element.most
    if call.args and target.most:
        most += sizes.size(call.args[0]).most * (target.most - 1)
    result = Size(0, min(most, ENDLESS))
    return Found(scaled(result.most, _TRAVERSAL), result)
