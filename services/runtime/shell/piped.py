"""A shell whose script comes through a pipe: each command runs as soon as it is whole.

`kubectl run -i`, `exec -i -- sh` and `cat script | sh` come here. Input is read in blocks, as dash does
it; the lines that are there are parsed together, what makes whole commands runs, and the beginning of one
that does not waits for more. A long command is looked at again only when it has doubled, so that no input
costs more than a few times its length. A script ends where its input does, at `exit`, or at what is no
shell at all.
"""

from __future__ import annotations

from typing import NamedTuple

from services.runtime.shell.dialect import Dialect
from services.runtime.shell.interpreter import Shell
from services.runtime.shell.parser import SOURCE_CHARACTERS_MAX, Parser
from services.runtime.shell.syntax import List, ScriptError

BLOCK_BYTES = 8192
PATIENCE_CHARACTERS = 65536  # up to here an unfinished command is looked at with every block
LINES_SHOWN_MAX = 100_000  # numbers of lines in complaints do not go further


class Lines(NamedTuple):
    commands: List
    rest: str  # the beginning of a command, "" when there is none
    line: int  # where that begins


def parse_lines(source: str, dialect: Dialect, line: int = 1) -> Lines:
    """What of `source` is whole. ScriptError when more input could not make it right either."""
    if len(source) > SOURCE_CHARACTERS_MAX:
        raise ScriptError(line, "script too long")
    parser = Parser(source, line, dialect=dialect)
    body: List = ()
    while parser.at < len(source):
        start, first_line = parser.at, parser.line
        try:
            found = parser.line_of_commands()
        except RecursionError:
            raise ScriptError(parser.line, "nested too deep") from None
        except ScriptError as error:
            if not error.incomplete:
                raise
            return Lines(body, source[start:], first_line)
        if parser.unfinished:
            return Lines(body, source[start:], first_line)
        body += found
    return Lines(body, "", parser.line)


async def run_piped(shell: Shell) -> int:
    """Everything that comes on stdin."""
    return await shell.whole(_follow(shell))


async def _follow(shell: Shell) -> None:
    unread, waiting, line, tried = bytearray(), "", 1, 0
    while piece := await shell.process.stdin.read(BLOCK_BYTES):
        unread += piece
        end = _end_of_lines(unread)
        waiting += unread[:end].decode("utf-8", "surrogateescape")
        del unread[:end]
        if len(waiting) + len(unread) > SOURCE_CHARACTERS_MAX:
            break
        if not end or (tried > PATIENCE_CHARACTERS and len(waiting) < 2 * tried):
            continue
        try:
            commands, waiting, line = parse_lines(waiting, shell.dialect, line)
        except ScriptError:
            break  # said below, when what stands before it is done
        tried = len(waiting)
        await shell.commands(commands)
    waiting += unread.decode("utf-8", "surrogateescape")
    if waiting:
        await shell.evaluate("\n" * min(line - 1, LINES_SHOWN_MAX) + waiting)


def _end_of_lines(data: bytearray) -> int:
    """Where the last line ends that the next does not continue."""
    end = data.rfind(b"\n")
    while end > 0 and (end - len(data[:end].rstrip(b"\\"))) % 2:
        end = data.rfind(b"\n", 0, end)
    return end + 1
