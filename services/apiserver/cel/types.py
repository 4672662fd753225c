"""CEL's types, and when a value of one may stand where another is declared.

Upstream: cel-go `common/types` and `checker/types.go`. A type parameter is bound by the first type it meets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Type:
    """`kind` is its name; `fields` those of an object, by the name they have in expressions."""

    kind: str
    args: tuple[Type, ...] = ()
    name: str = ""  # of an object, an opaque type or a type parameter
    fields: Mapping[str, Field] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        match self.kind:
            case "object" | "opaque" | "param":
                shown = self.name
            case "optional":
                shown = "optional_type"
            case "error":
                shown = "!error!"
            case _:
                shown = self.kind
        return f"{shown}({', '.join(map(str, self.args))})" if self.args else shown


@dataclass(frozen=True, slots=True)
class Field:
    type: Type
    key: str = ""  # its name in JSON, where that is no name in an expression


DYN, ERROR, NULL = Type("dyn"), Type("error"), Type("null")
ANY = Type("any")  # one value of some kind, no list and no map
_OPEN = frozenset(("any", "dyn", "error"))
BOOL, INT, UINT, DOUBLE = Type("bool"), Type("int"), Type("uint"), Type("double")
STRING, BYTES = Type("string"), Type("bytes")
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")
_NULLABLE = ("object", "opaque", "timestamp", "duration", "optional")
Bindings = dict[str, Type]


def list_of(element: Type) -> Type:
    return Type("list", (element,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    return Type("optional", (value,))


def type_of(value: Type) -> Type:
    return Type("type", (value,))


def opaque(name: str) -> Type:
    return Type("opaque", name=name)


def object_of(name: str, fields: Mapping[str, Field]) -> Type:
    return Type("object", name=name, fields=fields)


def assignable(bound: Bindings, given: Type, wanted: Type) -> bool:
    """Whether `given` may stand for `wanted`. Binds type parameters; on False they may be half bound."""
    if wanted.kind == "param" or given.kind == "param":
        return _bind(bound, given, wanted)
    if given.kind in _OPEN or wanted.kind in _OPEN:
        return True
    if given.kind == "null" and wanted.kind in _NULLABLE:
        return True
    if wanted.kind == "null" and given.kind in _NULLABLE:
        return True
    if given.kind != wanted.kind or len(given.args) != len(wanted.args):
        return False
    if given.kind in ("object", "opaque") and given.name != wanted.name:
        return False
    if given.kind == "type":
        return True
    return all(assignable(bound, one, other) for one, other in zip(given.args, wanted.args))


def _bind(bound: Bindings, given: Type, wanted: Type) -> bool:
    if given == wanted:
        return True
    parameter, other = (wanted, given) if wanted.kind == "param" else (given, wanted)
    known = bound.get(parameter.name)
    if known is None:
        if _mentions(bound, other, parameter.name):
            return False
        bound[parameter.name] = other
        return True
    if not assignable(bound, other, known):
        return False
    bound[parameter.name] = most_general(known, other)
    return True


def _mentions(bound: Bindings, where: Type, name: str) -> bool:
    if where.kind == "param":
        return where.name == name or (where.name in bound and _mentions(bound, bound[where.name], name))
    return any(_mentions(bound, each, name) for each in where.args)


def all_assignable(bound: Bindings, given: Iterable[Type], wanted: Iterable[Type]) -> Bindings | None:
    """The bindings with which every argument fits; None: they do not."""
    tried = dict(bound)
    return tried if all(assignable(tried, one, other) for one, other in zip(given, wanted)) else None


def most_general(one: Type, other: Type) -> Type:
    if one == other:
        return one
    if one.kind in _OPEN or other.kind in _OPEN:
        return DYN
    if one.kind == "null":
        return other
    if one.kind == other.kind and one.args and len(one.args) == len(other.args):
        joined = tuple(most_general(a, b) for a, b in zip(one.args, other.args))
        return Type(one.kind, joined, one.name, one.fields)
    return other if one.kind == "param" else one


def substitute(bound: Bindings, where: Type, *, free_is_dyn: bool) -> Type:
    if where.kind == "param":
        if where.name in bound:
            return substitute(bound, bound[where.name], free_is_dyn=free_is_dyn)
        return DYN if free_is_dyn else where
    if not where.args:
        return where
    args = tuple(substitute(bound, each, free_is_dyn=free_is_dyn) for each in where.args)
    return Type(where.kind, args, where.name, where.fields)


def is_known(where: Type) -> bool:
    """Whether nothing in it is left to evaluation."""
    return where.kind not in _OPEN and where.kind != "param" and all(is_known(each) for each in where.args)
