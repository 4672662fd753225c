"""Word expansion: tilde, parameters, `$(…)`, arithmetic, then field splitting, globbing, quote removal.

A word becomes fields, a field becomes pieces that remember whether they were quoted, since only what
was not is split and matched. The order is POSIX' (2.6). Fields are bounded in number and size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Protocol

from services.runtime.filesystem import Filesystem
from services.runtime.globs import matches, translate
from services.runtime.shell.arithmetic import ArithmeticFault, evaluate
from services.runtime.shell.syntax import Arithmetic, List, Parameter, Part, Substitution, Text, Word

FIELDS_MAX = 20_000
CHARACTERS_MAX = 1_000_000
_GLOB = re.compile(r"[*?\[]")

Piece = tuple[str, bool]  # text, quoted
Field = list[Piece]


class ExpansionFault(Exception):
    """The shell says this and gives up the command (a script ends)."""


class Variables(Protocol):
    """What expansion needs of a shell."""

    arguments: list[str]
    name: str
    nounset: bool
    noglob: bool

    @property
    def cwd(self) -> str: ...
    @property
    def filesystem(self) -> Filesystem: ...
    def get(self, name: str) -> str | None: ...
    def set(self, name: str, value: str) -> None: ...
    async def substitute(self, body: List) -> str: ...


async def fields(shell: Variables, words: Iterable[Word]) -> list[str]:
    """All words of a command as its arguments."""
    found: list[str] = []
    for word in words:
        if len(word) == 1 and isinstance(word[0], Text) and word[0].quoted:
            found.append(word[0].text)
            continue
        for field in await _expand(shell, word, split=True):
            found.extend(_glob(shell, field))
        if len(found) > FIELDS_MAX:
            raise ExpansionFault("Argument list too long")
    return found


async def single(shell: Variables, word: Word) -> str:
    """A word that is neither split nor matched: an assignment, a redirection, a case subject."""
    parts = await _expand(shell, word, split=False)
    return " ".join("".join(text for text, _ in field) for field in parts)


async def pattern(shell: Variables, word: Word) -> str:
    """A word as a pattern: what was quoted matches itself only."""
    (field,) = await _expand(shell, word, split=False) or [[]]
    return "".join(_escape(text) if quoted else text for text, quoted in field)


def _escape(text: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


# -- expansion proper -------------------------------------------------------------------------


async def _expand(shell: Variables, word: Word, *, split: bool) -> list[Field]:
    done: list[Field] = []
    current: Field = []
    present = False  # whether the current field exists even if it is empty
    for index, part in enumerate(word):
        if isinstance(part, Text):
            text = _tilde(shell, part, word) if index == 0 else part.text
            current.append((text, part.quoted))
            present = present or part.quoted or bool(text)
            continue
        if isinstance(part, Parameter) and part.name in "@*" and part.operator in ("", "length"):
            values = _positional(shell, part, split=split)
            if values is not None:
                for number, value in enumerate(values):
                    if number:
                        if present:
                            done.append(current)
                        current, present = [], False
                    if part.quoted or not split:
                        current.append((value, True))
                        present = True
                        continue
                    current, present = _broken(shell, value, current, done, present)
                if not values and part.quoted and len(word) == 1:
                    return done
                continue
        quoted = part.quoted
        pieces = await _value(shell, part)
        if quoted or not split:
            current.extend((text, True if quoted else was) for text, was in pieces)
            present = present or quoted or any(text for text, _ in pieces)
            continue
        for text, was_quoted in pieces:
            if was_quoted:
                current.append((text, True))
                present = True
                continue
            current, present = _broken(shell, text, current, done, present)
    if present or not split:
        done.append(current)
    return done


def _broken(
    shell: Variables, text: str, current: Field, done: list[Field], present: bool
) -> tuple[Field, bool]:
    """Splits an unquoted value into fields; the last one stays open for what follows in the word."""
    for number, (piece, ends_before) in enumerate(split_fields(text, shell.get("IFS"))):
        if number or ends_before:
            if present:
                done.append(current)
            current, present = [], False
        if piece is not None:
            current.append((piece, False))
            present = True
    return current, present


def _positional(shell: Variables, part: Parameter, *, split: bool) -> list[str] | None:
    """Separate fields for "$@", and for $@ and $* without quotes; None where they join."""
    if part.operator == "length":
        return None
    if part.quoted and part.name == "*":
        return None
    if not part.quoted:
        return None if not split else [value for value in shell.arguments if value]
    return list(shell.arguments)


def split_fields(text: str, separators: str | None) -> list[tuple[str | None, bool]]:
    """Pieces of an unquoted value; each says whether a separator came before it. None: only that."""
    separators = " \t\n" if separators is None else separators
    if not separators or not text:
        return [(text, False)] if text else []
    white = "".join(sign for sign in separators if sign in " \t\n")
    black = "".join(sign for sign in separators if sign not in " \t\n")
    found: list[tuple[str | None, bool]] = []
    at = 0
    before = False
    while at < len(text):
        if text[at] in white:
            at += 1
            before = True
            continue
        if text[at] in black:
            found.append(("", before))
            at += 1
            before = True
            continue
        end = at
        while end < len(text) and text[end] not in separators:
            end += 1
        found.append((text[at:end], before))
        at, before = end, False
        while at < len(text) and text[at] in white:
            at += 1
            before = True
        if at < len(text) and text[at] in black:
            at += 1
            before = True
            while at < len(text) and text[at] in black:
                found.append(("", True))
                at += 1
    if before:
        found.append((None, True))
    return found


async def _value(shell: Variables, part: Part) -> list[Piece]:
    if isinstance(part, Substitution):
        return [((await shell.substitute(part.body)).rstrip("\n"), False)]
    if isinstance(part, Arithmetic):
        text = await single(shell, part.word)
        try:
            return [(str(evaluate(text, lambda name: shell.get(name) or "", shell.set)), False)]
        except ArithmeticFault as fault:
            raise ExpansionFault(f'arithmetic expression: {fault}: "{text}"') from fault
    assert isinstance(part, Parameter)
    return await _parameter(shell, part)


async def _parameter(shell: Variables, part: Parameter) -> list[Piece]:
    value = lookup(shell, part.name)
    operator, word = part.operator, part.word or ()
    if operator == "length":
        if part.name in ("@", "*"):
            return [(str(len(shell.arguments)), False)]
        return [(str(len(_required(shell, part.name, value))), False)]
    if operator[:1] == ":" and operator[1:2] in ("-", "=", "?", "+"):
        missing, kind = not value, operator[1]
    elif operator in ("-", "=", "?", "+"):
        missing, kind = value is None, operator
    elif operator:
        return [(await _trimmed(shell, operator, _required(shell, part.name, value), word), False)]
    else:
        return [(_required(shell, part.name, value), False)]
    if kind == "+":
        return [] if missing else await _pieces(shell, word)
    if not missing:
        return [(value or "", False)]
    if kind == "-":
        return await _pieces(shell, word)
    text = await single(shell, word)
    if kind == "=":
        shell.set(part.name, text)
        return [(text, False)]
    raise ExpansionFault(
        f"{part.name}: {text or 'parameter not set' + (' or null' if operator[0] == ':' else '')}"
    )


async def _pieces(shell: Variables, word: Word) -> list[Piece]:
    expanded = await _expand(shell, word, split=False)
    return [piece for field in expanded for piece in field]


def _required(shell: Variables, name: str, value: str | None) -> str:
    if value is None and shell.nounset and name not in ("@", "*"):
        raise ExpansionFault(f"{name}: parameter not set")
    return value or ""


def lookup(shell: Variables, name: str) -> str | None:
    if name.isdigit():
        number = int(name)
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


async def _trimmed(shell: Variables, operator: str, value: str, word: Word) -> str:
    if operator == ":":
        return _substring(shell, value, await single(shell, word))
    if operator[0] == "/":
        return await _replaced(shell, operator, value, word)
    if operator in ("^^", "^", ",,", ","):
        change: Callable[[str], str] = str.upper if operator[0] == "^" else str.lower
        return change(value) if len(operator) == 2 else change(value[:1]) + value[1:]
    regex = re.compile(translate(await pattern(shell, word)))
    ends = range(len(value) + 1)
    if operator[0] == "#":
        order: Iterable[int] = ends if operator == "#" else reversed(ends)
        return next((value[end:] for end in order if regex.fullmatch(value[:end])), value)
    order = reversed(ends) if operator == "%" else ends
    return next((value[:start] for start in order if regex.fullmatch(value[start:])), value)


def _substring(shell: Variables, value: str, text: str) -> str:
    offset_text, colon, length_text = text.partition(":")
    try:
        offset = evaluate(offset_text, lambda name: shell.get(name) or "", shell.set)
        length = evaluate(length_text, lambda name: shell.get(name) or "", shell.set) if colon else None
    except ArithmeticFault as fault:
        raise ExpansionFault(f"arithmetic expression: {fault}") from fault
    offset = max(len(value) + offset, 0) if offset < 0 else offset
    if length is None:
        return value[offset:]
    return value[offset : offset + length] if length >= 0 else value[offset:length]


async def _replaced(shell: Variables, operator: str, value: str, word: Word) -> str:
    """${name/pattern/replacement}, a bash word that many scripts use."""
    before, after = word, ()
    for index, part in enumerate(word):
        if isinstance(part, Text) and "/" in part.text:
            head, _, tail = part.text.partition("/")
            before = (*word[:index], Text(head, part.quoted))
            after = (Text(tail, part.quoted), *word[index + 1 :])  # type: ignore[assignment]
            break
    regex = translate(await pattern(shell, before))
    replacement = await single(shell, after)
    return (
        re.sub(regex, lambda _: replacement, value, count=0 if operator == "//" else 1)
        if regex != "(?s:)"
        else value
    )


def _tilde(shell: Variables, part: Text, word: Word) -> str:
    text = part.text
    if part.quoted or not text.startswith("~"):
        return text
    head, slash, rest = text.partition("/")
    if len(word) > 1 and not slash:
        return text
    if head == "~":
        return (shell.get("HOME") or "~") + slash + rest
    return "/root" + slash + rest if head == "~root" else text


# -- globbing ---------------------------------------------------------------------------------


def _glob(shell: Variables, field: Field) -> list[str]:
    text = "".join(piece for piece, _ in field)
    if len(text) > CHARACTERS_MAX:
        raise ExpansionFault("Argument list too long")
    if shell.noglob or not any(not quoted and _GLOB.search(piece) for piece, quoted in field):
        return [text]
    glob = "".join(_escape(piece) if quoted else piece for piece, quoted in field)
    found = _paths(shell, glob)
    return found or [text]


def _paths(shell: Variables, glob: str) -> list[str]:
    absolute = glob.startswith("/")
    bases = ["/" if absolute else ""]
    parts = [part for part in glob.split("/") if part]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        regex = re.compile(translate(part))
        grown: list[str] = []
        for base in bases:
            folder = base if base.startswith("/") else f"{shell.cwd}/{base}"
            if not _GLOB.search(part):
                name = re.sub(r"\\(.)", r"\1", part)
                if shell.filesystem.exists(f"{folder}/{name}"):
                    grown.append(base + name)
                continue
            try:
                names = shell.filesystem.listing(folder)
            except OSError:
                continue
            hidden = part.startswith(".")
            grown += [base + name for name in names if (hidden or name[0] != ".") and regex.fullmatch(name)]
        bases = [path if last else path + "/" for path in grown[:FIELDS_MAX]]
    return sorted(bases)


__all__ = ["ExpansionFault", "fields", "lookup", "matches", "pattern", "single", "split_fields"]
