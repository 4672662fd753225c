"""Command lines: letters with and without values, in any order, `--` ends them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.runtime.processes import Exit, Process


async def options(
    process: Process, letters: str, *, words: Sequence[str] | None = None, long: dict[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    """`letters` as for getopt: `n:r` is -n VALUE and -r. Raises Exit(1) for others, after saying so."""
    found: dict[str, str] = {}
    rest: list[str] = []
    pending = list(process.argv[1:] if words is None else words)
    while pending:
        word = pending.pop(0)
        if word == "--":
            rest += pending
            break
        if word.startswith("--") and long is not None:
            name, equals, value = word[2:].partition("=")
            letter = long.get(name)
            if letter is None:
                await process.complain(f"{process.argv[0]}: unrecognized option: {name}")
                raise Exit(1)
            takes = f"{letter}:" in letters
            found[letter] = value if equals or not takes else (pending.pop(0) if pending else "")
            continue
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        at = 1
        while at < len(word):
            letter = word[at]
            at += 1
            place = letters.find(letter)
            if place < 0 or letter == ":":
                await process.complain(f"{process.argv[0]}: invalid option -- '{letter}'")
                raise Exit(1)
            if letters[place + 1 : place + 2] == ":":
                value = word[at:]
                if not value:
                    if not pending:
                        await process.complain(
                            f"{process.argv[0]}: option requires an argument -- '{letter}'"
                        )
                        raise Exit(1)
                    value = pending.pop(0)
                # What may be given again adds up, a line each: -e of sed and grep.
                found[letter] = f"{found[letter]}\n{value}" if letter == "e" and "e" in found else value
                break
            found[letter] = ""
    return found, rest


async def numeric(process: Process, text: str) -> float:
    """An option's number. Raises Exit(1), after saying so, when it is none."""
    if re.fullmatch(r"[-+]?\d{1,15}(\.\d{0,9})?", text):
        return float(text)
    await process.complain(f"{process.argv[0]}: invalid number '{text}'")
    raise Exit(1)
