"""The parser's lower half: words, quotes, `$…`, here-documents."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from services.runtime.bytes_in_text import byte_sign, code_sign, rejoined
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.syntax import (
    Arithmetic,
    Parameter,
    Part,
    ProcessSubstitution,
    Redirect,
    ScriptError,
    Substitution,
    Text,
    Word,
)

if TYPE_CHECKING:
    from services.runtime.shell.syntax import List

DELIMITERS = frozenset(" \t\n;&|<>()")
DEPTH_MAX = 60
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]|[@*#?$!-]")
_BRACED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")
_OPERATORS = {
    Dialect.DASH: re.compile(r":[-=?+]|[-=?+]|##?|%%?"),
    Dialect.ASH: re.compile(r":[-=?+]|[-=?+]|##?|%%?|//?|:"),
    Dialect.BASH: re.compile(r":[-=?+]|[-=?+]|##?|%%?|//?|:|\^\^?|,,?|@[QULEAPau]"),
}
_PLAIN = re.compile(r"[^ \t\n;&|<>()\\'\"$`]+")
_MATCHING = ("#", "##", "%", "%%", "/", "//")  # what follows these is a pattern, quotes outside or not


class WordParser:
    """Reads words; `commands` is the upper half's, for what stands inside `$(…)`."""

    def __init__(self, source: str, line: int = 1, depth: int = 0, dialect: Dialect = Dialect.DASH) -> None:
        self.source = source
        self.at = 0
        self.line = line
        self.depth = depth
        self.dialect = dialect
        self.heredocs: list[Callable[[], None]] = []
        self.unfinished = False  # a here-document was not ended

    def commands(self, until: frozenset[str], *, needed: bool = False, line: bool = False) -> List:
        raise NotImplementedError

    def inner(self, source: str) -> WordParser:
        return type(self)(source, self.line, self.depth, self.dialect)

    @property
    def extended(self) -> bool:
        return self.dialect is Dialect.BASH

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise ScriptError(self.line, "nested too deep")

    def peek(self) -> str:
        return self.source[self.at] if self.at < len(self.source) else ""

    def ahead(self, text: str) -> bool:
        return self.source.startswith(text, self.at)

    def word(self, *, assignment: bool = False, also: str = "", until: str = "") -> Word | None:
        """One word, or None where none begins (`assignment`: an empty one is fine).

        `also` are signs that end words elsewhere and belong to this one; `until` ends it here only.
        """
        parts: list[Part] = []
        start = self.at
        while self.at < len(self.source):
            character = self.source[self.at]
            if character in until:
                break
            if character in "<>" and self.extended and self.source[self.at + 1 : self.at + 2] == "(":
                parts.append(self.process_substitution())
                continue
            if character in DELIMITERS and character not in also:
                break
            self.piece(character, parts, until)
        return tuple(parts) if self.at > start or assignment else None

    def piece(self, character: str, parts: list[Part], until: str) -> None:
        if character == "\\":
            if self.ahead("\\\n"):
                self.at += 2
                self.line += 1
                return
            parts.append(Text(self.source[self.at + 1 : self.at + 2] or "\\", quoted=True))
            self.at += 2
        elif character == "'":
            parts.append(self.single_quoted())
        elif character == '"':
            self.at += 1
            parts.extend(self.double_quoted('"'))
            self.at += 1
        elif self.dialect > Dialect.DASH and self.ahead("$'"):
            self.at += 1
            quoted = self.single_quoted(escapes=True)
            parts.append(Text(_unescape(quoted.text), quoted=True))
        elif self.extended and self.ahead('$"'):
            self.at += 1
        elif character in "$`":
            parts.append(self.dollar(quoted=False))
        else:
            match = _PLAIN.match(self.source, self.at)
            end = match.end() if match else self.at + 1
            for sign in until:
                place = self.source.find(sign, self.at, end)
                end = place if place >= 0 else end
            parts.append(Text(self.source[self.at : end]))
            self.line += character == "\n"
            self.at = end

    def process_substitution(self) -> Part:
        reads = self.peek() == "<"
        self.at += 2
        body = self.commands(frozenset())
        if self.peek() != ")":
            raise ScriptError(self.line, found="end of file", expecting=")", incomplete=True)
        self.at += 1
        return ProcessSubstitution(body, reads)

    def single_quoted(self, *, escapes: bool = False) -> Text:
        end = self.at + 1
        while True:
            if end >= len(self.source):
                raise ScriptError(self.line, "Unterminated quoted string", incomplete=True)
            if self.source[end] == "'":
                break
            end += 2 if escapes and self.source[end] == "\\" else 1
        text = self.source[self.at + 1 : end]
        self.line += text.count("\n")
        self.at = end + 1
        return Text(text, quoted=True)

    def double_quoted(self, end: str) -> list[Part]:
        """Up to the closing sign, which stays; `end` empty is the end of the text (a here-document)."""
        parts: list[Part] = []
        plain: list[str] = []
        while True:
            if self.at >= len(self.source):
                if end:
                    raise ScriptError(self.line, "Unterminated quoted string", incomplete=True)
                break
            character = self.source[self.at]
            if character == end:
                break
            if character == "\\":
                following = self.source[self.at + 1 : self.at + 2]
                self.at += 2
                if following == "\n":
                    self.line += 1
                elif following in ("$", "`", "\\") or (following == '"' and end):
                    plain.append(following)
                else:
                    plain.append("\\" + following)
            elif character in "$`":
                if plain:
                    parts.append(Text("".join(plain), quoted=True))
                    plain = []
                parts.append(self.dollar(quoted=True))
            else:
                self.line += character == "\n"
                plain.append(character)
                self.at += 1
        if plain or not parts:
            parts.append(Text("".join(plain), quoted=True))
        return parts

    # -- $ and ` ------------------------------------------------------------------------------

    def dollar(self, *, quoted: bool) -> Part:
        source = self.source
        if source[self.at] == "`":
            return self.backquoted(quoted)
        if source.startswith("$((", self.at):
            found = self.arithmetic(quoted)
            if found is not None:
                return found
        if source.startswith("$(", self.at):
            return self.substitution(quoted)
        if source.startswith("${", self.at):
            return self.braced(quoted)
        match = _PARAMETER.match(source, self.at + 1)
        if match is None:
            self.at += 1
            return Text("$", quoted=quoted)
        self.at = match.end()
        return Parameter(match[0], quoted=quoted)

    def substitution(self, quoted: bool) -> Part:
        self.at += 2
        body = self.commands(frozenset())
        if self.peek() != ")":
            raise ScriptError(self.line, found="end of file", expecting=")", incomplete=True)
        self.at += 1
        return Substitution(body, quoted)

    def backquoted(self, quoted: bool) -> Part:
        end = self.at + 1
        while end < len(self.source) and self.source[end] != "`":
            end += 2 if self.source[end] == "\\" else 1
        if end >= len(self.source):
            raise ScriptError(self.line, "EOF in backquote substitution", incomplete=True)
        signs = r"\\([$`\\\"])" if quoted else r"\\([$`\\])"
        parser = self.inner(re.sub(signs, r"\1", self.source[self.at + 1 : end]))
        parser.deeper()
        self.at = end + 1
        return Substitution(parser.commands(frozenset()), quoted)

    def balanced(self, start: int) -> int:
        """Where the parentheses opened before `start` close, or the end of the text."""
        depth, end = 0, start
        while end < len(self.source):
            if self.source[end] == "(":
                depth += 1
            elif self.source[end] == ")":
                if depth == 0:
                    break
                depth -= 1
            end += 1
        return end

    def arithmetic(self, quoted: bool) -> Part | None:
        """$((…)); None when the parentheses say that it is $( (…) )."""
        end = self.balanced(self.at + 3)
        if not self.source.startswith("))", end):
            return None
        word = self.expression(self.source[self.at + 3 : end])
        self.at = end + 2
        return Arithmetic(word, quoted)

    def expression(self, text: str) -> Word:
        parser = self.inner(text)
        parser.deeper()
        return tuple(part for part in parser.double_quoted("") if part != Text('"', quoted=True))

    def braced(self, quoted: bool) -> Part:
        self.at += 2
        special = ""
        if self.peek() == "#" and not self.ahead("#}"):
            match = _BRACED.match(self.source, self.at + 1)
            if match is not None and self.source[match.end() : match.end() + 1] in ("}", "["):
                special = "length"
        elif self.extended and self.peek() == "!" and not self.ahead("!}"):
            special = "indirect"
        self.at += bool(special)
        match = _BRACED.match(self.source, self.at)
        if match is None:
            return self.nonsense()
        self.at = match.end()
        subscript = self.subscript() if self.extended and self.peek() == "[" else None
        if special == "indirect" and self.source[self.at : self.at + 2] in ("@}", "*}"):
            self.at += 2
            return Parameter(match[0], "names", quoted=quoted)
        if self.peek() == "}":
            self.at += 1
            if special == "indirect" and subscript is not None:
                special = "keys"
            return Parameter(match[0], special, quoted=quoted, subscript=subscript)
        operator = _OPERATORS[self.dialect].match(self.source, self.at)
        if operator is None or special:
            return self.nonsense()
        self.at = operator.end()
        self.deeper()
        word = self.brace_word(quoted and operator[0] not in _MATCHING)
        self.depth -= 1
        return Parameter(match[0], operator[0], word, quoted, subscript)

    def subscript(self) -> Word:
        """[…] behind a name."""
        self.at += 1
        self.deeper()
        word = self.word(assignment=True, also=" \t\n;&|<>()", until="]")
        self.depth -= 1
        if self.peek() != "]":
            raise ScriptError(self.line, "Bad substitution", incomplete=self.at >= len(self.source))
        self.at += 1
        return word or ()

    def nonsense(self) -> Part:
        """What no shell understands between braces; it says so when it comes to it."""
        end = self.source.find("}", self.at)
        if end < 0:
            raise ScriptError(self.line, "Missing '}'", incomplete=True)
        start = self.source.rfind("${", 0, self.at)
        self.at = end + 1
        return Parameter(self.source[start : self.at], "bad")

    def brace_word(self, quoted: bool) -> Word:
        """What stands after the operator, up to the closing brace."""
        parts: list[Part] = []
        while True:
            character = self.peek()
            if not character:
                raise ScriptError(self.line, "Missing '}'", incomplete=True)
            if character == "}":
                self.at += 1
                return tuple(parts)
            if character == "\\":
                parts.append(Text(self.source[self.at + 1 : self.at + 2], quoted=True))
                self.at += 2
            elif character == "'" and not quoted:
                parts.append(self.single_quoted())
            elif character == '"':
                self.at += 1
                parts.extend(self.double_quoted('"'))
                self.at += 1
            elif character in "$`":
                parts.append(self.dollar(quoted=quoted))
            else:
                parts.append(Text(character, quoted=quoted))
                self.line += character == "\n"
                self.at += 1

    # -- here-documents -----------------------------------------------------------------------

    def heredoc(self, fd: int, *, strip: bool) -> Redirect:
        """The redirection; its text is filled in when the line ends."""
        raw_start = self.at
        word = self.word()
        if word is None:
            at_end = self.at >= len(self.source)
            raise ScriptError(self.line, found="end of file" if at_end else "newline", incomplete=at_end)
        raw = self.source[raw_start : self.at]
        literal = any(sign in raw for sign in "'\"\\")
        delimiter = "".join(part.text for part in word if isinstance(part, Text))
        redirect = Redirect(fd, "<<", ())

        def read() -> None:
            content = self.heredoc_text(delimiter, strip)
            if literal:
                redirect.target = (Text(content, quoted=True),)
            else:
                redirect.target = tuple(self.inner(content).double_quoted(""))

        self.heredocs.append(read)
        return redirect

    def heredoc_text(self, delimiter: str, strip: bool) -> str:
        lines: list[str] = []
        while self.at < len(self.source):
            end = self.source.find("\n", self.at)
            whole = end >= 0
            end = end if whole else len(self.source)
            line = self.source[self.at : end]
            self.at = min(end + 1, len(self.source))
            self.line += 1
            line = line.lstrip("\t") if strip else line
            if line == delimiter:
                break
            lines.append(line + ("\n" if whole else ""))
        else:
            self.unfinished = True
        return "".join(lines)


_ESCAPES = {
    "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v",
}  # fmt: skip
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|[0-7]{1,3}|.)", re.DOTALL)


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xu" and len(code) > 1:
            value = int(code[1:], 16)
            return byte_sign(value) if code[0] == "x" else code_sign(value)
        if code[0] in "01234567":
            return byte_sign(int(code, 8) & 0xFF)
        return _ESCAPES.get(code, code if code in "\\'\"?" else match[0])

    return rejoined(_ESCAPE.sub(one, text))
