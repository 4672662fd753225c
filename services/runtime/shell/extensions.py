"""The parser's middle: assignments, redirections, and the commands and words that bash adds to POSIX.

`[[ … ]]`, `((…))`, `for ((…))`, arrays, `{a,b}` and `{1..5}`, `<<<`. Each is parsed only where the
dialect has it; elsewhere the text means what POSIX says.
"""

from __future__ import annotations

import re
from itertools import pairwise

from services.runtime.shell.dialect import Dialect
from services.runtime.shell.syntax import (
    Assignment,
    Calculation,
    Check,
    Counting,
    List,
    Part,
    Redirect,
    ScriptError,
    Text,
    Word,
)
from services.runtime.shell.words import WordParser

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_ARRAY_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?=\+?=|\[)")
_REDIRECT = re.compile(r"(\d*)(<<-|<<|<&|<>|<|>>|>&|>\||>)")
_REDIRECT_MORE = re.compile(r"(\d*)(<<<|<<-|<<|<&|<>|<(?!\()|>>|>&|>\||>(?!\()|&>>|&>)")
_REDIRECT_ASH = re.compile(r"(\d*)(<<-|<<|<&|<>|<|>>|>&|>\||>|&>>|&>)")
_RANGE = re.compile(
    r"(-?\d{1,9})\.\.(-?\d{1,9})(?:\.\.(-?\d{1,9}))?|([A-Za-z])\.\.([A-Za-z])(?:\.\.(-?\d{1,3}))?"
)
_DECLARING = frozenset({"declare", "typeset", "local", "export", "readonly"})
_UNARY = re.compile(r"-[a-hknoprstuvwxzGLNORS]$")
_BINARY = ("==", "=~", "=", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef")
BRACE_WORDS_MAX = 10_000


class ExtensionParser(WordParser):
    def blanks(self) -> None:
        raise NotImplementedError

    def newlines(self) -> None:
        raise NotImplementedError

    def unexpected(self, expecting: str = "", *, plain: bool = False) -> None:
        raise NotImplementedError

    def do_group(self) -> List:
        raise NotImplementedError

    def expect(self, word: str) -> None:
        raise NotImplementedError

    # -- assignments --------------------------------------------------------------------------

    def declares(self, words: list[Word]) -> bool:
        """Whether name=(…) may follow: only behind declare and its kin, in bash."""
        first = words[0]
        return (
            self.extended and len(first) == 1 and isinstance(first[0], Text) and first[0].text in _DECLARING
        )

    def assignment(self) -> Assignment | None:
        if not self.extended:
            match = _ASSIGNMENT.match(self.source, self.at)
            if match is None:
                return None
            self.at = match.end()
            return Assignment(match[1], self.value())
        match = _ARRAY_ASSIGNMENT.match(self.source, self.at)
        if match is None:
            return None
        start, self.at = self.at, match.end()
        subscript = self.subscript() if self.peek() == "[" else None
        append = self.ahead("+=")
        self.at += append
        if self.peek() != "=":
            self.at = start
            return None
        self.at += 1
        if self.peek() == "(" and subscript is None:
            return Assignment(match[1], (), append, None, self.elements())
        return Assignment(match[1], self.value(), append, subscript)

    def value(self) -> Word:
        return self.word(assignment=True) or (Text(""),)

    def elements(self) -> tuple[tuple[Word | None, Word], ...]:
        self.at += 1
        found: list[tuple[Word | None, Word]] = []
        while True:
            self.newlines()
            if self.peek() == ")":
                self.at += 1
                return tuple(found)
            if self.peek() == "[":
                start = self.at
                subscript = self.subscript()
                if self.peek() == "=":
                    self.at += 1
                    found.append((subscript, self.value()))
                    continue
                self.at = start
            word = self.word()
            if word is None:
                self.unexpected(")")
                return ()
            found.extend((None, each) for each in self.braces(word))

    # -- redirections -------------------------------------------------------------------------

    def redirect(self) -> Redirect | None:
        form = {Dialect.DASH: _REDIRECT, Dialect.ASH: _REDIRECT_ASH, Dialect.BASH: _REDIRECT_MORE}[
            self.dialect
        ]
        match = form.match(self.source, self.at)
        if match is None:
            return None
        self.at = match.end()
        operator = match[2]
        fd = int(match[1][:6]) if match[1] else (0 if operator.startswith("<") else 1)
        self.blanks()
        if operator in ("<<", "<<-"):
            if self.peek() == "<":
                raise ScriptError(self.line, found="redirection")
            return self.heredoc(fd, strip=operator == "<<-")
        target = self.word()
        if target is None:
            self.unexpected()
        if operator == "<<<":
            return Redirect(fd, "<<", (*(target or ()), Text("\n", quoted=True)))
        return Redirect(fd, operator, target or ())

    # -- ((…)) and for ((…)) ------------------------------------------------------------------

    def calculation(self) -> Calculation | None:
        end = self.balanced(self.at + 2)
        if not self.source.startswith("))", end):
            return None
        word = self.expression(self.source[self.at + 2 : end])
        self.line += self.source.count("\n", self.at, end)
        self.at = end + 2
        return Calculation(word)

    def at_counting(self) -> bool:
        return self.extended and re.compile(r"for[ \t]*\(\(").match(self.source, self.at) is not None

    def counting(self) -> Counting:
        self.at = self.source.index("((", self.at)
        end = self.balanced(self.at + 2)
        parts = self.source[self.at + 2 : end].split(";")
        if len(parts) != 3 or not self.source.startswith("))", end):
            raise ScriptError(self.line, found='"(("', incomplete=end >= len(self.source))
        self.at = end + 2
        self.blanks()
        if self.peek() == ";":
            self.at += 1
        first, condition, step = (self.expression(part.strip()) for part in parts)
        return Counting(first, condition, step, self.do_group())

    # -- [[ … ]] ------------------------------------------------------------------------------

    def check(self) -> Check:
        self.at += 2
        self.deeper()
        found = self.either()
        self.newlines()
        if not self.ahead("]]"):
            self.unexpected()
        self.at += 2
        self.depth -= 1
        return found

    def either(self) -> Check:
        left = self.both()
        while self.joined("||"):
            left = Check("-o", (), (left, self.both()))
        return left

    def both(self) -> Check:
        left = self.single()
        while self.joined("&&"):
            left = Check("-a", (), (left, self.single()))
        return left

    def joined(self, operator: str) -> bool:
        self.newlines()
        found = self.ahead(operator)
        self.at += 2 * found
        return found

    def single(self) -> Check:
        self.newlines()
        self.deeper()
        try:
            if self.peek() == "!" and self.source[self.at + 1 : self.at + 2] in (" ", "\t"):
                self.at += 1
                return Check("!", (), (self.single(),))
            if self.peek() == "(":
                self.at += 1
                inner = self.either()
                self.newlines()
                if self.peek() != ")":
                    self.unexpected(")")
                self.at += 1
                return inner
            return self.primary()
        finally:
            self.depth -= 1

    def primary(self) -> Check:
        word = self.operand()
        first = word[0]
        if len(word) == 1 and isinstance(first, Text) and not first.quoted and _UNARY.match(first.text):
            self.blanks()
            if not self.ahead("]]"):
                return Check(first.text, (self.operand(),))
        self.blanks()
        for operator in _BINARY:
            if self.ahead(operator) and not (operator[0] == "-" and not self._ends(operator)):
                self.at += len(operator)
                self.blanks()
                right = self.word(also="()|<>&" if operator == "=~" else "") or ()
                if not right:
                    self.unexpected()
                return Check(operator, (word, right))
        return Check("", (word,))

    def _ends(self, operator: str) -> bool:
        return self.source[self.at + len(operator) : self.at + len(operator) + 1] in (" ", "\t")

    def operand(self) -> Word:
        self.newlines()
        word = None if self.ahead("]]") else self.word()
        if word is None:
            self.unexpected()
        return word or (Text(""),)

    # -- {a,b} and {1..5} ---------------------------------------------------------------------

    def braces(self, word: Word) -> list[Word]:
        if not self.extended or not any(
            isinstance(part, Text) and not part.quoted and "{" in part.text for part in word
        ):
            return [word]
        found: list[Word] = []
        pending = [_letters(word)]
        while pending:
            letters = pending.pop(0)
            split = _split(letters)
            if split is None:
                found.append(_joined(letters))
            else:
                pending[:0] = split
            if len(pending) + len(found) > BRACE_WORDS_MAX:
                return [word]
        return found


Letters = list[str | Part]  # unquoted characters, and parts as they are


def _letters(word: Word) -> Letters:
    letters: Letters = []
    for part in word:
        letters.extend(part.text if isinstance(part, Text) and not part.quoted else [part])
    return letters


def _joined(letters: Letters) -> Word:
    parts: list[Part] = []
    plain = ""
    for letter in letters:
        if isinstance(letter, str):
            plain += letter
            continue
        if plain:
            parts.append(Text(plain))
            plain = ""
        parts.append(letter)
    if plain:
        parts.append(Text(plain))
    return tuple(parts) or (Text(""),)


def _split(letters: Letters) -> list[Letters] | None:
    """The alternatives of the first brace that has any."""
    for start, letter in enumerate(letters):
        if letter != "{" or (start and letters[start - 1] == "$"):
            continue
        depth, commas, end = 0, [start], -1
        for at in range(start, len(letters)):
            if letters[at] == "{":
                depth += 1
            elif letters[at] == "}":
                depth -= 1
                if depth == 0:
                    end = at
                    break
            elif letters[at] == "," and depth == 1:
                commas.append(at)
        if end < 0:
            continue
        before, after = letters[:start], letters[end + 1 :]
        if len(commas) > 1:
            bounds = [*commas, end]
            return [before + letters[a + 1 : b] + after for a, b in pairwise(bounds)]
        inside = letters[start + 1 : end]
        if all(isinstance(one, str) for one in inside):
            steps = _steps("".join(map(str, inside)))
            if steps is not None:
                return [before + list(step) + after for step in steps]
    return None


def _steps(text: str) -> list[str] | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    if match[4]:
        first, last, step = ord(match[4]), ord(match[5]), int(match[6] or 1)
    else:
        first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    step = abs(step) or 1
    count = abs(last - first) // step + 1
    if count > BRACE_WORDS_MAX:
        return None
    values = [first + (step if last >= first else -step) * number for number in range(count)]
    if match[4]:
        return [chr(value) for value in values]
    padded = any(re.fullmatch(r"-?0\d+", piece) for piece in (match[1], match[2]))
    width = max(len(match[1]), len(match[2])) if padded else 0
    return [f"{value:0{width}d}" for value in values]
