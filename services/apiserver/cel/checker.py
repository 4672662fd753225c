"""Gives every part of an expression its type, and finds what cannot be: names, fields, overloads.

Upstream: cel-go `checker`. Type variables are bound as they are met; `dyn` fits everywhere and is left to
evaluation. Every fault is reported once, where it stands; what rests on it is not reported again.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.cel import patterns, types, values
from services.apiserver.cel.faults import Faults
from services.apiserver.cel.functions import Library, Overload
from services.apiserver.cel.parser import dotted
from services.apiserver.cel.tree import (
    Call,
    Ident,
    ListOf,
    Literal,
    Macro,
    MapOf,
    Node,
    Select,
    Struct,
)
from services.apiserver.cel.types import BOOL, DYN, ERROR, Bindings, Type

_TYPE_NAMES = {
    "bool": BOOL, "int": types.INT, "uint": types.UINT, "double": types.DOUBLE, "string": types.STRING,
    "bytes": types.BYTES, "dyn": DYN, "null_type": types.NULL, "list": types.list_of(DYN),
    "map": types.map_of(DYN, DYN), "type": types.type_of(DYN), "optional_type": types.optional_of(DYN),
    "google.protobuf.Timestamp": types.TIMESTAMP, "google.protobuf.Duration": types.DURATION,
}  # fmt: skip
# Functions whose texts are looked at where they are written.
_READS = {
    "duration": values.is_duration, "matches": patterns.is_pattern, "timestamp": values.is_timestamp,
}  # fmt: skip
TYPE_VALUES = {name: types.type_of(kind) for name, kind in _TYPE_NAMES.items()}


def type_named(name: str) -> Type | None:
    return _TYPE_NAMES.get(name)


class Checker:
    def __init__(
        self, variables: Mapping[str, Type], structs: Mapping[str, Type], library: Library, faults: Faults
    ) -> None:
        self._variables = dict(variables)
        self._structs, self._library, self._faults = structs, library, faults
        self._bound: Bindings = {}
        self._fresh = 0
        self._mixing = False
        self._unreadable: list[tuple[int, str]] = []  # texts that cannot be what they are written for

    def check(self, tree: Node) -> Type:
        """What the whole expression answers."""
        found = self.final(self._check(tree))
        if not self._faults:
            for at, message in self._unreadable:
                self._faults.add(at, message)
        return found

    def final(self, kind: Type) -> Type:
        return types.substitute(self._bound, kind, free_is_dyn=True)

    def _check(self, node: Node) -> Type:
        match node:
            case Literal():
                node.type = node.kind
            case Ident():
                node.type = self._ident(node)
            case Select():
                node.type = self._select(node)
            case Call():
                node.type = self._call(node)
            case ListOf():
                node.type = self._list(node)
            case MapOf():
                node.type = self._map(node)
            case Struct():
                node.type = self._struct(node)
            case Macro():
                node.type = self._macro(node)
        return node.type

    def _variable(self) -> Type:
        self._fresh += 1
        return Type("param", name=f"_var{self._fresh}")

    def _seen(self, kind: Type) -> Type:
        return types.substitute(self._bound, kind, free_is_dyn=False)

    # -- names and fields ------------------------------------------------------------------------

    def _lookup(self, name: str) -> Type | None:
        found = self._variables.get(name)
        return found if found is not None else TYPE_VALUES.get(name)

    def _ident(self, node: Ident) -> Type:
        found = self._lookup(node.name)
        if found is None:
            self._faults.add(node.at, f"undeclared reference to '{node.name}' (in container '')")
            return ERROR
        return found

    def _select(self, node: Select) -> Type:
        name = dotted(node) if not node.tests else ""
        if name and (found := self._lookup(name)) is not None:
            node.variable = name
            return found
        operand = self._seen(self._check(node.operand))
        if operand.kind == "optional":
            inner = self._field(node, self._seen(operand.args[0]))
            return BOOL if node.tests else inner if inner.kind == "optional" else types.optional_of(inner)
        found_type = self._field(node, operand)
        if node.tests:
            return BOOL
        return types.optional_of(found_type) if node.optional else found_type

    def _field(self, node: Select, operand: Type) -> Type:
        match operand.kind:
            case "any" | "dyn" | "error" | "param":
                return DYN
            case "map":
                return operand.args[1]
            case "object" if operand.fields is not None:
                declared = operand.fields.get(node.field)
                if declared is None:
                    self._faults.add(node.at, f"undefined field '{node.field}'")
                    return ERROR
                node.key = declared.key
                return declared.type
        self._faults.add(node.at, f"type '{operand}' does not support field selection")
        return ERROR

    # -- calls -----------------------------------------------------------------------------------

    def _call(self, node: Call) -> Type:
        if node.target is not None:
            name = dotted(node.target)
            if name and f"{name}.{node.function}" in self._library.overloads:
                node.function, node.target = f"{name}.{node.function}", None
        given = [self._seen(self._check(each)) for each in ([node.target] if node.target else [])]
        self._mixing = node.function == "format"  # whose arguments are of all kinds
        given += [self._check(each) for each in node.args]
        self._mixing = False
        overloads = self._library.overloads.get(node.function)
        if overloads is None:
            self._faults.add(node.at, f"undeclared reference to '{node.function}' (in container '')")
            return ERROR
        if any(each.kind == "error" for each in given):
            return ERROR
        return self._resolve(node, overloads, given)

    def _resolve(self, node: Call, overloads: tuple[Overload, ...], given: list[Type]) -> Type:
        is_member = node.target is not None
        fitting: list[Overload] = []
        result: Type | None = None
        for overload in overloads:
            if overload.is_member != is_member or len(overload.args) != len(given):
                continue
            wanted, answer = self._instantiated(overload)
            bound = types.all_assignable(self._bound, given, wanted)
            if bound is None:
                continue
            self._bound = bound
            fitting.append(overload)
            seen = self._seen(answer)
            result = seen if result is None or result == seen else DYN
        if result is None:
            shown = [str(self.final(each)) for each in given]
            signature = f"{shown[0]}.({', '.join(shown[1:])})" if is_member else f"({', '.join(shown)})"
            message = f"found no matching overload for '{node.function}' applied to '{signature}'"
            self._faults.add(node.at, message)
            return ERROR
        self._read(node)
        node.overloads = tuple(fitting)
        node.exact = len(fitting) == 1 and all(
            types.is_known(self._seen(one)) or wanted.kind in ("dyn", "param")
            for one, wanted in zip(given, fitting[0].args)
        )
        return result

    def _read(self, node: Call) -> None:
        reads, text = _READS.get(node.function), node.args[0] if node.args else None
        if reads is None or not isinstance(text, Literal) or not isinstance(text.value, str):
            return
        if not reads(text.value):
            self._unreadable.append((text.at, f"invalid {node.function} argument"))

    def _instantiated(self, overload: Overload) -> tuple[tuple[Type, ...], Type]:
        if not overload.generic:
            return overload.args, overload.result
        fresh: dict[str, Type] = {}

        def renamed(kind: Type) -> Type:
            if kind.kind == "param":
                if kind.name not in fresh:
                    fresh[kind.name] = self._variable()
                return fresh[kind.name]
            return (
                Type(kind.kind, tuple(map(renamed, kind.args)), kind.name, kind.fields) if kind.args else kind
            )

        return tuple(map(renamed, overload.args)), renamed(overload.result)

    # -- literals --------------------------------------------------------------------------------

    def _list(self, node: ListOf) -> Type:
        joined: Type | None = None
        mixing, self._mixing = self._mixing, False
        for index, each in enumerate(node.elements):
            found = self._check(each)
            if index in node.optional:
                found = self._unwrapped(each, found)
            joined = self._join(each.at, joined, found, mixing)
        return types.list_of(joined if joined is not None else self._variable())

    def _map(self, node: MapOf) -> Type:
        key: Type | None = None
        value: Type | None = None
        for entry in node.entries:
            key = self._join(entry.key.at, key, self._check(entry.key))
            found = self._check(entry.value)
            if entry.optional:
                found = self._unwrapped(entry.value, found)
            value = self._join(entry.value.at, value, found)
        if key is None or value is None:
            return types.map_of(self._variable(), self._variable())
        return types.map_of(key, value)

    def _unwrapped(self, node: Node, found: Type) -> Type:
        seen = self._seen(found)
        if seen.kind == "optional":
            return seen.args[0]
        if seen.kind not in ("dyn", "error"):
            self._faults.add(node.at, f"expected type 'optional_type({seen})' but found '{seen}'")
        return DYN

    def _join(self, at: int, joined: Type | None, found: Type, mixing: bool = False) -> Type:
        """Literals hold one type, as Kubernetes has it; `dyn()` is how to say otherwise."""
        if joined is None:
            return found
        if mixing:
            return DYN
        if not self._fits(found, joined):
            self._faults.add(at, f"expected type '{self.final(joined)}' but found '{self.final(found)}'")
            return joined
        return types.most_general(joined, found)

    def _fits(self, given: Type, wanted: Type) -> bool:
        bound = types.all_assignable(self._bound, (given,), (wanted,))
        if bound is None:
            return False
        self._bound = bound
        return True

    def _struct(self, node: Struct) -> Type:
        declared = self._structs.get(node.name)
        if declared is None or declared.fields is None:
            self._faults.add(node.at, f"undeclared reference to '{node.name}' (in container '')")
            for _, value, _, _ in node.fields:
                self._check(value)
            return ERROR
        for name, value, optional, at in node.fields:
            found = self._check(value)
            if optional:
                found = self._unwrapped(value, found)
            wanted = declared.fields.get(name)
            if wanted is None:
                self._faults.add(at, f"undefined field '{name}'")
            elif not self._fits(found, wanted.type):
                shown = f"'{wanted.type}' but provided type is '{self.final(found)}'"
                self._faults.add(at, f"expected type of field '{name}' is {shown}")
        node.declared = declared
        return declared

    # -- macros ----------------------------------------------------------------------------------

    def _macro(self, node: Macro) -> Type:
        over = self._seen(self._check(node.range))
        if node.kind in ("optMap", "optFlatMap"):
            return self._optional_macro(node, over)
        if node.kind == "bind":
            return self._named(node, over)
        match over.kind:
            case "list":
                key, value = types.INT, over.args[0]
            case "map":
                key, value = over.args
            case "dyn" | "error" | "param":
                key = value = DYN
            case _:
                why = "cannot be range of a comprehension (must be list, map, or dynamic)"
                self._faults.add(node.range.at, f"expression of type '{over}' {why}")
                key = value = ERROR
        if node.second:
            scope = {node.variable: key, node.second: value}
        else:
            scope = {node.variable: value if over.kind == "list" else key}
        before = self._variables
        self._variables = before | scope
        try:
            return self._macro_body(node, over)
        finally:
            self._variables = before

    def _macro_body(self, node: Macro, over: Type) -> Type:
        if node.condition is not None:
            self._condition(node, node.condition)
        element = next(iter(self._element(over)), DYN)
        result = self._check(node.result) if node.result is not None else DYN
        match node.kind:
            case "all" | "exists" | "existsOne":
                return BOOL
            case "filter":
                return types.list_of(element)
            case "map" | "transformList":
                return types.list_of(result)
            case "transformMap":
                key = {"map": over.args[:1], "list": (types.INT,)}.get(over.kind, (DYN,))[0]
                return types.map_of(key, result)
        seen = self._seen(result)
        return seen if seen.kind == "map" else types.map_of(DYN, DYN)

    def _element(self, over: Type) -> tuple[Type, ...]:
        return over.args[:1] if over.kind in ("list", "map") else ()

    def _condition(self, node: Macro, condition: Node) -> None:
        found = self._check(condition)
        if found.kind == "error" or self._fits(found, BOOL):
            return
        shown = self.final(found)
        operator = {"all": "_&&_", "exists": "_||_"}.get(node.kind)
        if operator is not None:
            message = f"found no matching overload for '{operator}' applied to '(bool, {shown})'"
        else:
            message = f"found no matching overload for '_?_:_' applied to '({shown}, dyn, dyn)'"
        self._faults.add(node.at, message)

    def _named(self, node: Macro, value: Type) -> Type:
        """The result's type, with the macro's variable for a value."""
        before = self._variables
        self._variables = before | {node.variable: value}
        assert node.result is not None
        result = self._check(node.result)
        self._variables = before
        return result

    def _optional_macro(self, node: Macro, over: Type) -> Type:
        inner = over.args[0] if over.kind == "optional" else DYN
        if over.kind not in ("optional", "dyn", "error"):
            message = f"found no matching overload for 'hasValue' applied to '{over}.()'"
            self._faults.add(node.at, message)
        result = self._named(node, inner)
        if node.kind == "optMap":
            return types.optional_of(result)
        seen = self._seen(result)
        return seen if seen.kind == "optional" else types.optional_of(DYN)


__all__ = ["TYPE_VALUES", "Checker", "type_named"]
