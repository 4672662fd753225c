"""sed: addresses, s, p, d, q, a, i, c, y, =; -n, -e, -E, -i. What scripts in manifests use of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.runtime.processes import Process, Program
from services.runtime.programs.input import contents, joined, lines_of, path_of
from services.runtime.programs.options import options
from services.runtime.programs.patterns import BadPattern, basic, extended

COMMANDS_MAX = 1_000


@dataclass(slots=True)
class Step:
    first: int | re.Pattern[str] | None
    last: int | re.Pattern[str] | None
    negated: bool
    command: str
    regex: re.Pattern[str] | None = None
    text: str = ""
    flags: str = ""
    active: bool = False


class BadScript(ValueError):
    pass


async def sed(process: Process) -> int:
    found, operands = await options(
        process, "ne:f:Eri", long={"quiet": "n", "expression": "e", "in-place": "i"}
    )
    script = found["e"] if "e" in found else (operands.pop(0) if operands else "")
    try:
        steps = _parse(script, extended_syntax=bool(found.keys() & {"E", "r"}))
    except (BadScript, BadPattern) as error:
        await process.complain(f"sed: bad script: {error}")
        return 1
    inputs, status = await contents(process, operands)
    if "i" in found:
        for name, data in inputs:
            text = joined(_run(steps, lines_of(data), quiet="n" in found))
            process.container.filesystem.write(
                path_of(process, name), text.encode("utf-8", "surrogateescape")
            )
        return status
    lines = [line for _, data in inputs for line in lines_of(data)]
    await process.write(joined(_run(steps, lines, quiet="n" in found)))
    return status


def _parse(script: str, *, extended_syntax: bool) -> list[Step]:
    steps, at = [], 0
    while at < len(script):
        if script[at] in " \t\n;":
            at += 1
            continue
        first, at = _address(script, at, extended_syntax)
        last: int | re.Pattern[str] | None = None
        if at < len(script) and script[at] == ",":
            last, at = _address(script, at + 1, extended_syntax)
        while at < len(script) and script[at] == " ":
            at += 1
        negated = script[at : at + 1] == "!"
        at += negated
        command = script[at : at + 1]
        step = Step(first, last, negated, command)
        at += 1
        if command == "s":
            at = _substitution(step, script, at, extended_syntax)
        elif command == "y":
            parts, at = _parts(script, at)
            step.text, step.flags = parts
        elif command in "aic" and command:
            end = script.find("\n", at)
            end = len(script) if end < 0 else end
            step.text = re.sub(r"^\\?\s*", "", script[at:end])
            at = end
        elif command not in ("p", "d", "q", "="):
            raise BadScript(f"unknown command: '{command}'")
        steps.append(step)
        if len(steps) > COMMANDS_MAX:
            raise BadScript("too long")
    return steps


def _address(script: str, at: int, extended_syntax: bool) -> tuple[int | re.Pattern[str] | None, int]:
    match = re.compile(r"\d+|\$").match(script, at)
    if match:
        return (-1 if match[0] == "$" else int(match[0])), match.end()
    if script[at : at + 1] == "/":
        end = at + 1
        while end < len(script) and script[end] != "/":
            end += 2 if script[end] == "\\" else 1
        source = script[at + 1 : end].replace("\\/", "/")
        return (extended if extended_syntax else basic)(source), end + 1
    return None, at


def _parts(script: str, at: int) -> tuple[tuple[str, str], int]:
    sign = script[at : at + 1]
    if not sign or sign in "\n\\":
        raise BadScript("unterminated `s' command")
    found = []
    at += 1
    for _ in range(2):
        start = at
        while at < len(script) and script[at] != sign:
            at += 2 if script[at] == "\\" else 1
        if at >= len(script):
            raise BadScript("unterminated `s' command")
        found.append(script[start:at].replace("\\" + sign, sign))
        at += 1
    return (found[0], found[1]), at


def _substitution(step: Step, script: str, at: int, extended_syntax: bool) -> int:
    (pattern, replacement), at = _parts(script, at)
    end = at
    while end < len(script) and script[end] in "gpiI0123456789":
        end += 1
    step.flags = script[at:end]
    ignore = bool(set(step.flags) & set("iI"))
    step.regex = (extended if extended_syntax else basic)(pattern, ignore_case=ignore)
    step.text = replacement
    return end


def _replacement(template: str, match: re.Match[str]) -> str:
    def one(piece: re.Match[str]) -> str:
        sign = piece[0]
        if sign == "&":
            return match[0]
        following = sign[1]
        if following.isdigit():
            return (match[int(following)] or "") if int(following) <= match.re.groups else ""
        return {"n": "\n", "t": "\t"}.get(following, following)

    return re.sub(r"\\.|&", one, template, flags=re.DOTALL)


def _run(steps: list[Step], lines: list[str], *, quiet: bool) -> list[str]:
    out: list[str] = []
    for number, line in enumerate(lines, 1):
        after: list[str] = []
        deleted = quitting = False
        for step in steps:
            if _applies(step, number, line, len(lines)) == step.negated:
                continue
            if step.command == "s" and step.regex is not None:
                line, count = _substitute(step, step.regex, line)
                if count and "p" in step.flags:
                    out.append(line)
            elif step.command == "y":
                line = line.translate({ord(a): b for a, b in zip(step.text, step.flags)})
            elif step.command == "p":
                out.append(line)
            elif step.command == "=":
                out.append(str(number))
            elif step.command == "i":
                out.append(step.text)
            elif step.command == "a":
                after.append(step.text)
            elif step.command in "dc":
                deleted = True
                out += [step.text] if step.command == "c" else []
                break
            elif step.command == "q":
                quitting = True
                break
        if not deleted and not quiet:
            out.append(line)
        out += after
        if quitting:
            break
    return out


def _substitute(step: Step, regex: re.Pattern[str], line: str) -> tuple[str, int]:
    which = re.sub(r"\D", "", step.flags)
    if not which:
        return regex.subn(
            lambda match: _replacement(step.text, match), line, count=0 if "g" in step.flags else 1
        )
    for number, match in enumerate(regex.finditer(line), 1):
        if number == int(which):
            return line[: match.start()] + _replacement(step.text, match) + line[match.end() :], 1
    return line, 0


def _applies(step: Step, number: int, line: str, total: int) -> bool:
    if step.first is None:
        return True
    if step.last is None:
        return _hit(step.first, number, line, total)
    if step.active:
        step.active = not _hit(step.last, number, line, total)
        return True
    if _hit(step.first, number, line, total):
        step.active = not (isinstance(step.last, int) and 0 <= step.last <= number)
        return True
    return False


def _hit(address: int | re.Pattern[str], number: int, line: str, total: int) -> bool:
    if isinstance(address, int):
        return number == (total if address == -1 else address)
    return address.search(line) is not None


PROGRAMS: dict[str, Program] = {"sed": sed}
