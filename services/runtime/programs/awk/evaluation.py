"""Works out awk's expressions. What statements do is in machine.py, what is remembered in memory.py."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any

from services.runtime.processes import Process
from services.runtime.programs.awk import functions
from services.runtime.programs.awk.channels import Channels
from services.runtime.programs.awk.expressions import Node, Program
from services.runtime.programs.awk.memory import Memory
from services.runtime.programs.awk.records import Records
from services.runtime.programs.awk.values import (
    NOTHING,
    STRING_CHARACTERS_MAX,
    AwkFault,
    Input,
    Nothing,
    Value,
    compare,
    number,
    text,
    truth,
)
from services.runtime.programs.patterns import Pattern, extended

if TYPE_CHECKING:
    from services.runtime.programs.awk.machine import Machine

DEPTH_MAX = 60


class Return(Exception):
    def __init__(self, value: Value) -> None:
        self.value = value


class Evaluation(Memory):
    def __init__(self, process: Process, program: Program, operands: list[str]) -> None:
        super().__init__(process, operands)
        self._program = program
        self.channels = Channels(process)
        self.random = Random(0)
        self.seed = 0.0
        self._records = Records(self.itself(), operands)
        self._handlers: dict[str, Callable[[Node], Awaitable[Value]]] = {
            kind.removeprefix("_eval_"): getattr(self, kind)
            for kind in dir(self)
            if kind.startswith("_eval_")
        }

    def itself(self) -> Machine:
        return self  # type: ignore[return-value]

    async def execute(self, node: Node) -> None:
        raise NotImplementedError

    async def flush(self) -> None:
        raise NotImplementedError

    async def breathe(self) -> None:
        raise NotImplementedError

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
        return await functions.call(self.itself(), node[1], node[2])

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
            await self.execute(function.body)
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
