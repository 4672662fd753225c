"""What an awk program remembers: variables, arrays, the record and its fields."""

from __future__ import annotations

from typing import Any

from services.runtime.processes import Process
from services.runtime.programs.awk.values import (
    NOTHING,
    STRING_CHARACTERS_MAX,
    AwkFault,
    Input,
    Nothing,
    Value,
    number,
    text,
)
from services.runtime.programs.patterns import Pattern, extended

FIELDS_MAX = 20_000
ELEMENTS_MAX = 200_000
ELEMENTS_COUNTED, ELEMENT_BYTES = 4096, 128  # how often, and for how much, the container's memory hears of it
Array = dict[str, Value]


class Memory:
    def __init__(self, process: Process, operands: list[str]) -> None:
        self.process = process
        self.globals: dict[str, Any] = {
            "FS": " ",
            "OFS": " ",
            "ORS": "\n",
            "RS": "\n",
            "NR": 0.0,
            "FNR": 0.0,
            "SUBSEP": "\x1c",
            "RSTART": 0.0,
            "RLENGTH": -1.0,
            "CONVFMT": "%.6g",
            "OFMT": "%.6g",
            "FILENAME": "",
            "ARGC": float(len(operands) + 1),
            "ENVIRON": {name: Input(value) for name, value in process.env.items()},
            "ARGV": {str(at): Input(word) for at, word in enumerate(["awk", *operands])},
        }
        self._frames: list[dict[str, Any]] = []
        self._record: str = ""
        self._fields: list[Value] | None = []
        self._stale = False  # whether $0 has to be made anew from the fields
        self._elements = 0

    # -- variables ----------------------------------------------------------------------------

    def set_variable(self, name: str, value: Value) -> None:
        scope = self._frames[-1] if self._frames and name in self._frames[-1] else self.globals
        if isinstance(scope.get(name), dict):
            raise AwkFault(f"{name} is an array")
        if isinstance(value, str) and len(value) > STRING_CHARACTERS_MAX:
            raise AwkFault("out of memory")
        if name == "NF" and scope is self.globals:
            self._resize(int(max(min(number(value), FIELDS_MAX), 0)))
            return
        if name not in scope and len(scope) > 10_000:
            raise AwkFault("out of memory")
        scope[name] = value

    def set_input(self, name: str, value: str) -> None:
        self.set_variable(name, Input(value))

    def variable(self, name: str) -> Value:
        if self._frames and name in self._frames[-1]:
            found = self._frames[-1][name]
        elif name == "NF":
            return float(len(self.fields()))
        else:
            found = self.globals.get(name, NOTHING)
        if isinstance(found, dict):
            raise AwkFault(f"{name} is an array")
        return found  # type: ignore[no-any-return]

    def string(self, name: str) -> str:
        return text(self.globals.get(name, NOTHING))

    def array(self, name: str) -> Array:
        scope = self._frames[-1] if self._frames and name in self._frames[-1] else self.globals
        found = scope.get(name, NOTHING)
        if isinstance(found, Nothing):
            found = scope[name] = {}
        if not isinstance(found, dict):
            raise AwkFault(f"{name} is not an array")
        return found

    def put(self, array: Array, key: str, value: Value) -> None:
        if key not in array:
            self._elements += 1
            if self._elements > ELEMENTS_MAX:
                raise AwkFault("out of memory")
            if self._elements % ELEMENTS_COUNTED == 0:
                self.process.hold(self._elements * ELEMENT_BYTES)
        array[key] = value

    # -- the record and its fields ------------------------------------------------------------

    def set_record(self, record: str) -> None:
        self._record, self._fields, self._stale = record, None, False

    def fields(self) -> list[Value]:
        if self._fields is None:
            self._fields = [Input(piece) for piece in self.split(self._record, self.string("FS"))]
        return self._fields

    def record(self) -> Value:
        if self._stale:
            self._record = self.string("OFS").join(text(one, self.string("CONVFMT")) for one in self.fields())
            self._stale = False
        return Input(self._record)

    def split(self, record: str, separator: str | Pattern) -> list[str]:
        if separator == " ":
            return record.split()[:FIELDS_MAX]
        if not record:
            return []
        if separator == "":
            return list(record[:FIELDS_MAX])
        if isinstance(separator, str):
            if len(separator) == 1 and separator != "\\":
                return record.split(separator)[:FIELDS_MAX]
            separator = extended(separator)
        found, at = [], 0
        for match in separator.finditer(record):
            if match.end() > match.start():
                found.append(record[at : match.start()])
                at = match.end()
        return [*found, record[at:]][:FIELDS_MAX]

    def _resize(self, size: int) -> None:
        fields = self.fields()
        self._fields = (fields + [""] * (size - len(fields)))[:size]
        self._stale = True

    def field(self, at: int) -> Value:
        if at == 0:
            return self.record()
        fields = self.fields()
        return fields[at - 1] if 0 < at <= len(fields) else NOTHING

    def _set_field(self, at: int, value: Value) -> None:
        if at == 0:
            self.set_record(text(value))
            return
        if not 0 < at <= FIELDS_MAX:
            raise AwkFault("Access to negative field")
        if at > len(self.fields()):
            self._resize(at)
        self.fields()[at - 1] = value
        self._stale = True
