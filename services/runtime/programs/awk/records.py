"""Where awk's records come from: operands one after another, cut by RS."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from services.runtime.programs.awk.values import number
from services.runtime.programs.input import Lines, contents
from services.runtime.programs.patterns import extended
from services.runtime.programs.printing import unescape

if TYPE_CHECKING:
    from services.runtime.programs.awk.machine import Machine

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


class Records:
    def __init__(self, machine: Machine, operands: list[str]) -> None:
        self._machine = machine
        self._pending = deque(operands)
        self._lines: Lines | None = None
        self._cut: deque[str] | None = None
        self._any = False  # whether a file was named
        self.failed = False

    async def next(self) -> str | None:
        while True:
            if self._lines is None and self._cut is None and not await self._open():
                return None
            record = await self._lines.next() if self._lines is not None else None
            if self._cut is not None:
                record = self._cut.popleft() if self._cut else None
            if record is not None:
                known = self._machine.globals
                known["NR"] = number(known["NR"]) + 1
                known["FNR"] = number(known["FNR"]) + 1
                return record
            await self.skip()

    async def skip(self) -> None:
        """On to the next file."""
        if self._lines is not None and self._lines.failed:
            self.failed = True
        self._lines = self._cut = None

    async def _open(self) -> bool:
        machine = self._machine
        while self._pending:
            operand = self._pending.popleft()
            match = _ASSIGNMENT.fullmatch(operand)
            if match:
                machine.set_input(match[1], unescape(match[2])[0])
                continue
            self._any = True
            return await self._begin(operand)
        if not self._any:
            self._any = True
            return await self._begin("-")
        return False

    async def _begin(self, operand: str) -> bool:
        machine = self._machine
        machine.globals["FILENAME"] = "" if operand == "-" else operand
        machine.globals["FNR"] = 0.0
        separator = machine.string("RS")
        if separator == "\n":
            self._lines = Lines(machine.process, [operand])
            return True
        inputs, status = await contents(machine.process, [operand])
        self.failed = self.failed or bool(status)
        data = inputs[0][1].decode("utf-8", "surrogateescape") if inputs else ""
        self._cut = deque(_cut(data, separator))
        return True


def _cut(data: str, separator: str) -> list[str]:
    if separator == "":
        return [piece for piece in re.split(r"\n{2,}", data.strip("\n")) if piece]
    if len(separator) == 1:
        pieces = data.split(separator)
    else:
        pieces, at = [], 0
        for match in extended(separator).finditer(data):
            if match.end() > match.start():
                pieces.append(data[at : match.start()])
                at = match.end()
        pieces.append(data[at:])
    if pieces and pieces[-1] in ("", "\n") and (len(pieces) > 1 or pieces[-1] == ""):
        pieces.pop()
    return pieces
