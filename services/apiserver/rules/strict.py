"""The second, slow look at a body that is not regular: what is wrong with it, and where, in Go's words.

Follows `sigs.k8s.io/json`: a value of the wrong type is remembered and decoding goes on, the first one is
reported; a quantity or time that cannot be read ends it at once; unknown and repeated fields are
collected, to be warned about or refused. Names are case-sensitive. What remains is regular.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any

from services.apiserver.rules.json_text import ExactObject, Number
from services.machinery import quantity
from services.machinery.schema import Schema, definition
from services.machinery.schema.normal import INT_BOUNDS, Irregular, normaliser

STRICT_FAULTS_MAX = 100  # As upstream; more would not fit into a warning header.
Json = dict[str, Any]


class Unreadable(ValueError):
    """The body has the wrong form; the text is upstream's."""


@dataclass(slots=True)
class Findings:
    """What one look at a body brought."""

    obj: Json
    faults: list[str] = field(default_factory=list)  # unknown and duplicate fields, as warned about


@dataclass(slots=True)
class _Place:
    """Where the walk is: for Go's errors the struct and its names, for the strict ones the indexed path."""

    struct: str
    names: tuple[str, ...]
    path: str

    def named(self, struct: str, name: str) -> _Place:
        return _Place(struct, (*self.names, name), f"{self.path}.{name}" if self.path else name)

    def keyed(self, key: str) -> _Place:
        return _Place(self.struct, self.names, f"{self.path}.{key}" if self.path else key)

    def indexed(self, index: int) -> _Place:
        return _Place(self.struct, self.names, f"{self.path}[{index}]")


def inspect(value: Any, schema: Schema) -> Findings:
    """The regular part of `value`, and what was left out. Unreadable where nothing can be saved."""
    walk = _Walk()
    obj = walk.struct(value, schema, _Place("", (), ""))
    if walk.wrong_type:
        raise Unreadable(walk.wrong_type)
    return Findings(normaliser(schema)(obj), walk.faults)


class _Walk:
    def __init__(self) -> None:
        self.wrong_type = ""
        self.faults: list[str] = []

    def _fault(self, text: str) -> None:
        if len(self.faults) < STRICT_FAULTS_MAX and text not in self.faults:
            self.faults.append(text)

    def _wrong(self, what: str, place: _Place, go_type: str) -> None:
        self.wrong_type = self.wrong_type or mismatch(what, place.struct, place.names, go_type)

    def struct(self, value: Any, schema: Schema, place: _Place, go_type: str = "") -> Json:
        if not isinstance(value, dict):
            self._wrong(json_type(value), place, go_type or schema.go_type)
            return {}
        out: Json = {}
        seen: set[str] = set()
        for key, item in value.pairs if isinstance(value, ExactObject) else value.items():
            inner = place.named(schema.go_name, key)
            inner.struct = schema.go_name
            known = schema.fields.get(key)
            if known is None and not (schema.typed and key in ("apiVersion", "kind")):
                self._fault(f'unknown field "{inner.path}"')
                continue
            if key in seen:
                self._fault(f'duplicate field "{inner.path}"')
            seen.add(key)
            if item is None:
                continue
            if known is None:
                out[key] = self._leaf(item, "string", inner, "string")
            else:
                out[key] = self.value(item, known.schema, inner, known.go_type)
        return out

    def value(self, item: Any, schema: Schema, place: _Place, go_type: str) -> Any:
        if schema.type == "struct":
            return self.struct(item, schema, place, go_type)
        if schema.type == "list":
            return self._list(item, schema, place, go_type)
        if schema.type == "map":
            return self._map(item, schema, place, go_type)
        return self._leaf(item, schema.type, place, go_type)

    def _list(self, items: Any, schema: Schema, place: _Place, go_type: str) -> Any:
        assert schema.items is not None
        if not isinstance(items, list):
            self._wrong(json_type(items), place, go_type)
            return []
        go_item = go_type.removeprefix("[]") if go_type.startswith("[]") else schema.items.go_type
        return [
            None if item is None else self.value(item, schema.items, place.indexed(index), go_item)
            for index, item in enumerate(items)
        ]

    def _map(self, entries: Any, schema: Schema, place: _Place, go_type: str) -> Any:
        assert schema.items is not None
        if not isinstance(entries, dict):
            self._wrong(json_type(entries), place, go_type)
            return {}
        out: Json = {}
        for key, item in entries.pairs if isinstance(entries, ExactObject) else entries.items():
            inner = place.keyed(key)
            if key in out:
                self._fault(f'duplicate field "{inner.path}"')
            out[key] = None if item is None else self.value(item, schema.items, inner, schema.items.go_type)
        return out

    def _leaf(self, item: Any, kind: str, place: _Place, go_type: str) -> Any:
        match kind:
            case "raw" | "json":
                return plain(item)
            case "schemaorarray" | "schemaorbool" | "schemaorstrings":
                return self._json_schemas(item, kind, place)
            case "bool":
                return item if type(item) is bool else self._wrong(json_type(item), place, go_type)
            case "int32" | "int64":
                return self._integer(item, kind, place, go_type)
            case "intorstring":
                return item if isinstance(item, str) else self._integer_now(item, place)
            case "float64":
                number = isinstance(item, int | float) and not isinstance(item, bool)
                return item if number else self._wrong(json_type(item), place, go_type)
            case "quantity":
                return self._quantity(item)
            case "time" | "microtime":
                return self._time(item, kind, place)
        if not isinstance(item, str):
            return self._wrong(json_type(item), place, go_type)
        return self._base64(item) if kind == "bytes" else item

    def _json_schemas(self, item: Any, kind: str, place: _Place) -> Any:
        """Upstream decodes these by hand, and then is not strict: what it does not know is gone untold."""
        if isinstance(item, dict):
            walk = _Walk()
            found = walk.struct(item, definition("apiextensions.v1.JSONSchemaProps"), _Place("", (), ""))
            self.wrong_type = self.wrong_type or walk.wrong_type
            return found
        if isinstance(item, list) and kind == "schemaorarray":
            return [self._json_schemas(each, kind, place) for each in item]
        if isinstance(item, list) and kind == "schemaorstrings":
            return [self._leaf(each, "string", place, "string") for each in item]
        if kind == "schemaorbool":
            if not isinstance(item, bool):
                self.wrong_type = self.wrong_type or "boolean or JSON schema expected"
            return bool(item)
        return {}

    def _integer(self, item: Any, kind: str, place: _Place, go_type: str) -> Any:
        low, high = INT_BOUNDS[kind]
        if type(item) is int and low <= item <= high:
            return item
        what = f"number {digits(item)}" if json_type(item) == "number" else json_type(item)
        return self._wrong(what, place, go_type)

    def _integer_now(self, item: Any, place: _Place) -> Any:
        """Inside a type that decodes itself: a fault there ends the decoding."""
        if type(item) is int and INT_BOUNDS["int32"][0] <= item <= INT_BOUNDS["int32"][1]:
            return item
        what = f"number {digits(item)}" if json_type(item) == "number" else json_type(item)
        raise Unreadable(mismatch(what, place.struct, place.names, "int32"))

    def _quantity(self, item: Any) -> str:
        text = item if isinstance(item, str) else digits(item) if json_type(item) == "number" else "?"
        try:
            return quantity.canonical(text)
        except ValueError as error:
            raise Unreadable(str(error)) from error

    def _time(self, item: Any, kind: str, place: _Place) -> str:
        if not isinstance(item, str):
            raise Unreadable(mismatch(json_type(item), place.struct, place.names, "string"))
        try:
            return str(normaliser(_time_schema(kind))(item))
        except Irregular as error:
            raise Unreadable(time_fault(item, kind)) from error

    def _base64(self, item: str) -> str:
        text = item.replace("\r", "").replace("\n", "")
        try:
            b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            self.wrong_type = self.wrong_type or f"illegal base64 data at input byte {base64_fault(text)}"
            return ""
        return item


def _time_schema(kind: str) -> Schema:
    return Schema(kind, kind, "")  # type: ignore[arg-type]


def mismatch(what: str, struct: str, names: tuple[str, ...], go_type: str) -> str:
    if not names:
        return f"json: cannot unmarshal {what} into Go value of type {go_type}"
    return f"json: cannot unmarshal {what} into Go struct field {struct}.{'.'.join(names)} of type {go_type}"


def json_type(value: Any) -> str:
    """As Go names it in its errors."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def digits(number: Any) -> str:
    return number.text if isinstance(number, Number) else str(number)


def plain(value: Any) -> Any:
    """Without our reader's own types, which the fast encoder does not know."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, Number) else value


_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def base64_fault(text: str) -> int:
    """The offset that Go's decoder complains about."""
    for index, char in enumerate(text):
        if char == "=":
            # Padding only ends a quantum that has two or three characters.
            if index % 4 < 2:
                return index
            if index % 4 == 2 and text[index + 1 : index + 2] != "=":
                return index + 1 if index + 1 < len(text) else len(text)
            return index + 1 + (index % 4 == 2)
        if char not in _ALPHABET:
            return index
    return len(text) - len(text) % 4


_LAYOUTS = {"time": "2006-01-02T15:04:05Z07:00", "microtime": "2006-01-02T15:04:05.000000Z07:00"}
_PARTS = ("2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05", "Z07:00")


def time_fault(text: str, kind: str) -> str:
    """Go's `time.ParseError`: the part of the layout that the rest of the text does not fit."""
    rest, layout = text, _LAYOUTS[kind]
    for part in _PARTS[:-1]:
        if not part.isdigit():
            if not rest.startswith(part):
                return _parse_error(text, layout, rest, part)
            rest = rest[1:]
            continue
        number = rest[: len(part)]
        if not (number.isascii() and number.isdigit() and len(number) == len(part)):
            return _parse_error(text, layout, rest, part)
        if out_of_range := _out_of_range(part, int(number)):
            return f'parsing time "{text}": {out_of_range} out of range'
        rest = rest[len(part) :]
    if rest.startswith("."):
        rest = rest[1:].lstrip("0123456789")
    if not rest.startswith(("Z", "+", "-")):
        return _parse_error(text, layout, rest, "Z07:00")
    extra = rest[1:] if rest.startswith("Z") else rest[6:]
    if extra:
        return f'parsing time "{text}": extra text: "{extra}"'
    return f'parsing time "{text}": day out of range'


def _parse_error(text: str, layout: str, rest: str, part: str) -> str:
    return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{part}"'


def _out_of_range(part: str, number: int) -> str:
    bounds = {"01": ("month", 1, 12), "02": ("day", 1, 31), "15": ("hour", 0, 23), "04": ("minute", 0, 59)}
    name, low, high = bounds.get(part, ("second", 0, 59) if part == "05" else ("", 0, 9999))
    return "" if low <= number <= high else name
