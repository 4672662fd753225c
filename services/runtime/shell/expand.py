"""Word expansion: tilde, parameters, `$(…)`, arithmetic, then field splitting, globbing, quote removal.

A word becomes fields, a field becomes pieces that remember whether they were quoted, since only what
was not is split and matched. The order is POSIX' (2.6). Fields are bounded in number and size. What `${…}`
yields is worked out in parameters.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.runtime.globs import translate
from services.runtime.shell import parameters
from services.runtime.shell.needs import ExpansionFault, Field, Piece, Variables
from services.runtime.shell.syntax import (
    Arithmetic,
    Parameter,
    Part,
    ProcessSubstitution,
    Substitution,
    Text,
    Word,
)

FIELDS_MAX = 20_000
CHARACTERS_MAX = 1_000_000
_GLOB = re.compile(r"[*?\[]")


async def fields(shell: Variables, words: Iterable[Word]) -> list[str]:
    """All words of a command as its arguments."""
    found: list[str] = []
    for word in words:
        if len(word) == 1 and isinstance(word[0], Text) and word[0].quoted:
            found.append(word[0].text)
            continue
        for field in await expand(shell, word, split=True):
            found.extend(_glob(shell, field))
        if len(found) > FIELDS_MAX:
            raise ExpansionFault("Argument list too long")
    return found


async def single(shell: Variables, word: Word) -> str:
    """A word that is neither split nor matched: an assignment, a redirection, a case subject."""
    parts = await expand(shell, word, split=False)
    return " ".join("".join(text for text, _ in field) for field in parts)


async def pattern(shell: Variables, word: Word) -> str:
    """A word as a pattern: what was quoted matches itself only."""
    found = await expand(shell, word, split=False)
    return " ".join("".join(escape(text) if quoted else text for text, quoted in field) for field in found)


async def regular(shell: Variables, word: Word) -> str:
    """A word as a regular expression: what was quoted matches itself only."""
    found = await expand(shell, word, split=False)
    return "".join(
        re.sub(r"([][\\.^$*+?(){}|])", r"\\\1", text) if quoted else text
        for field in found
        for text, quoted in field
    )


def escape(text: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


async def expand(shell: Variables, word: Word, *, split: bool) -> list[Field]:
    done: list[Field] = []
    current: Field = []
    present = False  # whether the current field exists even if it is empty
    for index, part in enumerate(word):
        if isinstance(part, Text):
            text = part.text if part.quoted else tilde(shell, part, word, index, split=split)
            current.append((text, part.quoted))
            present = present or part.quoted or bool(text)
            continue
        if isinstance(part, Parameter) and parameters.is_list(part):
            values = await parameters.values(shell, part, split=split)
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
        pieces = await _value(shell, part)
        if part.quoted or not split:
            current.extend((text, True if part.quoted else was) for text, was in pieces)
            present = present or part.quoted or any(text for text, _ in pieces)
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


async def _value(shell: Variables, part: Part) -> list[Piece]:
    if isinstance(part, Substitution):
        return [((await shell.substitute(part.body)).rstrip("\n"), False)]
    if isinstance(part, Arithmetic):
        text = await single(shell, part.word)
        return [(str(parameters.calculate(shell, text)), False)]
    if isinstance(part, ProcessSubstitution):
        return [(shell.substitute_process(part.body, reads=part.reads), True)]
    assert isinstance(part, Parameter)
    return await parameters.value(shell, part)


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
            while at < len(text) and (text[at] in black or text[at] in white):
                if text[at] in black:
                    found.append(("", True))
                at += 1
    if before:
        found.append((None, True))
    return found


def tilde(shell: Variables, part: Text, word: Word, index: int, *, split: bool) -> str:
    """~ and ~root at the start, and behind a colon of an assignment's value."""
    if "~" not in part.text:
        return part.text
    alone = index == len(word) - 1
    pieces = part.text.split(":") if not split else [part.text]
    for at, piece in enumerate(pieces):
        head, slash, _ = piece.partition("/")
        ends = bool(slash) or alone or at < len(pieces) - 1
        if not piece.startswith("~") or not ends or (at == 0 and index > 0):
            continue
        home = shell.get("HOME") if head == "~" else "/root" if head == "~root" else None
        pieces[at] = (home if home is not None else head) + piece[len(head) :]
    return ":".join(pieces)


# -- globbing ---------------------------------------------------------------------------------


def _glob(shell: Variables, field: Field) -> list[str]:
    text = "".join(piece for piece, _ in field)
    if len(text) > CHARACTERS_MAX:
        raise ExpansionFault("Argument list too long")
    if shell.noglob or not any(not quoted and _GLOB.search(piece) for piece, quoted in field):
        return [text]
    glob = "".join(escape(piece) if quoted else piece for piece, quoted in field)
    found = _paths(shell, glob)
    return found or ([] if "nullglob" in shell.shopts else [text])


def _paths(shell: Variables, glob: str) -> list[str]:
    absolute = glob.startswith("/")
    bases = ["/" if absolute else ""]
    parts = [part for part in glob.split("/") if part]
    only_folders = glob.endswith("/")
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
            hidden = part.startswith(".") or "dotglob" in shell.shopts
            every = (".", "..", *names) if part.startswith(".") else names
            grown += [base + name for name in every if (hidden or name[0] != ".") and regex.fullmatch(name)]
            if not last or only_folders:
                grown = [path for path in grown if _is_folder(shell, path)]
        bases = [path if last and not only_folders else path + "/" for path in grown[:FIELDS_MAX]]
    return sorted(bases)


def _is_folder(shell: Variables, path: str) -> bool:
    return shell.filesystem.is_directory(path if path.startswith("/") else f"{shell.cwd}/{path}")


__all__ = ["ExpansionFault", "expand", "fields", "pattern", "single", "split_fields"]
