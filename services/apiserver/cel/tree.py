"""An expression as a tree. `at` is where in the text it stands: at the operator, or where a word begins.

The checker writes into `type`, and into a call which of its overloads may be meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.apiserver.cel.types import DYN, Type

if TYPE_CHECKING:
    from services.apiserver.cel.functions import Overload


@dataclass(slots=True, kw_only=True)
class Node:
    at: int
    type: Type = DYN


@dataclass(slots=True, kw_only=True)
class Literal(Node):
    value: Any
    kind: Type


@dataclass(slots=True, kw_only=True)
class Ident(Node):
    name: str


@dataclass(slots=True, kw_only=True)
class Select(Node):
    """`operand.field`; `tests` in `has(operand.field)`; `optional` in `operand.?field`."""

    operand: Node
    field: str
    tests: bool = False
    optional: bool = False
    variable: str = ""  # the dotted name of a variable that this turned out to be
    key: str = ""  # the field's name in JSON, where it differs


@dataclass(slots=True, kw_only=True)
class Call(Node):
    function: str
    args: list[Node]
    target: Node | None = None
    overloads: tuple[Overload, ...] = ()
    exact: bool = False  # whether no choice is left for evaluation


@dataclass(slots=True, kw_only=True)
class ListOf(Node):
    elements: list[Node]
    optional: frozenset[int] = frozenset()


@dataclass(slots=True, kw_only=True)
class Entry:
    key: Node
    value: Node
    optional: bool = False


@dataclass(slots=True, kw_only=True)
class MapOf(Node):
    entries: list[Entry]


@dataclass(slots=True, kw_only=True)
class Struct(Node):
    """`Name{field: value}`."""

    name: str
    fields: list[tuple[str, Node, bool, int]] = field(default_factory=list)  # name, value, optional, at
    declared: Type = DYN


@dataclass(slots=True, kw_only=True)
class Macro(Node):
    """`range.all(x, …)` and its kin; with two variables `second` is the value's name.

    `condition` is what filters or decides, `result` what the new elements are made of; `key` that of an
    entry. In `cel.bind(x, value, result)` the value stands for the range.
    """

    kind: str
    range: Node
    variable: str
    second: str = ""
    condition: Node | None = None
    result: Node | None = None
