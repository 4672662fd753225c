"""From text to tree: a recursive-descent parser of POSIX' shell grammar, with bash's `[[`-less subset.

Reads characters, not tokens, since what a character means depends on where it stands. Here-documents
are read when the line that announces them ends. Bounded: nesting deeper than 100 is an error.
Words are parsed in words.py.
"""

from __future__ import annotations

import re
from functools import lru_cache

from services.runtime.shell.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Item,
    List,
    Pipeline,
    Redirect,
    Redirected,
    ScriptError,
    Simple,
    Subshell,
    Text,
    While,
    Word,
)
from services.runtime.shell.words import DELIMITERS, WordParser

CLOSERS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})
RESERVED = CLOSERS | {"if", "case", "while", "until", "for", "{", "!", "in", "function"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FUNCTION = re.compile(r"([A-Za-z_][\w.-]*)[ \t]*\([ \t]*\)")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_REDIRECT = re.compile(r"(\d*)(<<-|<<|<&|<>|<|>>|>&|>\||>|&>>|&>)")
SOURCE_CHARACTERS_MAX = 1_000_000


@lru_cache(maxsize=256)
def parse(source: str) -> List:
    """The whole script. ScriptError when it is none."""
    if len(source) > SOURCE_CHARACTERS_MAX:
        raise ScriptError(1, "script too long")
    parser = Parser(source)
    try:
        body = parser.commands(frozenset())
    except RecursionError:
        raise ScriptError(parser.line, "nested too deep") from None
    if parser.at < len(source):
        parser.unexpected()
    return body


class Parser(WordParser):
    """One pass over one text."""

    # -- blanks and lines ---------------------------------------------------------------------

    def blanks(self) -> None:
        source = self.source
        while self.at < len(source):
            if source[self.at] in " \t":
                self.at += 1
            elif source.startswith("\\\n", self.at):
                self.at += 2
                self.line += 1
            elif source[self.at] == "#":
                end = source.find("\n", self.at)
                self.at = len(source) if end < 0 else end
            else:
                return

    def newlines(self) -> None:
        self.blanks()
        while self.peek() == "\n":
            self.newline()
            self.blanks()

    def newline(self) -> None:
        self.at += 1
        self.line += 1
        for pending in self.heredocs:
            pending()
        self.heredocs.clear()

    def reserved(self) -> str:
        """The reserved word that stands here, if one does."""
        source, at = self.source, self.at
        end = at
        while end < len(source) and source[end] not in DELIMITERS:
            end += 1
            if end - at > 8:
                return ""
        word = source[at:end]
        return word if word in RESERVED else ""

    def expect(self, word: str) -> None:
        self.newlines()
        if self.reserved() != word:
            self.unexpected(word)
        self.at += len(word)

    def unexpected(self, expecting: str = "") -> None:
        hint = f' (expecting "{expecting}")' if expecting else ""
        if self.at >= len(self.source):
            raise ScriptError(self.line, f"end of file unexpected{hint}", incomplete=True)
        match = re.compile(r"&&|\|\||;;|\n|[;&|()<>]|[^\s;&|()<>]+").match(self.source, self.at)
        found = match[0] if match else self.source[self.at]
        if found == "\n":
            raise ScriptError(self.line, f"newline unexpected{hint}")
        raise ScriptError(self.line, f'"{found}" unexpected{hint}')

    # -- lists and pipelines ------------------------------------------------------------------

    def commands(self, until: frozenset[str], *, needed: bool = False) -> List:
        """Commands up to one of these words, a `)`, a `;;` or the end."""
        items: list[Item] = []
        self.deeper()
        while True:
            self.newlines()
            if self.at >= len(self.source) or self.peek() == ")" or self.source.startswith(";;", self.at):
                break
            word = self.reserved()
            if word in CLOSERS:
                if word not in until:
                    self.unexpected(next(iter(until)) if len(until) == 1 else "")
                break
            command = self.and_or()
            self.blanks()
            background = self.peek() == "&" and not self.source.startswith("&&", self.at)
            items.append(Item(command, background))
            if background or (self.peek() == ";" and not self.source.startswith(";;", self.at)):
                self.at += 1
            elif self.peek() != "\n":
                break
        self.depth -= 1
        if needed and not items:
            self.unexpected()
        return tuple(items)

    def and_or(self) -> AndOr:
        first = self.pipeline()
        rest: list[tuple[str, Pipeline]] = []
        while True:
            self.blanks()
            operator = self.source[self.at : self.at + 2]
            if operator not in ("&&", "||"):
                return AndOr(first, tuple(rest))
            self.at += 2
            self.newlines()
            rest.append((operator, self.pipeline()))

    def pipeline(self) -> Pipeline:
        self.blanks()
        negated = False
        while self.reserved() == "!":
            self.at += 1
            negated = not negated
            self.blanks()
        commands = [self.command()]
        while True:
            self.blanks()
            if self.peek() != "|" or self.source.startswith("||", self.at):
                return Pipeline(tuple(commands), negated)
            self.at += 1
            self.newlines()
            commands.append(self.command())

    # -- commands -----------------------------------------------------------------------------

    def command(self) -> Command:
        self.blanks()
        word = self.reserved()
        compound: Command | None = None
        if word == "if":
            compound = self.conditional()
        elif word in ("while", "until"):
            compound = self.loop(word)
        elif word == "for":
            compound = self.iteration()
        elif word == "case":
            compound = self.selection()
        elif word == "{":
            self.at += 1
            body = self.commands(frozenset({"}"}), needed=True)
            self.expect("}")
            compound = Group(body)
        elif self.peek() == "(":
            self.at += 1
            body = self.commands(frozenset(), needed=True)
            self.close(")")
            compound = Subshell(body)
        elif word == "function":
            self.at += len(word)
            self.blanks()
            return self.function()
        elif word:
            self.unexpected()
        elif _FUNCTION.match(self.source, self.at):
            return self.function()
        if compound is None:
            return self.simple()
        redirects = self.redirects()
        return Redirected(compound, redirects) if redirects else compound

    def close(self, sign: str) -> None:
        self.newlines()
        if self.peek() != sign:
            self.unexpected(sign)
        self.at += 1

    def conditional(self) -> If:
        arms = []
        word = "if"
        while word in ("if", "elif"):
            self.expect(word)
            condition = self.commands(frozenset({"then"}), needed=True)
            self.expect("then")
            arms.append((condition, self.commands(frozenset({"elif", "else", "fi"}), needed=True)))
            self.newlines()
            word = self.reserved()
        otherwise: List = ()
        if word == "else":
            self.expect("else")
            otherwise = self.commands(frozenset({"fi"}), needed=True)
        self.expect("fi")
        return If(tuple(arms), otherwise)

    def loop(self, word: str) -> While:
        self.expect(word)
        condition = self.commands(frozenset({"do"}), needed=True)
        return While(condition, self.do_group(), word == "until")

    def do_group(self) -> List:
        self.expect("do")
        body = self.commands(frozenset({"done"}), needed=True)
        self.expect("done")
        return body

    def iteration(self) -> For:
        self.expect("for")
        self.blanks()
        name = self.name()
        self.newlines()
        words: tuple[Word, ...] | None = None
        if self.reserved() == "in":
            self.at += 2
            words = self.words()
        if self.peek() == ";":
            self.at += 1
        return For(name, words, self.do_group())

    def words(self) -> tuple[Word, ...]:
        found = []
        self.blanks()
        while (word := self.word()) is not None:
            found.append(word)
            self.blanks()
        return tuple(found)

    def name(self) -> str:
        match = _NAME.match(self.source, self.at)
        if match is None:
            raise ScriptError(self.line, "Bad for loop variable")
        self.at = match.end()
        return match[0]

    def selection(self) -> Case:
        self.expect("case")
        self.blanks()
        subject = self.word()
        if subject is None:
            self.unexpected()
            return Case((), ())
        self.expect("in")
        arms: list[tuple[tuple[Word, ...], List]] = []
        while True:
            self.newlines()
            if self.reserved() == "esac":
                self.at += 4
                return Case(subject, tuple(arms))
            if self.peek() == "(":
                self.at += 1
            patterns = [self.pattern()]
            while self.peek() == "|":
                self.at += 1
                patterns.append(self.pattern())
            self.close(")")
            arms.append((tuple(patterns), self.commands(frozenset({"esac"}))))
            self.newlines()
            if self.source.startswith(";;", self.at):
                self.at += 2

    def pattern(self) -> Word:
        self.blanks()
        word = self.word()
        self.blanks()
        if word is None:
            self.unexpected()
        return word or ()

    def function(self) -> Function:
        match = _FUNCTION.match(self.source, self.at) or _NAME.match(self.source, self.at)
        if match is None:
            raise ScriptError(self.line, "Bad function name")
        self.at = match.end()
        self.newlines()
        return Function(match[match.lastindex or 0], self.command())

    def simple(self) -> Simple:
        line = self.line
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            self.blanks()
            redirect = self.redirect()
            if redirect is not None:
                redirects.append(redirect)
                continue
            match = _ASSIGNMENT.match(self.source, self.at) if not words else None
            if match:
                self.at = match.end()
                # name+=value is name=$name followed by value.
                prefix: Word = self.parameter_of(match[1]) if match[2] else ()
                assignments.append((match[1], prefix + (self.word(assignment=True) or (Text(""),))))
                continue
            word = self.word()
            if word is None:
                break
            words.append(word)
        if not (assignments or words or redirects):
            self.unexpected()
        return Simple(tuple(assignments), tuple(words), tuple(redirects), line)

    # -- redirections -------------------------------------------------------------------------

    def redirects(self) -> tuple[Redirect, ...]:
        found = []
        self.blanks()
        while (redirect := self.redirect()) is not None:
            found.append(redirect)
            self.blanks()
        return tuple(found)

    def redirect(self) -> Redirect | None:
        match = _REDIRECT.match(self.source, self.at)
        if match is None:
            return None
        self.at = match.end()
        operator = match[2]
        fd = int(match[1]) if match[1] else (0 if operator.startswith("<") else 1)
        self.blanks()
        if operator in ("<<", "<<-"):
            return self.heredoc(fd, strip=operator == "<<-")
        target = self.word()
        if target is None:
            self.unexpected()
        return Redirect(fd, operator, target or ())
