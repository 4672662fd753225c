"""[[ … ]]: bash's conditions, whose words are neither split nor matched with files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.runtime.globs import matches
from services.runtime.programs.conditions import compare_files, unary
from services.runtime.programs.patterns import BadPattern, extended
from services.runtime.shell import expand
from services.runtime.shell.needs import ExpansionFault
from services.runtime.shell.parameters import calculate
from services.runtime.shell.syntax import Check

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell

_ORDERS = {"-eq": (0,), "-ne": (-1, 1), "-lt": (-1,), "-le": (-1, 0), "-gt": (1,), "-ge": (0, 1)}
_NAME = re.compile(r"[A-Za-z_]\w*")


async def holds(shell: Shell, node: Check) -> bool:
    operator = node.operator
    if operator == "!":
        return not await holds(shell, node.checks[0])
    if operator in ("-a", "-o") and node.checks:
        left = await holds(shell, node.checks[0])
        return left if left == (operator == "-o") else await holds(shell, node.checks[1])
    first = await expand.single(shell, node.words[0])
    if operator == "":
        return first != ""
    if len(node.words) == 1:
        if operator == "-v":
            return shell.get(first) is not None if _NAME.fullmatch(first) else False
        return unary(shell.process, operator[1], first)
    if operator in ("=", "==", "!="):
        return matches(first, await expand.pattern(shell, node.words[1])) == (operator != "!=")
    if operator == "=~":
        return _searched(shell, first, await expand.regular(shell, node.words[1]))
    second = await expand.single(shell, node.words[1])
    if operator in ("<", ">"):
        return first < second if operator == "<" else first > second
    if operator in _ORDERS:
        left_number, right_number = calculate(shell, first), calculate(shell, second)
        order = (left_number > right_number) - (left_number < right_number)
        return order in _ORDERS[operator]
    return compare_files(shell.process, first, operator, second)


def _searched(shell: Shell, text: str, pattern: str) -> bool:
    try:
        regex = extended(pattern)
        match = regex.search(text)
    except BadPattern as error:
        raise ExpansionFault(f"syntax error in conditional expression: {error}", 2) from error
    groups = [] if match is None else [match.group(number) for number in range(regex.groups + 1)]
    shell.forget("BASH_REMATCH")
    for number, group in enumerate(groups):
        shell.put("BASH_REMATCH", number, group or "")
    return match is not None


__all__ = ["holds", "matches"]
