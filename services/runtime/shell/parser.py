"""From text to tree: a recursive-descent parser of POSIX' shell grammar, and of what bash adds to it.

Reads characters, not tokens, since what a character means depends on where it stands. Here-documents
are read when the line that announces them ends. Bounded: nesting deeper than words.DEPTH_MAX is an error.
Words are parsed in words.py, the commands that only bash has in extensions.py.
"""

from __future__ import annotations

import re
from functools import lru_cache

from services.runtime.shell.dialect import Dialect
from services.runtime.shell.extensions import ExtensionParser
from services.runtime.shell.syntax import (
    AndOr,
    Assignment,
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
from services.runtime.shell.words import DELIMITERS

CLOSERS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})
RESERVED = CLOSERS | {"if", "case", "while", "until", "for", "{", "!", "in"}
SOURCE_CHARACTERS_MAX = 1_000_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FUNCTION = re.compile(r"([A-Za-z_][\w.:-]*)[ \t]*\([ \t]*\)")
_CALL = re.compile(r"([^\s;&|<>()\\'\"$`=]+)[ \t]*\(")
_TOKEN = re.compile(r"&&|\|\||;;|\n|[;&|()]|[<>]+|[^\s;&|()<>]+")


@lru_cache(maxsize=256)
def parse(source: str, dialect: Dialect = Dialect.DASH) -> List:
    """The whole script. ScriptError when it is none."""
    if len(source) > SOURCE_CHARACTERS_MAX:
        raise ScriptError(1, "script too long")
    parser = Parser(source, dialect=dialect)
    body: List = ()
    try:
        while True:
            body += parser.line_of_commands()
            if parser.at >= len(source):
                return body
    except RecursionError:
        raise ScriptError(parser.line, "nested too deep", done=body) from None
    except ScriptError as error:
        error.done = body
        raise


class Parser(ExtensionParser):
    # -- blanks and lines ---------------------------------------------------------------------

    def line_of_commands(self) -> List:
        before = self.at
        whole = self.commands(frozenset(), line=True)
        self.finish_heredocs()
        if self.at < len(self.source) and (self.at == before or self.source[self.at - 1] != "\n"):
            self.unexpected()
        return whole

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
        self.finish_heredocs()

    def finish_heredocs(self) -> None:
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
        if word in RESERVED or (word == "function" and self.dialect > Dialect.DASH):
            return word
        return ""

    def expect(self, word: str) -> None:
        self.newlines()
        if self.reserved() != word:
            self.unexpected(word)
        self.at += len(word)

    def unexpected(self, expecting: str = "", *, plain: bool = False) -> None:
        """Refuses what stands here; `plain` where reserved words are words as any other."""
        if self.at >= len(self.source):
            raise ScriptError(self.line, found="end of file", expecting=expecting, incomplete=True)
        match = _TOKEN.match(self.source, self.at)
        token = match[0] if match else self.source[self.at]
        if token == "\n":
            found = "newline"
        elif token[0] in "<>":
            found = "redirection"
        elif token[0] in ";&|()" or (not plain and self.reserved()) or self.extended:
            found = f'"{token}"'
        else:
            found = "word"
        raise ScriptError(self.line, found=found, expecting=expecting)

    # -- lists and pipelines ------------------------------------------------------------------

    def commands(self, until: frozenset[str], *, needed: bool = False, line: bool = False) -> List:
        """Commands up to one of these words, a `)`, a `;;` or the end; or up to the end of a line."""
        items: list[Item] = []
        expecting = next(iter(until)) if len(until) == 1 else "fi" if "fi" in until else ""
        self.deeper()
        while True:
            self.newlines()
            if self.at >= len(self.source) or self.peek() == ")" or self.ahead(";;") or self.ahead(";&"):
                break
            word = self.reserved()
            if word in CLOSERS:
                if word not in until:
                    self.unexpected(expecting if len(until) == 1 else "")
                break
            command = self.and_or()
            self.blanks()
            background = self.peek() == "&" and not self.ahead("&&")
            items.append(Item(command, background))
            if background or (self.peek() == ";" and not self.ahead(";;") and not self.ahead(";&")):
                self.at += 1
            elif self.peek() != "\n":
                break
            self.blanks()
            if line and self.peek() == "\n":
                self.newline()
                break
        self.depth -= 1
        if needed and not items:
            self.unexpected(expecting if self.at >= len(self.source) else "")
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
            if self.peek() != "|" or self.ahead("||"):
                return Pipeline(tuple(commands), negated)
            self.at += 1
            if self.extended and self.peek() == "&":
                self.at += 1
                commands[-1] = Redirected(commands[-1], (Redirect(2, ">&", (Text("1"),)),))
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
            compound = self.counting() if self.at_counting() else self.iteration()
        elif word == "case":
            compound = self.selection()
        elif word == "{":
            self.at += 1
            body = self.commands(frozenset({"}"}), needed=True)
            self.expect("}")
            compound = Group(body)
        elif (
            self.extended and self.ahead("[[") and self.source[self.at + 2 : self.at + 3] in (" ", "\t", "\n")
        ):
            compound = self.check()
        elif self.extended and self.ahead("((") and (calculation := self.calculation()) is not None:
            compound = calculation
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
        elif _CALL.match(self.source, self.at):
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
        arms: list[tuple[tuple[Word, ...], List, str]] = []
        while True:
            self.newlines()
            if self.reserved() == "esac":
                self.at += 4
                return Case(subject, tuple(arms))
            if self.at >= len(self.source):
                self.unexpected(")")
            if self.peek() == "(":
                self.at += 1
            patterns = [self.pattern()]
            while self.peek() == "|":
                self.at += 1
                patterns.append(self.pattern())
            self.close(")")
            body = self.commands(frozenset({"esac"}))
            self.newlines()
            ending = next((sign for sign in (";;&", ";;", ";&") if self.ahead(sign)), "")
            if self.at >= len(self.source):
                self.unexpected(";;")
            self.at += len(ending)
            arms.append((tuple(patterns), body, ending or ";;"))

    def pattern(self) -> Word:
        self.blanks()
        word = self.word()
        self.blanks()
        if word is None:
            self.unexpected()
        return word or ()

    def function(self) -> Function:
        """name() command; in bash and ash also `function name [()] command`."""
        call = _CALL.match(self.source, self.at)
        match = _FUNCTION.match(self.source, self.at)
        if call is not None and match is None:
            self.at = call.end()
            self.blanks()
            if self.peek() != ")":
                self.unexpected(")", plain=True)
            raise ScriptError(self.line, "Bad function name")
        match = match or _NAME.match(self.source, self.at)
        if match is None:
            raise ScriptError(self.line, "Bad function name")
        self.at = match.end()
        self.newlines()
        return Function(match[match.lastindex or 0], self.command())

    def simple(self) -> Simple:
        line = self.line
        assignments: list[Assignment] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            self.blanks()
            redirect = self.redirect()
            if redirect is not None:
                redirects.append(redirect)
                continue
            assignment = self.assignment() if not words or self.declares(words) else None
            if assignment is not None:
                if words:
                    words.append((Text("\0", quoted=True), Text(str(len(assignments)))))
                assignments.append(assignment)
                continue
            word = self.word()
            if word is None:
                break
            words.extend(self.braces(word))
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
