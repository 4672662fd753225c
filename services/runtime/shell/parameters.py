"""What `$name` and `${…}` yield: defaults, lengths, trims, substrings, replacements, arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from services.runtime.globs import matches, translate
from services.runtime.shell import expand
from services.runtime.shell.arithmetic import ArithmeticFault, evaluate
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.needs import ExpansionFault, Piece, Variables
from services.runtime.shell.syntax import Parameter, Text, Word

_DEFAULTS = ("-", "=", "?", "+")
_SPECIAL = re.compile(r"[^A-Za-z0-9_@%+=:,./-]")
REPLACED_CHARACTERS_MAX = 4_000_000


def calculate(shell: Variables, text: str) -> int:
    """An arithmetic expression's value; the fault has the dialect's words."""

    def get(name: str) -> str:
        bare, bracket, rest = name.partition("[")
        found = shell.elements(bare).get(key_of(shell, bare, rest[:-1])) if bracket else lookup(shell, name)
        if found is None and shell.nounset:
            raise _unset(shell, name)
        return found or ""

    def put(name: str, value: str) -> None:
        bare, bracket, rest = name.partition("[")
        if bracket:
            shell.put(bare, key_of(shell, bare, rest[:-1]), value)
        else:
            shell.set(name, value)

    try:
        return evaluate(text, get, put, shell.dialect)
    except ArithmeticFault as fault:
        if shell.dialect is Dialect.ASH:
            raise ExpansionFault(fault.ash) from fault
        if shell.dialect is Dialect.BASH:
            raise ExpansionFault(f"{text.lstrip()}: {fault.bash}", 1) from fault
        words = f'arithmetic expression: {fault}: "{text}"' if not fault.bare else str(fault)
        raise ExpansionFault(words) from fault


def key_of(shell: Variables, name: str, text: str) -> int | str:
    if name in shell.maps:
        return text
    key = calculate(shell, text)
    if key < 0:
        key += max((at for at in shell.elements(name) if isinstance(at, int)), default=-1) + 1
    return key


def is_list(part: Parameter) -> bool:
    """Whether it may yield several fields: $@, $*, ${name[@]}."""
    return bool(_all(part)) and part.operator not in ("length", "bad", "indirect")


def _all(part: Parameter) -> str:
    if part.subscript is None:
        return part.name if part.name in ("@", "*") or part.operator == "names" else ""
    first = part.subscript[0] if part.subscript else None
    alone = len(part.subscript) == 1 and isinstance(first, Text) and not first.quoted
    return first.text if alone and isinstance(first, Text) and first.text in ("@", "*") else ""


async def values(shell: Variables, part: Parameter, *, split: bool) -> list[str] | None:
    """The fields of a list; None where it is to be treated as one value."""
    found = _listed(shell, part)
    operator = part.operator
    if operator[:1] == ":" and operator[1:] in _DEFAULTS:
        operator = operator[1:]
    if operator in _DEFAULTS and (operator == "+" or not found or not any(found)):
        return None
    if part.quoted and _all(part) == "*":
        return None
    if not part.quoted and not split:
        return None
    found = await _changed(shell, part, found)
    return found if part.quoted else [one for one in found if one]


def _listed(shell: Variables, part: Parameter) -> list[str]:
    if part.operator == "names":
        return sorted(name for name in shell.variables if name.startswith(part.name))
    if part.subscript is None:
        return list(shell.arguments)
    array = shell.elements(part.name)
    return [str(key) for key in array] if part.operator == "keys" else list(array.values())


async def _changed(shell: Variables, part: Parameter, found: list[str]) -> list[str]:
    operator, word = part.operator, part.word or ()
    if not operator or operator in ("keys", "names") or operator.lstrip(":") in _DEFAULTS:
        return found
    if operator == ":":
        if part.subscript is None:
            found = [shell.name, *found]
        offset, length = _bounds(shell, await expand.single(shell, word))
        offset = offset if offset >= 0 else max(len(found) + offset, 0)
        return found[offset : None if length is None else offset + length]
    return [await _trimmed(shell, operator, one, word) for one in found]


async def value(shell: Variables, part: Parameter) -> list[Piece]:
    """The pieces that one parameter yields."""
    operator, word = part.operator, part.word or ()
    if operator == "bad":
        ash = shell.dialect is Dialect.ASH
        bash = shell.dialect is Dialect.BASH
        raise ExpansionFault(
            "syntax error: bad substitution"
            if ash
            else f"{part.name}: bad substitution"
            if bash
            else "Bad substitution",
            1 if bash else 2,
        )
    if _all(part):
        found = await _changed(shell, part, _listed(shell, part)) if operator != "length" else []
        if operator == "length":
            return [(str(len(_listed(shell, Parameter(part.name, subscript=part.subscript)))), False)]
        separator = shell.get("IFS")
        joiner = " " if _all(part) == "@" or separator is None else separator[:1]
        current: str | None = joiner.join(found) if found else None
    elif part.subscript is not None:
        key = await expand.single(shell, part.subscript)
        current = shell.elements(part.name).get(key_of(shell, part.name, key))
    else:
        current = lookup(shell, part.name)
    if operator == "indirect":
        current = lookup(shell, current or "")
    if operator == "length":
        return [(str(len(_required(shell, part.name, current))), False)]
    return await _with_operator(shell, part, operator, word, current)


async def _with_operator(
    shell: Variables, part: Parameter, operator: str, word: Word, current: str | None
) -> list[Piece]:
    if operator[:1] == ":" and operator[1:2] in _DEFAULTS:
        missing, kind = not current, operator[1]
    elif operator in _DEFAULTS:
        missing, kind = current is None, operator
    elif operator and operator not in ("indirect", "keys", "names") and not _all(part):
        return [(await _trimmed(shell, operator, _required(shell, part.name, current), word), False)]
    else:
        return [(_required(shell, part.name, current), False)]
    if kind == "+":
        return [] if missing else await _pieces(shell, word)
    if not missing:
        return [(current or "", False)]
    if kind == "-":
        return await _pieces(shell, word)
    text = await expand.single(shell, word)
    if kind == "=":
        shell.set(part.name, text)
        return [(text, False)]
    unset = "parameter null or not set" if shell.dialect is Dialect.BASH else "parameter not set or null"
    default = unset if operator[0] == ":" else "parameter not set"
    raise ExpansionFault(f"{part.name}: {text or default}", 127 if shell.dialect is Dialect.BASH else 2)


async def _pieces(shell: Variables, word: Word) -> list[Piece]:
    expanded = await expand.expand(shell, word, split=False)
    return [piece for field in expanded for piece in field]


def _required(shell: Variables, name: str, current: str | None) -> str:
    if current is None and shell.nounset and name not in ("@", "*"):
        raise _unset(shell, name)
    return current or ""


def _unset(shell: Variables, name: str) -> ExpansionFault:
    if shell.dialect is Dialect.BASH:
        return ExpansionFault(f"{name}: unbound variable", 127)
    return ExpansionFault(f"{name}: parameter not set")


def lookup(shell: Variables, name: str) -> str | None:
    if name.isdigit():
        number = int(name[:9])
        if number == 0:
            return shell.name
        return shell.arguments[number - 1] if number <= len(shell.arguments) else None
    if name in ("@", "*"):
        separator = shell.get("IFS")
        joiner = " " if name == "@" or separator is None else separator[:1]
        return joiner.join(shell.arguments) if shell.arguments else None
    if name == "#":
        return str(len(shell.arguments))
    return shell.get(name)


async def _trimmed(shell: Variables, operator: str, text: str, word: Word) -> str:
    if operator == ":":
        return _substring(shell, text, await expand.single(shell, word))
    if operator[0] == "/":
        return await _replaced(shell, operator, text, word)
    if operator in ("^^", "^", ",,", ","):
        change: Callable[[str], str] = str.upper if operator[0] == "^" else str.lower
        return change(text) if len(operator) == 2 else change(text[:1]) + text[1:]
    if operator[0] == "@":
        return {"U": text.upper(), "L": text.lower(), "Q": "'" + text.replace("'", "'\\''") + "'"}.get(
            operator[1], text
        )
    regex = re.compile(translate(await expand.pattern(shell, word)))
    ends = range(len(text) + 1)
    if operator[0] == "#":
        order: Iterable[int] = ends if operator == "#" else reversed(ends)
        return next((text[end:] for end in order if regex.fullmatch(text, 0, end)), text)
    order = reversed(ends) if operator == "%" else ends
    return next((text[:start] for start in order if regex.fullmatch(text, start)), text)


def _bounds(shell: Variables, text: str) -> tuple[int, int | None]:
    offset_text, colon, length_text = text.partition(":")
    offset = calculate(shell, offset_text)
    return offset, calculate(shell, length_text) if colon else None


def _substring(shell: Variables, value: str, text: str) -> str:
    offset, length = _bounds(shell, text)
    if offset < 0:
        if len(value) + offset < 0:
            return ""
        offset += len(value)
    if length is None:
        return value[offset:]
    return value[offset : offset + length] if length >= 0 else value[offset:length]


async def _replaced(shell: Variables, operator: str, value: str, word: Word) -> str:
    """${name/pattern/replacement}; a pattern that begins with # or % is bound to that end."""
    before, after = word, ()
    for index, part in enumerate(word):
        if isinstance(part, Text) and not part.quoted and part.text == "/" and index:
            before, after = word[:index], word[index + 1 :]  # type: ignore[assignment]
            break
    first = before[0] if before else None
    anchor = first.text if isinstance(first, Text) and not first.quoted and first.text in ("#", "%") else ""
    regex = translate(await expand.pattern(shell, before[bool(anchor) :]))
    if regex == "(?s:)" and not anchor:
        return value
    replacement = await expand.single(shell, after)
    regex = {"#": rf"\A{regex}", "%": rf"{regex}\Z"}.get(anchor, regex)
    count = 0 if operator == "//" else 1
    if len(value) * (len(replacement) + 1) > REPLACED_CHARACTERS_MAX and count == 0:
        raise ExpansionFault("out of memory")
    return re.sub(regex, lambda _: replacement, value, count=count)


def quoted(text: str) -> str:
    """As `set -x` and `trap` show a word: quoted where it has to be."""
    if text and not _SPECIAL.search(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


__all__ = ["calculate", "is_list", "key_of", "matches", "quoted", "value", "values"]
