"""Regular expressions in time text × pattern: all ways through the pattern are followed at once.

The machine of Thompson and Pike: the pattern becomes a small program, every thread of it is at one
instruction, and no instruction is entered twice at one place of the text. It finds the leftmost match and of
those the longest, as POSIX asks. Patterns with back references are not regular and not for it.
"""

from __future__ import annotations

import re
from typing import Any

Node = tuple[Any, ...]
PROGRAM_MAX = 3_000
STEPS_MAX = 1_000_000  # text × pattern of one search: a second at most

_ASSERTIONS = {
    "bol": r"\A", "eol": r"\Z", "wordstart": r"(?<!\w)(?=\w)", "wordend": r"(?<=\w)(?!\w)", "wordedge": r"\b",
    "wordinside": r"\B", "notafterword": r"(?<!\w)", "notbeforeword": r"(?!\w)",
}  # fmt: skip


class TooComplex(ValueError):
    pass


def python(node: Node) -> str:
    """The tree as Python writes it."""
    kind = node[0]
    if kind == "set":
        return str(node[1])
    if kind == "cat":
        return "".join(python(one) for one in node[1])
    if kind == "alt":
        return "(?:" + "|".join(python(one) for one in node[1]) + ")"
    if kind == "group":
        return f"({python(node[2])})"
    if kind == "back":
        return f"(?:\\{node[1]})"
    if kind == "rep":
        low, high = node[2], node[3]
        return f"(?:{python(node[1])}){{{low},{'' if high is None else high}}}"
    return _ASSERTIONS[kind]


def danger(node: Node) -> tuple[bool, int, bool]:
    """Whether repeats stand inside repeats, how many have no end, and whether there are alternatives."""
    kind = node[0]
    if kind in ("cat", "alt"):
        found = [danger(one) for one in node[1]]
        return (
            any(one[0] for one in found),
            sum(one[1] for one in found),
            kind == "alt" or any(one[2] for one in found),
        )
    if kind == "group":
        return danger(node[2])
    if kind == "back":
        return False, 1, False
    if kind == "rep":
        nested, repeats, choices = danger(node[1])
        many = node[3] is None or node[3] > 1
        wide = node[1][0] != "set"
        return nested or (many and (repeats > 0 or (choices and wide))), repeats + many, choices
    return False, 0, False


class Found:
    """A match, with the methods of Python's that tools use."""

    __slots__ = ("_places", "_text")

    def __init__(self, text: str, places: tuple[int, ...]) -> None:
        self._text, self._places = text, places

    def group(self, number: int = 0, /) -> str | None:
        start, end = self._places[2 * number], self._places[2 * number + 1]
        return None if start < 0 or end < 0 else self._text[start:end]

    def start(self, number: int = 0, /) -> int:
        return self._places[2 * number]

    def end(self, number: int = 0, /) -> int:
        return self._places[2 * number + 1]


class Machine:
    def __init__(self, tree: Node, groups: int, *, ignore_case: bool) -> None:
        self._slots = 2 * groups + 2
        self._flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        self._program: list[Node] = []
        self._emit(tree)
        self._add(("match",))
        self._memory: list[dict[str, bool]] = [{} for _ in self._program]

    def _add(self, instruction: Node) -> int:
        if len(self._program) >= PROGRAM_MAX:
            raise TooComplex
        self._program.append(instruction)
        return len(self._program) - 1

    def _emit(self, node: Node) -> None:
        kind = node[0]
        if kind == "set":
            self._add(("set", re.compile(node[1], self._flags).fullmatch))
        elif kind == "cat":
            for one in node[1]:
                self._emit(one)
        elif kind == "alt":
            self._emit_choice(node[1])
        elif kind == "group":
            self._add(("save", 2 * node[1]))
            self._emit(node[2])
            self._add(("save", 2 * node[1] + 1))
        elif kind == "rep":
            self._emit_repeat(node[1], node[2], node[3])
        else:
            self._add(("check", re.compile(_ASSERTIONS[kind])))

    def _emit_choice(self, branches: list[Node]) -> None:
        jumps = []
        for branch in branches[:-1]:
            split = self._add(("split", 0, 0))
            self._emit(branch)
            jumps.append(self._add(("jump", 0)))
            self._program[split] = ("split", split + 1, len(self._program))
        self._emit(branches[-1])
        for jump in jumps:
            self._program[jump] = ("jump", len(self._program))

    def _emit_repeat(self, inner: Node, low: int, high: int | None) -> None:
        for _ in range(low):
            self._emit(inner)
        if high is None:
            split = self._add(("split", 0, 0))
            self._emit(inner)
            self._add(("jump", split))
            self._program[split] = ("split", split + 1, len(self._program))
            return
        splits = []
        for _ in range(high - low):
            splits.append(self._add(("split", 0, 0)))
            self._emit(inner)
        for split in splits:
            self._program[split] = ("split", split + 1, len(self._program))

    def search(self, text: str, start: int) -> Found | None:
        if (len(text) - start + 1) * len(self._program) > STEPS_MAX:
            raise TooComplex
        threads: list[tuple[int, tuple[int, ...]]] = []
        best: tuple[int, ...] | None = None
        empty = (-1,) * self._slots
        for at in range(start, len(text) + 1):
            seen: set[int] = set()
            current: list[tuple[int, tuple[int, ...]]] = []
            for place, slots in threads:
                best = self._follow(place, slots, text, at, seen, current, best)
            if best is None:
                best = self._follow(0, (at, *empty[1:]), text, at, seen, current, best)
            if at == len(text) or (best is not None and not current):
                break
            sign = text[at]
            threads = []
            for place, slots in current:
                if best is not None and slots[0] > best[0]:
                    continue
                known = self._memory[place].get(sign)
                if known is None:
                    known = self._program[place][1](sign) is not None
                    if len(self._memory[place]) < 1000:
                        self._memory[place][sign] = known
                if known:
                    threads.append((place + 1, slots))
        return None if best is None else Found(text, best)

    def _follow(
        self, place: int, slots: tuple[int, ...], text: str, at: int, seen: set[int],
        current: list[tuple[int, tuple[int, ...]]], best: tuple[int, ...] | None,
    ) -> tuple[int, ...] | None:  # fmt: skip
        """Goes on from one instruction without reading, up to those that read."""
        pending = [(place, slots)]
        while pending:
            place, slots = pending.pop()
            if place in seen:
                continue
            seen.add(place)
            instruction = self._program[place]
            kind = instruction[0]
            if kind == "set":
                current.append((place, slots))
            elif kind == "jump":
                pending.append((instruction[1], slots))
            elif kind == "split":
                pending.append((instruction[2], slots))
                pending.append((instruction[1], slots))
            elif kind == "save":
                number = instruction[1]
                pending.append((place + 1, (*slots[:number], at, *slots[number + 1 :])))
            elif kind == "check":
                if instruction[1].match(text, at) is not None:
                    pending.append((place + 1, slots))
            elif best is None or slots[0] < best[0] or (slots[0] == best[0] and at > best[1]):
                best = (slots[0], at, *slots[2:])
        return best
