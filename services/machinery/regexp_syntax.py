"""The syntax of Go's regular expressions: from text to a tree, or a refusal in Go's words.

Perl syntax as `regexp.Compile` takes it. Lazy quantifiers and groups are read and mean nothing more,
since only the existence of a match is asked for. Upstream: Go's `regexp/syntax`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

REPEAT_MAX = 1000  # Go's own
DEPTH_MAX = 100  # nested groups; Go allows 1000, our stack would not


class RegexpError(ValueError):
    def __init__(self, code: str, expression: str) -> None:
        super().__init__(f"error parsing regexp: {code}: `{expression}`")


@dataclass(frozen=True)
class CharClass:
    """Characters by ranges and Unicode categories or scripts."""

    ranges: tuple[tuple[int, int], ...] = ()
    groups: tuple[tuple[str, bool], ...] = ()  # a category's name, and whether it is negated
    classes: tuple[CharClass, ...] = ()
    negated: bool = False
    folds: bool = False

    def contains(self, letter: str) -> bool:
        if self.folds:
            letters = {letter, letter.lower(), letter.upper()}
            return any(self._has(one) for one in letters if len(one) == 1) != self.negated
        return self._has(letter) != self.negated

    def _has(self, letter: str) -> bool:
        code = ord(letter)
        if any(low <= code <= high for low, high in self.ranges):
            return True
        if any(inner.contains(letter) for inner in self.classes):
            return True
        if not self.groups:
            return False
        category = unicodedata.category(letter)
        return any(_in_group(letter, category, name) != negated for name, negated in self.groups)


def _in_group(letter: str, category: str, name: str) -> bool:
    if name == "Any":
        return True
    if len(name) <= 2:
        return category.startswith(name)
    return unicodedata.name(letter, "").startswith(name.upper())  # a script: Greek, Latin, Cyrillic


@dataclass(frozen=True)
class Assertion:
    kind: str


@dataclass(frozen=True)
class Sequence:
    parts: tuple[Syntax, ...] = ()


@dataclass(frozen=True)
class Alternation:
    choices: tuple[Syntax, ...]


@dataclass(frozen=True)
class Repeat:
    body: Syntax
    least: int
    most: int | None


Syntax = CharClass | Assertion | Sequence | Alternation | Repeat

_DIGIT = ((48, 57),)
_SPACE = ((9, 10), (12, 13), (32, 32))
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
_PERL = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_POSIX = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CONTROLS = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_ASSERTIONS = {"A": "begin text", "z": "end text", "b": "boundary", "B": "no boundary"}
_SCRIPTS = frozenset(("Arabic", "Armenian", "Cyrillic", "Greek", "Han", "Hangul", "Hebrew", "Hiragana",
                      "Katakana", "Latin", "Thai", "Any"))  # fmt: skip
_CATEGORY = re.compile(r"C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")
_COUNT = re.compile(r"\{(\d+)(,(\d*))?\}")
_FLAGS = re.compile(r"\(\?([imsU]*)(-[imsU]+)?([:)])")
_NAMED = re.compile(r"\(\?P?<(\w+)>", re.ASCII)
_HEX = re.compile(r"\\x(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))")


def parse(pattern: str) -> Syntax:
    """The tree of a pattern. RegexpError in Go's words."""
    parser = _Parser(pattern)
    tree = parser.alternation(0)
    if parser.position < len(pattern):
        raise RegexpError("unexpected )", pattern)
    return tree


@dataclass
class _Parser:
    text: str
    position: int = 0
    flags: frozenset[str] = field(default_factory=frozenset)
    names: set[str] = field(default_factory=set)

    def alternation(self, depth: int) -> Syntax:
        if depth > DEPTH_MAX:
            raise RegexpError("expression nests too deeply", self.text)
        choices = [self._sequence(depth)]
        while self.text[self.position : self.position + 1] == "|":
            self.position += 1
            choices.append(self._sequence(depth))
        return choices[0] if len(choices) == 1 else Alternation(tuple(choices))

    def _sequence(self, depth: int) -> Syntax:
        parts: list[Syntax] = []
        while self.position < len(self.text) and self.text[self.position] not in "|)":
            start = self.position
            if (bounds := self._quantifier()) is not None:
                raise RegexpError("missing argument to repetition operator", self._since(start, bounds[2]))
            atom = self._atom(depth)
            if atom is None:
                continue
            parts.append(self._repeated(atom))
        return Sequence(tuple(parts))

    def _since(self, start: int, lazy: bool) -> str:
        return self.text[start : self.position - lazy]

    def _repeated(self, atom: Syntax) -> Syntax:
        start = self.position
        bounds = self._quantifier()
        if bounds is None:
            return atom
        least, most, _ = bounds
        if max(least, most or 0) > REPEAT_MAX or (most is not None and most < least):
            raise RegexpError("invalid repeat count", self._since(start, bounds[2]))
        again = self._quantifier()
        if again is not None:
            raise RegexpError("invalid nested repetition operator", self.text[start : self.position])
        return Repeat(atom, least, most)

    def _quantifier(self) -> tuple[int, int | None, bool] | None:
        """`*`, `+`, `?`, `{2,3}` with the `?` that makes it lazy; None where there is none."""
        letter = self.text[self.position : self.position + 1]
        bounds: tuple[int, int | None]
        if letter in ("*", "+", "?"):
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[letter]
            self.position += 1
        elif letter == "{" and (match := _COUNT.match(self.text, self.position)):
            least = int(match[1])
            bounds = (least, least if match[2] is None else int(match[3]) if match[3] else None)
            self.position = match.end()
        else:
            return None
        lazy = self.text[self.position : self.position + 1] == "?"
        self.position += lazy
        return *bounds, lazy

    def _atom(self, depth: int) -> Syntax | None:
        letter = self.text[self.position]
        if letter == "(":
            return self._group(depth)
        if letter == "[":
            return self._class()
        if letter == "\\":
            return self._escape()
        self.position += 1
        if letter == ".":
            return CharClass(((0, 0x10FFFF),) if "s" in self.flags else ((0, 9), (11, 0x10FFFF)))
        if letter == "^":
            return Assertion("begin line" if "m" in self.flags else "begin text")
        if letter == "$":
            return Assertion("end line" if "m" in self.flags else "end text")
        return self._letter(ord(letter))

    def _letter(self, code: int) -> CharClass:
        return CharClass(((code, code),), folds="i" in self.flags)

    def _group(self, depth: int) -> Syntax | None:
        flags = self.flags
        if self.text.startswith("(?", self.position):
            if match := _FLAGS.match(self.text, self.position):
                changed = (flags | set(match[1])) - set((match[2] or "")[1:])
                self.flags, self.position = frozenset(changed), match.end()
                if match[3] == ")":
                    return None  # for the rest of this group
            elif match := _NAMED.match(self.text, self.position):
                if match[1] in self.names:
                    raise RegexpError("duplicate capture group name", match[1])
                self.names.add(match[1])
                self.position = match.end()
            else:
                raise self._bad_group()
        else:
            self.position += 1
        inner = self.alternation(depth + 1)
        if self.text[self.position : self.position + 1] != ")":
            raise RegexpError("missing closing )", self.text)
        self.position += 1
        self.flags = flags
        return inner

    def _bad_group(self) -> RegexpError:
        rest = self.text[self.position :]
        if rest.startswith(("(?P<", "(?<")) and not rest.startswith(("(?<=", "(?<!")):
            end = rest.find(">")
            return RegexpError("invalid named capture", rest if end < 0 else rest[: end + 1])
        if match := re.match(r"\(\?[imsU-]*.?", rest, re.DOTALL):
            if match.end() >= len(rest) and rest[-1] in "imsU-?":
                return RegexpError("missing closing )", self.text)
            return RegexpError("invalid or unsupported Perl syntax", match[0])
        return RegexpError("invalid or unsupported Perl syntax", rest[:3])

    def _class(self) -> CharClass:
        start = self.position
        self.position += 1
        negated = self.text.startswith("^", self.position)
        self.position += negated
        ranges: list[tuple[int, int]] = []
        inner: list[CharClass] = []
        first = True
        while first or not self.text.startswith("]", self.position):
            if self.position >= len(self.text):
                raise RegexpError("missing closing ]", self.text[start:])
            first = False
            if not self._named_class(inner):
                ranges.append(self._range(start))
        self.position += 1
        return CharClass(tuple(ranges), classes=tuple(inner), negated=negated, folds="i" in self.flags)

    def _named_class(self, inner: list[CharClass]) -> bool:
        """`[:alpha:]`, `\\d` or `\\pL` inside brackets."""
        if self.text.startswith("[:", self.position) and (end := self.text.find(":]", self.position)) > 0:
            name = self.text[self.position + 2 : end]
            if name.removeprefix("^") not in _POSIX:
                raise RegexpError("invalid character class range", self.text[self.position : end + 2])
            inner.append(CharClass(_POSIX[name.removeprefix("^")], negated=name.startswith("^")))
            self.position = end + 2
            return True
        found = self._perl_class()
        if found is not None:
            inner.append(found)
        return found is not None

    def _perl_class(self) -> CharClass | None:
        word = self.text[self.position : self.position + 2]
        if len(word) < 2 or word[0] != "\\":
            return None
        if (ranges := _PERL.get(word[1].lower())) is not None:
            self.position += 2
            return CharClass(ranges, negated=word[1].isupper())
        if word[1] in "pP":
            return self._unicode_class(word[1] == "P")
        return None

    def _unicode_class(self, negated: bool) -> CharClass:
        start = self.position
        rest = self.text[start + 2 :]
        if rest.startswith("{"):
            end = rest.find("}")
            if end < 0:
                raise RegexpError("invalid character class range", self.text[start:])
            name, self.position = rest[1:end], start + end + 3
        else:
            name, self.position = rest[:1], start + 3
        bare = name.removeprefix("^")
        if not (_CATEGORY.fullmatch(bare) or bare in _SCRIPTS):
            raise RegexpError("invalid character class range", self.text[start : self.position])
        return CharClass(groups=((bare, negated != name.startswith("^")),))

    def _range(self, start: int) -> tuple[int, int]:
        here = self.position
        low = self._class_letter(start)
        high = low
        after = self.text[self.position + 1 : self.position + 2]
        if self.text.startswith("-", self.position) and after and after != "]":
            self.position += 1
            high = self._class_letter(start)
        if high < low:
            raise RegexpError("invalid character class range", self.text[here : self.position])
        return low, high

    def _class_letter(self, start: int) -> int:
        if self.position >= len(self.text):
            raise RegexpError("missing closing ]", self.text[start:])
        if self.text[self.position] == "\\":
            return self._escaped_code()
        self.position += 1
        return ord(self.text[self.position - 1])

    def _escape(self) -> Syntax:
        word = self.text[self.position : self.position + 2]
        if word[1:] in _ASSERTIONS:
            self.position += 2
            return Assertion(_ASSERTIONS[word[1]])
        if word[1:] == "Q":
            end = self.text.find("\\E", self.position)
            literal = self.text[self.position + 2 : end if end >= 0 else None]
            self.position = end + 2 if end >= 0 else len(self.text)
            return Sequence(tuple(self._letter(ord(letter)) for letter in literal))
        found = self._perl_class()
        return found if found is not None else self._letter(self._escaped_code())

    def _escaped_code(self) -> int:
        start, letter = self.position, self.text[self.position + 1 : self.position + 2]
        if not letter:
            raise RegexpError("trailing backslash at end of expression", "")
        self.position += 2
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter == "x" and (match := _HEX.match(self.text, start)):
            self.position = match.end()
            code = int(match[1] or match[2], 16)
            if code <= 0x10FFFF:
                return code
        elif letter in "01234567" and (match := re.compile(r"[0-7]{2,3}|0").match(self.text, start + 1)):
            self.position = match.end()
            return int(match[0], 8)
        elif ord(letter) < 0x80 and not letter.isalnum():
            return ord(letter)
        raise RegexpError("invalid escape sequence", self.text[start : self.position])
