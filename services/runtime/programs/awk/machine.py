"""Runs an awk program: records come in, rules are tried, statements do what they say.

Expressions are worked out in evaluation.py.
"""

from __future__ import annotations

from services.runtime.processes import Process
from services.runtime.programs.awk.evaluation import Evaluation, Return
from services.runtime.programs.awk.expressions import Node, Program
from services.runtime.programs.awk.values import NOTHING, AwkFault, Input, formatted, number, text, truth

STEPS_PER_BREATH = 4_000
OUTPUT_CHARACTERS = 8_192  # gathered before they are written


class Jump(Exception):
    """break, continue, next, nextfile."""


class Break(Jump):
    pass


class Continue(Jump):
    pass


class Next(Jump):
    pass


class Leave(Exception):
    """exit."""


class Machine(Evaluation):
    def __init__(self, process: Process, program: Program, operands: list[str]) -> None:
        super().__init__(process, program, operands)
        self._ranges: set[int] = set()
        self._out: list[str] = []
        self._gathered = 0
        self._steps = 0
        self.status = 0

    # -- running ------------------------------------------------------------------------------

    async def run(self) -> int:
        try:
            try:
                for block in self._program.begin:
                    await self.execute(block)
                if self._program.rules or self._program.end:
                    await self._main()
            except Leave:
                pass
            try:
                for block in self._program.end:
                    await self.execute(block)
            except Leave:
                pass
        except (Jump, Return):
            raise AwkFault("Unexpected token") from None
        finally:
            await self.flush()
        await self.channels.close_all()
        return self.status or int(self._records.failed)

    async def _main(self) -> None:
        while (record := await self._records.next()) is not None:
            self.set_record(record)
            try:
                for index, (first, last, action) in enumerate(self._program.rules):
                    if await self._selected(index, first, last):
                        await self.execute(action)
            except Next:
                continue
            except Jump:
                raise AwkFault("Unexpected token") from None

    async def _selected(self, index: int, first: Node | None, last: Node | None) -> bool:
        if first is None:
            return True
        if last is None:
            return truth(await self.evaluate(first))
        if index not in self._ranges:
            if not truth(await self.evaluate(first)):
                return False
            self._ranges.add(index)
        if truth(await self.evaluate(last)):
            self._ranges.discard(index)
        return True

    async def flush(self) -> None:
        if self._out:
            data, self._out, self._gathered = "".join(self._out), [], 0
            await self.process.write(data)

    async def emit(self, data: str) -> None:
        self._out.append(data)
        self._gathered += len(data)
        if self._gathered > OUTPUT_CHARACTERS or self.process.streams[1].terminal:
            await self.flush()

    # -- statements ---------------------------------------------------------------------------

    async def breathe(self) -> None:
        self._steps += 1
        if self._steps % STEPS_PER_BREATH == 0:
            await self.process.container.kernel.breathe()

    async def execute(self, node: Node) -> None:
        await self.breathe()
        kind = node[0]
        if kind == "block":
            for one in node[1]:
                await self.execute(one)
        elif kind == "expression":
            await self.evaluate(node[1])
        elif kind in ("print", "printf"):
            await self._print(node)
        elif kind == "if":
            if truth(await self.evaluate(node[1])):
                await self.execute(node[2])
            elif node[3] is not None:
                await self.execute(node[3])
        elif kind in ("while", "do", "for", "forin"):
            await self._loop(node)
        elif kind in ("break", "continue", "next", "nextfile"):
            if kind == "nextfile":
                await self._records.skip()
            raise {"break": Break, "continue": Continue}.get(kind, Next)()
        elif kind == "exit":
            if node[1] is not None:
                self.status = int(number(await self.evaluate(node[1]))) & 0xFF
            raise Leave
        elif kind == "return":
            raise Return(NOTHING if node[1] is None else await self.evaluate(node[1]))
        elif kind == "delete":
            array = self.array(node[1])
            if node[2] is None:
                array.clear()
            else:
                array.pop(await self._key(node[2]), None)

    async def _loop(self, node: Node) -> None:
        kind = node[0]
        try:
            if kind == "forin":
                for key in list(self.array(node[2])):
                    self.set_variable(node[1], Input(key))
                    await self._turn(node[3])
            elif kind == "for":
                if node[1] is not None:
                    await self.execute(node[1])
                while node[2] is None or truth(await self.evaluate(node[2])):
                    await self._turn(node[4])
                    if node[3] is not None:
                        await self.execute(node[3])
                    await self.breathe()
            else:
                while kind == "do" or truth(await self.evaluate(node[1])):
                    await self._turn(node[2])
                    await self.breathe()
                    if kind == "do" and not truth(await self.evaluate(node[1])):
                        break
        except Break:
            return

    async def _turn(self, body: Node) -> None:
        try:
            await self.execute(body)
        except Continue:
            return

    async def _print(self, node: Node) -> None:
        kind, arguments, operator, target = node
        values = [await self.evaluate(one) for one in arguments]
        if kind == "printf":
            data = formatted(text(values[0]) if values else "", values[1:])
        elif values:
            form = self.string("OFMT")
            data = self.string("OFS").join(text(value, form) for value in values) + self.string("ORS")
        else:
            data = text(self.record()) + self.string("ORS")
        if operator is None:
            await self.emit(data)
        else:
            await self.flush()
            await self.channels.write(operator, text(await self.evaluate(target)), data)
