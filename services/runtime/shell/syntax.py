"""The tree that a shell script is. Names follow POSIX' grammar."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """$name, ${name:-word} and its kin; `length` is ${#name}, `keys` ${!name[@]}, `indirect` ${!name}.

    `bad` is what makes no sense between the braces: it is said when the word is expanded, not before.
    """

    name: str
    operator: str = ""
    word: Word | None = None
    quoted: bool = False
    subscript: Word | None = None  # bash: ${name[subscript]}


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


@dataclass(frozen=True, slots=True)
class ProcessSubstitution:
    """<(…) and >(…): the name of a stream to or from the commands."""

    body: List
    reads: bool  # whether we read what the commands write
    quoted: bool = False


Part = Text | Parameter | Substitution | Arithmetic | ProcessSubstitution
Word = tuple[Part, ...]


@dataclass(slots=True)
class Redirect:
    """`fd operator target`. For << the target is the text itself, known once its line has ended."""

    fd: int
    operator: str
    target: Word


@dataclass(frozen=True, slots=True)
class Assignment:
    """name=value; bash's name+=value, name[subscript]=value and name=(elements…)."""

    name: str
    value: Word = ()
    append: bool = False
    subscript: Word | None = None
    elements: tuple[tuple[Word | None, Word], ...] | None = None  # (subscript, value) of an array


@dataclass(frozen=True, slots=True)
class Simple:
    assignments: tuple[Assignment, ...]
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
class Counting:
    """for ((first; condition; step)); a condition that is not there holds."""

    first: Word
    condition: Word
    step: Word
    body: List


@dataclass(frozen=True, slots=True)
class Case:
    word: Word
    arms: tuple[tuple[tuple[Word, ...], List, str], ...]  # patterns, commands, ";;" or ";&" or ";;&"


@dataclass(frozen=True, slots=True)
class Check:
    """A node of [[ … ]]: `-a` and `-o` join two checks, `!` turns one; others have words."""

    operator: str
    words: tuple[Word, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Calculation:
    """((…)) as a command."""

    word: Word


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


Command = (
    Simple
    | If
    | While
    | For
    | Counting
    | Case
    | Check
    | Calculation
    | Group
    | Subshell
    | Function
    | Redirected
)


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
    """A syntax error. Either a message, or what was found where something else was expected."""

    def __init__(
        self,
        line: int,
        message: str = "",
        *,
        incomplete: bool = False,
        found: str = "",
        expecting: str = "",
        done: List = (),
    ) -> None:
        super().__init__(message or f"{found} unexpected")
        self.line = line
        self.message = message
        self.found, self.expecting = found, expecting
        self.done = done  # the lines before it, which are whole
        self.incomplete = incomplete  # more input could still make it right
