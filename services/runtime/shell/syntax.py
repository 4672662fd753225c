"""The tree that a shell script is. Names follow POSIX' grammar."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """$name, ${name:-word} and its kin; `length` is ${#name}."""

    name: str
    operator: str = ""
    word: Word | None = None
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Substitution:
    """$(…) or `…`."""

    body: List
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """$((…))."""

    word: Word
    quoted: bool = False


Part = Text | Parameter | Substitution | Arithmetic
Word = tuple[Part, ...]


@dataclass(slots=True)
class Redirect:
    """`fd operator target`. For << the target is the text itself, known once its line has ended."""

    fd: int
    operator: str
    target: Word


@dataclass(frozen=True, slots=True)
class Simple:
    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]
    line: int


@dataclass(frozen=True, slots=True)
class If:
    arms: tuple[tuple[List, List], ...]
    otherwise: List


@dataclass(frozen=True, slots=True)
class While:
    condition: List
    body: List
    until: bool


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[Word, ...] | None  # None: the positional parameters
    body: List


@dataclass(frozen=True, slots=True)
class Case:
    word: Word
    arms: tuple[tuple[tuple[Word, ...], List], ...]


@dataclass(frozen=True, slots=True)
class Group:
    body: List


@dataclass(frozen=True, slots=True)
class Subshell:
    body: List


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    body: Command


@dataclass(frozen=True, slots=True)
class Redirected:
    """A compound command with redirections of its own."""

    command: Command
    redirects: tuple[Redirect, ...]


Command = Simple | If | While | For | Case | Group | Subshell | Function | Redirected


@dataclass(frozen=True, slots=True)
class Pipeline:
    commands: tuple[Command, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class AndOr:
    first: Pipeline
    rest: tuple[tuple[str, Pipeline], ...]  # ("&&" or "||", pipeline)


@dataclass(frozen=True, slots=True)
class Item:
    command: AndOr
    background: bool


List = tuple[Item, ...]


class ScriptError(Exception):
    """A syntax error, in dash's words."""

    def __init__(self, line: int, message: str, *, incomplete: bool = False) -> None:
        super().__init__(message)
        self.line = line
        self.incomplete = incomplete  # more input could still make it right
