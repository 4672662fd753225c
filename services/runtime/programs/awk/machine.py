"""Runs an awk program: records come in, fields are cut when asked for, actions run."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from services.runtime.processes import Process
from services.runtime.programs.awk import functions
from services.runtime.programs.awk.channels import Channels
from services.runtime.programs.awk.memory import Memory
from services.runtime.programs.awk.parser import Node, Program
from services.runtime.programs.awk.records import Records
from services.runtime.programs.awk.values import (
    NOTHING,
    STRING_CHARACTERS_MAX,
    AwkFault,
    Input,
    Nothing,
    Value,
    compare,
    formatted,
    number,
    text,
    truth,
)
from services.runtime.programs.patterns import Pattern, extended

STEPS_PER_BREATH = 4_000
DEPTH_MAX = 60
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


class Return(Exception):
    def __init__(self, value: Value) -> None:
        self.value = value


class Machine(Memory):
    def __init__(self, process: Process, program: Program, operands: list[str]) -> None:
        self.process, self._program = process, program
        self.channels = Channels(process)
        super().__init__(process, operands)
        self.random = Random(0)
        self.seed = 0.0
        self._records = Records(self, operands)
        self._ranges: set[int] = set()
        self._out: list[str] = []
        self._gathered = 0
        self._steps = 0
        self.status = 0
        self._handlers: dict[str, Callable[[Node], Awaitable[Value]]] = {
            kind.removeprefix("_eval_"): getattr(self, kind)
            for kind in dir(self)
            if kind.startswith("_eval_")
        }

    # -- running ------------------------------------------------------------------------------

    async def run(self) -> int:
        try:
            try:
                for block in self._program.begin:
                    await self._execute(block)
                if self._program.rules or self._program.end:
                    await self._main()
            except Leave:
                pass
            try:
                for block in self._program.end:
                    await self._execute(block)
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
                        await self._execute(action)
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

    async def _execute(self, node: Node) -> None:
        await self.breathe()
        kind = node[0]
        if kind == "block":
            for one in node[1]:
                await self._execute(one)
        elif kind == "expression":
            await self.evaluate(node[1])
        elif kind in ("print", "printf"):
            await self._print(node)
        elif kind == "if":
            if truth(await self.evaluate(node[1])):
                await self._execute(node[2])
            elif node[3] is not None:
                await self._execute(node[3])
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
                    await self._execute(node[1])
                while node[2] is None or truth(await self.evaluate(node[2])):
                    await self._turn(node[4])
                    if node[3] is not None:
                        await self._execute(node[3])
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
            await self._execute(body)
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

    # -- expressions --------------------------------------------------------------------------

    async def evaluate(self, node: Node) -> Value:
        kind = node[0]
        if kind == "value":
            return node[1]  # type: ignore[no-any-return]
        if kind == "var":
            return self.variable(node[1])
        return await self._handlers[kind](node)

    async def _eval_group(self, node: Node) -> Value:
        return await self.evaluate(node[1])

    async def _eval_regex(self, node: Node) -> Value:
        return float(node[1].test(text(self.record())))

    async def _eval_field(self, node: Node) -> Value:
        return self.field(int(max(min(number(await self.evaluate(node[1])), 1e9), -1e9)))

    async def _eval_index(self, node: Node) -> Value:
        array, key = self.array(node[1]), await self._key(node[2])
        if key not in array:
            self.put(array, key, NOTHING)
        return array[key]

    async def _key(self, nodes: list[Node]) -> str:
        form = self.string("CONVFMT")
        return self.string("SUBSEP").join([text(await self.evaluate(one), form) for one in nodes])

    async def assign(self, target: Node, value: Value) -> None:
        if target[0] == "var":
            self.set_variable(target[1], value)
        elif target[0] == "field":
            self._set_field(int(max(min(number(await self.evaluate(target[1])), 1e9), -1e9)), value)
        elif target[0] == "index":
            self.put(self.array(target[1]), await self._key(target[2]), value)
        else:
            raise AwkFault("Unexpected token")

    async def _eval_assign(self, node: Node) -> Value:
        _, operator, target, source = node
        value = await self.evaluate(source)
        if operator != "=":
            old = number(await self.evaluate(target))
            value = _calculated("^" if operator == "**=" else operator[0], old, number(value))
        if isinstance(value, Nothing):
            value = NOTHING
        await self.assign(target, value)
        return value

    async def _eval_step(self, node: Node) -> Value:
        _, before, change, target = node
        old = number(await self.evaluate(target))
        await self.assign(target, old + change)
        return old + change if before else old

    async def _eval_cond(self, node: Node) -> Value:
        return await self.evaluate(node[2] if truth(await self.evaluate(node[1])) else node[3])

    async def _eval_or(self, node: Node) -> Value:
        return float(truth(await self.evaluate(node[1])) or truth(await self.evaluate(node[2])))

    async def _eval_and(self, node: Node) -> Value:
        return float(truth(await self.evaluate(node[1])) and truth(await self.evaluate(node[2])))

    async def _eval_not(self, node: Node) -> Value:
        return float(not truth(await self.evaluate(node[1])))

    async def _eval_minus(self, node: Node) -> Value:
        return -number(await self.evaluate(node[1])) + 0.0

    async def _eval_plus(self, node: Node) -> Value:
        return number(await self.evaluate(node[1]))

    async def _eval_binary(self, node: Node) -> Value:
        left = number(await self.evaluate(node[2]))
        return _calculated(node[1], left, number(await self.evaluate(node[3])))

    async def _eval_compare(self, node: Node) -> Value:
        left = await self.evaluate(node[2])
        order = compare(left, await self.evaluate(node[3]))
        return float(
            {
                "<": order < 0,
                "<=": order <= 0,
                "==": order == 0,
                "!=": order != 0,
                ">": order > 0,
                ">=": order >= 0,
            }[node[1]]
        )

    async def pattern(self, node: Node) -> Pattern:
        if node[0] == "regex":
            return node[1]  # type: ignore[no-any-return]
        return extended(text(await self.evaluate(node)))

    async def _eval_match(self, node: Node) -> Value:
        subject = text(await self.evaluate(node[2]))
        return float((await self.pattern(node[3])).test(subject) != node[1])

    async def _eval_in(self, node: Node) -> Value:
        return float(await self._key(node[1]) in self.array(node[2]))

    async def _eval_concat(self, node: Node) -> Value:
        form = self.string("CONVFMT")
        left = text(await self.evaluate(node[1]), form)
        joined = left + text(await self.evaluate(node[2]), form)
        if len(joined) > STRING_CHARACTERS_MAX:
            raise AwkFault("out of memory")
        return joined

    async def _eval_tuple(self, node: Node) -> Value:
        raise AwkFault("Unexpected token")

    async def _eval_builtin(self, node: Node) -> Value:
        await self.breathe()
        return await functions.call(self, node[1], node[2])

    async def _eval_getline(self, node: Node) -> Value:
        _, kind, source, target = node
        try:
            if kind == "<":
                line = await self.channels.line_of_file(text(await self.evaluate(source)))
            elif kind == "|":
                await self.flush()
                line = await self.channels.line_of_command(text(await self.evaluate(source)))
            else:
                line = await self._records.next()
        except OSError:
            return -1.0
        if line is None:
            return 0.0
        if kind == "|":
            self.globals["NR"] = number(self.globals["NR"]) + 1
        if target is None:
            self.set_record(line)
        else:
            await self.assign(target, Input(line))
        return 1.0

    async def _eval_call(self, node: Node) -> Value:
        _, name, arguments, _ = node
        function = self._program.functions.get(name)
        if function is None:
            raise AwkFault("Call to undefined function")
        if len(arguments) > len(function.parameters):
            raise AwkFault("Unexpected token")
        if len(self._frames) >= DEPTH_MAX:
            raise AwkFault("recursion too deep")
        frame: dict[str, Any] = {}
        for at, parameter in enumerate(function.parameters):
            if at >= len(arguments):
                frame[parameter] = NOTHING
            elif arguments[at][0] == "var" and (
                parameter in function.arrays or self._is_array(arguments[at][1])
            ):
                frame[parameter] = self.array(arguments[at][1])
            else:
                frame[parameter] = await self.evaluate(arguments[at])
        await self.breathe()
        self._frames.append(frame)
        try:
            await self._execute(function.body)
        except Return as back:
            return back.value
        finally:
            self._frames.pop()
        return NOTHING

    def _is_array(self, name: str) -> bool:
        scope = self._frames[-1] if self._frames and name in self._frames[-1] else self.globals
        return isinstance(scope.get(name), dict)


def _calculated(operator: str, left: float, right: float) -> float:
    try:
        if operator == "+":
            return left + right
        if operator == "-":
            return left - right
        if operator == "*":
            return left * right
        if operator == "^":
            result = left**right
            return result if isinstance(result, float) else math.nan
        if right == 0:
            raise AwkFault("Division by zero")
        return left / right if operator == "/" else math.fmod(left, right)
    except OverflowError:
        return math.inf
    except ZeroDivisionError:
        return math.inf
    except ValueError:
        return math.nan
