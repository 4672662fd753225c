"""awk's own functions."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.runtime.programs.awk.expressions import Node
from services.runtime.programs.awk.values import (
    NOTHING,
    STRING_CHARACTERS_MAX,
    AwkFault,
    Input,
    Value,
    formatted,
    number,
    text,
)
from services.runtime.programs.patterns import Pattern

if TYPE_CHECKING:
    from services.runtime.programs.awk.machine import Machine

_MATHS = {"sin": math.sin, "cos": math.cos, "exp": math.exp, "log": math.log, "sqrt": math.sqrt}


async def call(machine: Machine, name: str, nodes: list[Node]) -> Value:
    if name == "length":
        if nodes and nodes[0][0] == "var" and machine._is_array(nodes[0][1]):
            return float(len(machine.array(nodes[0][1])))
        return float(len(text(await machine.evaluate(nodes[0]) if nodes else machine.record())))
    if name in ("sub", "gsub"):
        return await _substitute(machine, nodes, everywhere=name == "gsub")
    if name == "match":
        return await _match(machine, nodes)
    if name == "split":
        return await _split(machine, nodes)
    values = [await machine.evaluate(one) for one in nodes]
    if name in ("system", "close", "fflush"):
        return await _outside(machine, name, values)
    if name in ("rand", "srand", "systime", "strftime"):
        return _surprising(machine, name, values)
    return _pure(name, values)


async def _outside(machine: Machine, name: str, values: list[Value]) -> Value:
    await machine.flush()
    if name == "system":
        return float(await machine.channels.system(text(values[0]) if values else ""))
    return float(await machine.channels.close(text(values[0]))) if name == "close" and values else 0.0


def _surprising(machine: Machine, name: str, values: list[Value]) -> Value:
    now = machine.process.container.now_seconds()
    if name == "rand":
        return machine.random.random()
    if name == "systime":
        return float(int(now))
    if name == "strftime":
        moment = min(max(number(values[1]) if len(values) > 1 else now, 0), 32_503_680_000)
        return datetime.fromtimestamp(moment, UTC).strftime(
            text(values[0]) if values else "%a %b %e %H:%M:%S UTC %Y"
        )
    before, machine.seed = machine.seed, number(values[0]) if values else float(int(now))
    machine.random.seed(machine.seed)
    return before


def _pure(name: str, values: list[Value]) -> Value:
    first = values[0] if values else NOTHING
    if name == "substr":
        return _substring(values)
    if name == "index":
        return float(text(first).find(text(values[1])) + 1) if len(values) > 1 else 0.0
    if name == "sprintf":
        return formatted(text(first), values[1:])
    if name == "tolower":
        return text(first).lower()
    if name == "toupper":
        return text(first).upper()
    if name == "int":
        return float(math.trunc(number(first))) if math.isfinite(number(first)) else number(first)
    if name == "atan2":
        return math.atan2(number(first), number(values[1]) if len(values) > 1 else 0)
    if name in _MATHS:
        try:
            return _MATHS[name](number(first))
        except (ValueError, OverflowError):
            return (
                math.inf if name == "exp" else -math.inf if name == "log" and number(first) == 0 else math.nan
            )
    whole = [int(max(min(number(value), 2**53), 0)) for value in values] + [0, 0]
    shift = min(whole[1], 63)
    return float(
        {
            "and": whole[0] & whole[1],
            "or": whole[0] | whole[1],
            "xor": whole[0] ^ whole[1],
            "lshift": (whole[0] << shift) % 2**64,
            "rshift": whole[0] >> shift,
            "compl": ~whole[0] & (2**53 - 1),
        }[name]
    )


def _substring(values: list[Value]) -> str:
    whole = text(values[0]) if values else ""
    start = _rounded(number(values[1])) if len(values) > 1 else 1
    end = start + _rounded(number(values[2])) if len(values) > 2 else len(whole) + 1
    return whole[max(start, 1) - 1 : max(min(end, len(whole) + 1), 1) - 1] if end > start else ""


def _rounded(value: float) -> int:
    return round(max(min(value, 1e15), -1e15)) if value == value else 0


async def _substitute(machine: Machine, nodes: list[Node], *, everywhere: bool) -> Value:
    if len(nodes) < 2:
        raise AwkFault("Unexpected token")
    pattern = await machine.pattern(nodes[0])
    replacement = text(await machine.evaluate(nodes[1]))
    target: Node = nodes[2] if len(nodes) > 2 else ("field", ("value", 0.0))
    while target[0] == "group":
        target = target[1]
    subject = text(await machine.evaluate(target))
    out: list[str] = []
    at = count = size = 0
    for match in pattern.finditer(subject):
        out += [subject[at : match.start()], _filled(replacement, match.group() or "")]
        size += len(out[-1]) + len(out[-2])
        if size > STRING_CHARACTERS_MAX:
            raise AwkFault("out of memory")
        at = match.end()
        count += 1
        if not everywhere:
            break
    if count:
        await machine.assign(target, "".join(out) + subject[at:])
    return float(count)


def _filled(replacement: str, found: str) -> str:
    if "&" not in replacement and "\\" not in replacement:
        return replacement
    out, at = [], 0
    while at < len(replacement):
        sign = replacement[at]
        if sign == "\\" and replacement[at + 1 : at + 2] in ("&", "\\"):
            at += 1
            out.append(replacement[at])
        else:
            out.append(found if sign == "&" else sign)
        at += 1
    return "".join(out)


async def _match(machine: Machine, nodes: list[Node]) -> Value:
    if len(nodes) < 2:
        raise AwkFault("Unexpected token")
    subject = text(await machine.evaluate(nodes[0]))
    found = (await machine.pattern(nodes[1])).search(subject)
    start = float(found.start() + 1) if found else 0.0
    machine.globals["RSTART"] = start
    machine.globals["RLENGTH"] = float(found.end() - found.start()) if found else -1.0
    return start


async def _split(machine: Machine, nodes: list[Node]) -> Value:
    if len(nodes) < 2 or nodes[1][0] != "var":
        raise AwkFault("Unexpected token")
    subject = text(await machine.evaluate(nodes[0]))
    separator: str | Pattern = machine.string("FS")
    if len(nodes) > 2:
        separator = nodes[2][1] if nodes[2][0] == "regex" else text(await machine.evaluate(nodes[2]))
    array = machine.array(nodes[1][1])
    array.clear()
    pieces = machine.split(subject, separator)
    for at, piece in enumerate(pieces, 1):
        machine.put(array, str(at), Input(piece))
    return float(len(pieces))
