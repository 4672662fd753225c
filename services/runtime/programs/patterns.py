"""POSIX' regular expressions, basic and extended, with what GNU and busybox add (`\\<`, `\\w`, `\\+`).

A pattern is parsed into a tree and compiled twice: for Python's engine, which is fast and may take
exponential time, and for ours (linear.py), which takes no longer than text × pattern. Which one runs is
decided for every text by what the fast one could cost at worst. Like POSIX and unlike Python, of two
alternatives the longer one matches, as long as the text is short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from services.runtime.programs import linear
from services.runtime.programs.linear import Found, Node, TooComplex

FAST_STEPS_MAX = 30_000_000  # of Python's engine: some tenths of a second
LONGEST_CHARACTERS_MAX = 2_000  # up to here alternatives are tried for the longest match
PATTERN_CHARACTERS_MAX = 10_000
REPEAT_MAX = 255
DEPTH_MAX = 50
_CLASSES = {
    "digit": "0-9", "alpha": "a-zA-Z", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f", "cntrl": r"\x00-\x1f\x7f",
    "print": " -~", "graph": "!-~",
}  # fmt: skip
_INTERVAL = re.compile(r"(\d{0,3})(,?)(\d{0,3})")


class BadPattern(ValueError):
    """What regcomp(3) says."""


Match = re.Match[str] | Found


class Pattern:
    """A compiled expression."""

    def __init__(self, tree: Node, groups: int, *, ignore_case: bool, referring: bool) -> None:
        self.groups, self._tree, self._ignore_case = groups, tree, ignore_case
        self._referring = referring
        self._nested, self._repeats, self._choices = linear.danger(tree)
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        try:
            self._fast = re.compile(linear.python(tree), flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise BadPattern(str(error)) from error
        self._slow: linear.Machine | None = None

    def test(self, text: str) -> bool:
        """Whether it is anywhere in the text."""
        if self._affordable(len(text)):
            return self._fast.search(text) is not None
        return self._slowly(text, 0) is not None

    def search(self, text: str, start: int = 0) -> Match | None:
        """The leftmost match from there on."""
        size = len(text) - start
        longest = self._choices and not self._referring and size <= LONGEST_CHARACTERS_MAX
        if self._affordable(size) and not longest:
            return self._fast.search(text, start)
        return self._slowly(text, start)

    def match(self, text: str) -> Match | None:
        """A match at the very start."""
        found = self.search(text)
        if found is not None and found.start() != 0:
            found = Pattern(("cat", [("bol",), self._tree]), self.groups, ignore_case=self._ignore_case,
                            referring=self._referring).search(text)  # fmt: skip
        return found

    def finditer(self, text: str) -> Iterator[Match]:
        """All that do not overlap; an empty one right behind another does not count."""
        at, last = 0, -1
        while at <= len(text):
            found = self.search(text, at)
            if found is None:
                return
            if found.end() == found.start():
                at = found.end() + 1
                if found.start() == last:
                    continue
            else:
                at = found.end()
            last = found.end()
            yield found

    def _affordable(self, size: int) -> bool:
        if self._nested and size > 20:
            return False
        return self._repeats == 0 or (size + 1) ** (self._repeats + 1) <= FAST_STEPS_MAX

    def _slowly(self, text: str, start: int) -> Match | None:
        try:
            return self._machine().search(text, start)
        except TooComplex as error:
            raise BadPattern("too complex for a text so long") from error

    def _machine(self) -> linear.Machine:
        if self._referring:
            raise BadPattern("too complex for a text so long")
        if self._slow is None:
            try:
                self._slow = linear.Machine(self._tree, self.groups, ignore_case=self._ignore_case)
            except TooComplex as error:
                raise BadPattern("Regular expression too big") from error
        return self._slow


@lru_cache(maxsize=256)
def basic(pattern: str, *, ignore_case: bool = False, whole: str = "") -> Pattern:
    """In a basic expression `\\(` groups and `(` is itself. `whole`: "w" for words, "x" for lines."""
    return _compile(pattern, ignore_case, whole, is_extended=False)


@lru_cache(maxsize=256)
def extended(pattern: str, *, ignore_case: bool = False, whole: str = "") -> Pattern:
    return _compile(pattern, ignore_case, whole, is_extended=True)


@lru_cache(maxsize=256)
def fixed(pattern: str, *, ignore_case: bool = False, whole: str = "") -> Pattern:
    """Lines of plain text, each an alternative."""
    lines: list[Node] = [("cat", [("set", re.escape(sign)) for sign in line]) for line in pattern.split("\n")]
    return _finish(("alt", lines) if len(lines) > 1 else lines[0], 0, ignore_case, whole)


def _compile(pattern: str, ignore_case: bool, whole: str, *, is_extended: bool) -> Pattern:
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise BadPattern("Regular expression too big")
    parser = _Parser(pattern, is_extended=is_extended)
    tree = parser.parse()
    return _finish(tree, parser.groups, ignore_case, whole, referring=parser.referring)


def _finish(tree: Node, groups: int, ignore_case: bool, whole: str, *, referring: bool = False) -> Pattern:
    if whole == "w":
        tree = ("cat", [("notafterword",), tree, ("notbeforeword",)])
    elif whole == "x":
        tree = ("cat", [("bol",), tree, ("eol",)])
    return Pattern(tree, groups, ignore_case=ignore_case, referring=referring)


class _Parser:
    def __init__(self, text: str, *, is_extended: bool) -> None:
        self._text, self._at, self._extended = text, 0, is_extended
        self._depth = 0
        self.groups = 0
        self.referring = False

    def parse(self) -> Node:
        tree = self._alternatives()
        if self._at < len(self._text):
            raise BadPattern("Unmatched ) or \\)")
        return tree

    def _sign(self, sign: str) -> bool:
        """Whether this operator stands here, in the way this kind of expression writes it."""
        if self._extended:
            return self._text.startswith(sign, self._at)
        return self._text.startswith("\\" + sign, self._at)

    def _skip(self) -> None:
        self._at += 1 if self._extended else 2

    def _alternatives(self) -> Node:
        branches = [self._branch()]
        while self._sign("|"):
            self._skip()
            branches.append(self._branch())
        return branches[0] if len(branches) == 1 else ("alt", branches)

    def _branch(self) -> Node:
        pieces: list[Node] = []
        while self._at < len(self._text) and not self._sign("|"):
            if self._sign(")"):
                if self._depth or not self._extended:
                    break
                if self._extended and not self._depth:
                    raise BadPattern("Unmatched ) or \\)")
            atom = self._atom(first=not pieces or pieces == [("bol",)])
            pieces.append(self._repeated(atom))
        return ("cat", pieces)

    def _repeated(self, atom: Node) -> Node:
        while self._at < len(self._text):
            if self._text[self._at] == "*":
                self._at += 1
                atom = ("rep", atom, 0, None)
            elif self._sign("+"):
                self._skip()
                atom = ("rep", atom, 1, None)
            elif self._sign("?"):
                self._skip()
                atom = ("rep", atom, 0, 1)
            elif self._sign("{"):
                bounds = self._interval()
                if bounds is None:
                    return atom
                atom = ("rep", atom, *bounds)
            else:
                return atom
            if atom[1][0] in ("bol", "eol"):
                return atom[1]
        return atom

    def _interval(self) -> tuple[int, int | None] | None:
        start = self._at + (1 if self._extended else 2)
        match = _INTERVAL.match(self._text, start)
        assert match is not None
        ending = "}" if self._extended else "\\}"
        if not self._text.startswith(ending, match.end()) or not (match[1] or match[2]):
            if self._extended:
                return None
            raise BadPattern("Invalid content of \\{\\}" if "\\}" in self._text[start:] else "Unmatched \\{")
        self._at = match.end() + len(ending)
        low = int(match[1] or 0)
        high = int(match[3]) if match[3] else (None if match[2] else low)
        if low > REPEAT_MAX or (high is not None and (high < low or high > REPEAT_MAX)):
            raise BadPattern("Invalid content of \\{\\}")
        return low, high

    def _atom(self, *, first: bool) -> Node:
        sign = self._text[self._at]
        if self._sign("("):
            return self._group()
        if sign == "[":
            return self._bracket()
        self._at += 1
        if sign == "\\":
            return self._escaped()
        if sign == ".":
            return ("set", ".")
        if sign == "^" and (self._extended or first):
            return ("bol",)
        if sign == "$" and (
            self._extended or self._at == len(self._text) or self._text.startswith(("\\)", "\\|"), self._at)
        ):
            return ("eol",)
        if self._extended and sign in "*+?" and not first:
            raise BadPattern("Invalid preceding regular expression")
        return ("set", re.escape(sign))

    def _group(self) -> Node:
        self._skip()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise BadPattern("Regular expression too big")
        self.groups += 1
        number = self.groups
        inner = self._alternatives()
        if not self._sign(")"):
            raise BadPattern("Unmatched ( or \\(")
        self._skip()
        self._depth -= 1
        return ("group", number, inner)

    def _escaped(self) -> Node:
        if self._at >= len(self._text):
            raise BadPattern("Trailing backslash")
        sign = self._text[self._at]
        self._at += 1
        if sign in "<>bB":
            return ({"<": "wordstart", ">": "wordend", "b": "wordedge", "B": "wordinside"}[sign],)
        if sign in "wWsS":
            return ("set", f"\\{sign}")
        if sign in "nt":
            return ("set", {"n": "\\n", "t": "\\t"}[sign])
        if sign in "`'":
            return ("bol",) if sign == "`" else ("eol",)
        if sign in "123456789":
            if int(sign) > self.groups:
                raise BadPattern("Invalid back reference")
            self.referring = True
            return ("back", int(sign))
        return ("set", re.escape(sign))

    def _bracket(self) -> Node:
        text, at = self._text, self._at + 1
        negated = text[at : at + 1] == "^"
        at += negated
        start, parts = at, []
        while True:
            if at >= len(text):
                raise BadPattern("Unmatched [, [^, [:, [., or [=")
            if text[at] == "]" and at > start:
                break
            if text.startswith("[:", at) and (end := text.find(":]", at)) > 0:
                name = text[at + 2 : end]
                if name not in _CLASSES:
                    raise BadPattern("Invalid character class name")
                parts.append(_CLASSES[name])
                at = end + 2
                continue
            if text.startswith(("[.", "[="), at) and (end := text.find(text[at + 1] + "]", at + 2)) > 0:
                parts.append(_safe(text[at + 2 : end][:1]))
                at = end + 2
                continue
            if text[at + 1 : at + 2] == "-" and text[at + 2 : at + 3] not in ("", "]"):
                if text[at] > text[at + 2]:
                    raise BadPattern("Invalid range end")
                parts.append(f"{_safe(text[at])}-{_safe(text[at + 2])}")
                at += 3
                continue
            if text[at] == "\\" and text[at + 1 : at + 2] in ("n", "t"):  # GNU sed and awk read them so
                parts.append("\\" + text[at + 1])
                at += 2
                continue
            parts.append(_safe(text[at]))
            at += 1
        self._at = at + 1
        return ("set", f"[{'^' if negated else ''}{''.join(parts)}]")


def _safe(sign: str) -> str:
    return "\\" + sign if sign in "\\]^-[&~|" else sign


__all__ = ["BadPattern", "Found", "Match", "Pattern", "basic", "extended", "fixed"]
