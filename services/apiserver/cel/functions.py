"""How functions are declared: a name, what they take and answer, and the Python that does it.

`member("contains", "string, string -> bool")` is called on its first argument; `function` is not. Several
declarations of one name are its overloads. `<A>` in a declaration is any type, the same wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.apiserver.cel import types
from services.apiserver.cel.types import Type

Function = Callable[..., Any]
Cost = Callable[[tuple[Any, ...], Any], int]
_SIMPLE = {
    each.kind: each
    for each in (
        types.DYN, types.NULL, types.BOOL, types.INT, types.UINT, types.DOUBLE, types.STRING, types.BYTES,
        types.TIMESTAMP, types.DURATION,
    )
}  # fmt: skip
_GENERIC = {"list": 1, "map": 2, "optional": 1, "type": 1}
_WORD = re.compile(r"\s*([A-Za-z_.][\w.]*|[<>,])")


@dataclass(frozen=True, slots=True)
class Overload:
    args: tuple[Type, ...]
    result: Type
    is_member: bool
    call: Function
    generic: bool


class Library:
    """Functions by name; libraries are joined into one."""

    def __init__(self, *others: Library) -> None:
        self.overloads: dict[str, tuple[Overload, ...]] = {}
        self.costs: dict[str, Cost] = {}
        for other in others:
            for name, found in other.overloads.items():
                self.overloads[name] = (*self.overloads.get(name, ()), *found)
            self.costs |= other.costs

    def member(self, name: str, *signatures: str) -> Callable[[Function], Function]:
        return self._declare(name, signatures, is_member=True)

    def function(self, name: str, *signatures: str) -> Callable[[Function], Function]:
        return self._declare(name, signatures, is_member=False)

    def _declare(
        self, name: str, signatures: tuple[str, ...], *, is_member: bool
    ) -> Callable[[Function], Function]:
        def declare(call: Function) -> Function:
            for signature in signatures:
                args, result = parse_signature(signature)
                generic = any(_has_parameter(each) for each in (*args, result))
                made = Overload(args, result, is_member, call, generic)
                self.overloads[name] = (*self.overloads.get(name, ()), made)
            return call

        return declare


def _has_parameter(kind: Type) -> bool:
    return kind.kind == "param" or any(map(_has_parameter, kind.args))


def parse_signature(text: str) -> tuple[tuple[Type, ...], Type]:
    given, _, result = text.partition("->")
    args = []
    rest = given.strip()
    while rest:
        found, rest = _type(rest)
        args.append(found)
        rest = rest.lstrip().removeprefix(",")
    return tuple(args), _type(result)[0]


def _type(text: str) -> tuple[Type, str]:
    word = _WORD.match(text)
    assert word is not None, text
    name, rest = word[1], text[word.end() :]
    if name in _GENERIC and rest.startswith("<"):
        args = []
        while not rest.startswith(">"):
            found, rest = _type(rest[1:])
            args.append(found)
        return Type(name, tuple(args)), rest[1:]
    if name in _SIMPLE:
        return _SIMPLE[name], rest
    return (Type("param", name=name) if len(name) == 1 else types.opaque(name)), rest
