"""The parser's lower half: words, quotes, `$…`, here-documents."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from services.runtime.shell.syntax import (
    Arithmetic,
    Parameter,
    Part,
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
_OPERATOR = re.compile(r":[-=?+]|[-=?+]|##?|%%?|//?|:(?=[\s\d(-])|\^\^?|,,?")
_PLAIN = re.compile(r"[^ \t\n;&|<>()\\'\"$`]+")


class WordParser:
    """Reads words; `commands` is the upper half's, for what stands inside `$(…)`."""

    def __init__(self, source: str, line: int = 1, depth: int = 0) -> None:
        self.source = source
        self.at = 0
        self.line = line
        self.depth = depth
        self.heredocs: list[Callable[[], None]] = []

    def commands(self, until: frozenset[str], *, needed: bool = False) -> List:
        raise NotImplementedError

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise ScriptError(self.line, "nested too deep")

    def peek(self) -> str:
        return self.source[self.at] if self.at < len(self.source) else ""

    def word(self, *, assignment: bool = False) -> Word | None:
        """One word, or None where none begins (`assignment`: an empty one is fine)."""
        parts: list[Part] = []
        start = self.at
        while self.at < len(self.source):
            character = self.source[self.at]
            if character in DELIMITERS:
                break
            if character == "\\":
                if self.source.startswith("\\\n", self.at):
                    self.at += 2
                    self.line += 1
                    continue
                parts.append(Text(self.source[self.at + 1 : self.at + 2] or "\\", quoted=True))
                self.at += 2
            elif character == "'":
                parts.append(self.single_quoted())
            elif character == '"':
                self.at += 1
                parts.extend(self.double_quoted('"'))
                self.at += 1
            elif character == "$" and self.source.startswith("$'", self.at):
                self.at += 1
                quoted = self.single_quoted(escapes=True)
                parts.append(Text(_unescape(quoted.text), quoted=True))
            elif character in "$`":
                parts.append(self.dollar(quoted=False))
            else:
                match = _PLAIN.match(self.source, self.at)
                assert match is not None
                parts.append(Text(match[0]))
                self.at = match.end()
        return tuple(parts) if self.at > start or assignment else None

    def parameter_of(self, name: str) -> Word:
        return (Parameter(name, quoted=True),)

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
            raise ScriptError(self.line, 'end of file unexpected (expecting ")")', incomplete=True)
        self.at += 1
        return Substitution(body, quoted)

    def backquoted(self, quoted: bool) -> Part:
        end = self.at + 1
        while end < len(self.source) and self.source[end] != "`":
            end += 2 if self.source[end] == "\\" else 1
        if end >= len(self.source):
            raise ScriptError(self.line, "EOF in backquote substitution", incomplete=True)
        inner = re.sub(r"\\([$`\\])", r"\1", self.source[self.at + 1 : end])
        self.at = end + 1
        parser = type(self)(inner, self.line, self.depth)
        return Substitution(parser.commands(frozenset()), quoted)

    def arithmetic(self, quoted: bool) -> Part | None:
        """$((…)); None when the parentheses say that it is $( (…) )."""
        depth, end = 0, self.at + 3
        while end < len(self.source):
            if self.source[end] == "(":
                depth += 1
            elif self.source[end] == ")":
                if depth == 0:
                    break
                depth -= 1
            end += 1
        if not self.source.startswith("))", end):
            return None
        parser = type(self)(self.source[self.at + 3 : end], self.line, self.depth)
        self.at = end + 2
        return Arithmetic(tuple(parser.double_quoted("")), quoted)

    def braced(self, quoted: bool) -> Part:
        self.at += 2
        if self.peek() == "#" and not self.source.startswith("#}", self.at):
            match = _BRACED.match(self.source, self.at + 1)
            if match is not None and self.source.startswith("}", match.end()):
                self.at = match.end() + 1
                return Parameter(match[0], "length", quoted=quoted)
        match = _BRACED.match(self.source, self.at)
        if match is None:
            raise ScriptError(self.line, "Bad substitution")
        self.at = match.end()
        if self.peek() == "}":
            self.at += 1
            return Parameter(match[0], quoted=quoted)
        operator = _OPERATOR.match(self.source, self.at)
        if operator is None:
            raise ScriptError(self.line, "Bad substitution", incomplete=self.at >= len(self.source))
        self.at = operator.end()
        self.deeper()
        word = self.brace_word(quoted)
        self.depth -= 1
        return Parameter(match[0], operator[0], word, quoted)

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
            raise ScriptError(self.line, "newline unexpected")
        raw = self.source[raw_start : self.at]
        literal = any(sign in raw for sign in "'\"\\")
        delimiter = "".join(part.text for part in word if isinstance(part, Text))
        redirect = Redirect(fd, "<<", ())

        def read() -> None:
            lines: list[str] = []
            while self.at < len(self.source):
                end = self.source.find("\n", self.at)
                end = len(self.source) if end < 0 else end
                line = self.source[self.at : end]
                self.at = min(end + 1, len(self.source))
                self.line += 1
                line = line.lstrip("\t") if strip else line
                if line == delimiter:
                    break
                lines.append(line + "\n")
            content = "".join(lines)
            if literal:
                redirect.target = (Text(content, quoted=True),)
            else:
                parser = type(self)(content, self.line, self.depth)
                redirect.target = tuple(parser.double_quoted(""))

        self.heredocs.append(read)
        return redirect


_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "v": "\v",
    "0": "\0",
}


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)
