"""Go's regular expressions (RE2), matched in time linear in the text whatever the pattern is.

Python's `re` backtracks: a pattern that comes with somebody's schema could stop the process for hours.
Here a pattern becomes a Thompson automaton that is made deterministic while it runs, its states kept
within bounds. Only "is there a match" is answered; greed and groups mean nothing to that.
`RegexpError` says what is wrong with a pattern in Go's words. Upstream: Go's `regexp`.
"""

from __future__ import annotations

from functools import lru_cache

from services.machinery.regexp_syntax import (
    Alternation,
    Assertion,
    CharClass,
    Repeat,
    Sequence,
    Syntax,
    parse,
)
from services.machinery.regexp_syntax import RegexpError as RegexpError

PROGRAM_MAX = 20_000  # instructions; a pattern that needs more is refused as too large
TRANSITIONS_MAX = 20_000  # kept per pattern; at the bound all are forgotten and found again

_SPLIT, _CLASS, _ASSERT, _MATCH = range(4)
_BEGIN, _NEWLINE, _WORD, _OTHER = range(4)  # what stands before a place in the text
_WORDS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class _State(dict[str, "_State"]):
    """A set of instructions and what stood before; maps the next character to the next state."""

    __slots__ = ("accepts_at_end", "before", "places")

    def __init__(self, places: frozenset[int], before: int) -> None:
        self.places = places
        self.before = before
        self.accepts_at_end: bool | None = None


_FOUND = _State(frozenset(), _OTHER)
_DEAD = _State(frozenset(), _OTHER)


class Regexp:
    """A compiled pattern. `search` may be called from one thread at a time."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._program: list[tuple[int, int, int]] = []  # kind and two operands
        self._classes: list[CharClass] = []
        self._looks_back = False
        tree = parse(pattern)
        self._emit(tree)
        self._add(_MATCH)
        # Nothing can begin later where all must begin at the start.
        self._anchored = isinstance(tree, Sequence) and tree.parts[:1] == (Assertion("begin text"),)
        self._forget()

    def _forget(self) -> None:
        self._states: dict[tuple[frozenset[int], int], _State] = {}
        self._transitions = 0
        self._start = self._state(frozenset((0,)), _BEGIN)

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text."""
        state = self._start
        for letter in text:
            found = state.get(letter)
            if found is None:
                found = self._step(state, letter)
            if found is _FOUND:
                return True
            if found is _DEAD:
                return False
            state = found
        if state.accepts_at_end is None:
            state.accepts_at_end = self._reach(state, "")[1]
        return state.accepts_at_end

    def _step(self, state: _State, letter: str) -> _State:
        if self._transitions >= TRANSITIONS_MAX:
            self._forget()
        self._transitions += 1
        found = state[letter] = self._next(state, letter)
        return found

    def _next(self, state: _State, letter: str) -> _State:
        classes, matched = self._reach(state, letter)
        if matched:
            return _FOUND
        places = {place + 1 for place in classes if self._classes[self._program[place][1]].contains(letter)}
        if not self._anchored:
            places.add(0)
        if not places:
            return _DEAD
        before = _OTHER
        if self._looks_back:
            before = _NEWLINE if letter == "\n" else _WORD if letter in _WORDS else _OTHER
        return self._state(frozenset(places), before)

    def _state(self, places: frozenset[int], before: int) -> _State:
        found = self._states.get((places, before))
        if found is None:
            found = self._states[places, before] = _State(places, before)
        return found

    def _reach(self, state: _State, following: str) -> tuple[list[int], bool]:
        """The classes that may eat `following` ("": the end), and whether a match is complete here."""
        classes: list[int] = []
        seen: set[int] = set()
        todo = list(state.places)
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            kind, first, second = self._program[place]
            if kind == _MATCH:
                return [], True
            if kind == _CLASS:
                classes.append(place)
            elif kind == _SPLIT:
                todo += (first, second)
            elif _holds(first, state.before, following):
                todo.append(place + 1)
        return classes, False

    # From the tree to a program.

    def _add(self, kind: int, first: int = 0, second: int = 0) -> int:
        if len(self._program) >= PROGRAM_MAX:
            raise RegexpError("expression too large", self.pattern)
        self._program.append((kind, first, second))
        return len(self._program) - 1

    def _emit(self, node: Syntax) -> None:
        if isinstance(node, CharClass):
            self._classes.append(node)
            self._add(_CLASS, len(self._classes) - 1)
        elif isinstance(node, Assertion):
            self._looks_back = self._looks_back or node.kind not in ("begin text", "end text")
            self._add(_ASSERT, _ASSERTIONS.index(node.kind))
        elif isinstance(node, Sequence):
            for part in node.parts:
                self._emit(part)
        elif isinstance(node, Alternation):
            self._emit_alternation(node.choices)
        else:
            self._emit_repeat(node)

    def _emit_alternation(self, choices: tuple[Syntax, ...]) -> None:
        ends = []
        for choice in choices[:-1]:
            split = self._add(_SPLIT)
            self._emit(choice)
            ends.append(self._add(_SPLIT))
            self._program[split] = (_SPLIT, split + 1, len(self._program))
        self._emit(choices[-1])
        for end in ends:
            self._program[end] = (_SPLIT, len(self._program), len(self._program))

    def _emit_repeat(self, node: Repeat) -> None:
        for _ in range(node.least):
            self._emit(node.body)
        if node.most is None:
            split = self._add(_SPLIT)
            self._emit(node.body)
            self._add(_SPLIT, split, split)
            self._program[split] = (_SPLIT, split + 1, len(self._program))
            return
        splits = []
        for _ in range(node.most - node.least):
            splits.append(self._add(_SPLIT))
            self._emit(node.body)
        for split in splits:
            self._program[split] = (_SPLIT, split + 1, len(self._program))


_ASSERTIONS = ("begin text", "end text", "begin line", "end line", "boundary", "no boundary")


def _holds(assertion: int, before: int, following: str) -> bool:
    match _ASSERTIONS[assertion]:
        case "begin text":
            return before == _BEGIN
        case "end text":
            return not following
        case "begin line":
            return before in (_BEGIN, _NEWLINE)
        case "end line":
            return not following or following == "\n"
        case kind:
            at_boundary = (before == _WORD) != (following in _WORDS and following != "")
            return at_boundary == (kind == "boundary")


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Regexp:
    """The automaton of a pattern; RegexpError in Go's words."""
    return Regexp(pattern)


def compile_or_none(pattern: str) -> Regexp | None:
    try:
        return compiled(pattern)
    except RegexpError:
        return None


def fault(pattern: str) -> str:
    """What is wrong with a pattern, as Go says it; empty when nothing is."""
    try:
        compiled(pattern)
    except RegexpError as error:
        return str(error)
    return ""
