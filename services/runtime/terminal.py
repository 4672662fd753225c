"""The line discipline of a pseudo-terminal: what lies between somebody's keyboard and a process.

Typed characters are echoed and gathered into lines (Backspace, Ctrl-U, Ctrl-W edit them); Ctrl-D ends
the input of whoever reads now, Ctrl-C and Ctrl-\\ become signals. A shell that waits for a command has an
editor put in between (line_editing.py), as real ones take the terminal over for that time. What processes
write gets its line ends as a terminal wants them. Upstream concept: the cooked mode of tty(4).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence

from services.runtime.kernel import Future
from services.runtime.line_editing import Complete, Key, LineEditor
from services.runtime.model import SIGINT, SIGQUIT, SIGWINCH
from services.runtime.processes import Process
from services.runtime.streams import Counted

LINE_BYTES_MAX = 4096
LINES_WAITING_MAX = 1000  # typed ahead; more is dropped, as a full terminal beeps
END_OF_INPUT = b""
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n")


def cooked(data: bytes) -> bytes:
    """Output with the line ends of a terminal."""
    return _BARE_NEWLINE.sub(b"\r\n", data)


class Terminal(Counted):
    """The reading side is a stream for processes; `type` is for the keyboard."""

    terminal = True

    def __init__(self, show: Callable[[bytes], None], interrupt: Callable[[int], None]) -> None:
        super().__init__()
        self._show, self._interrupt = show, interrupt
        self._line = bytearray()
        self._lines: deque[bytes] = deque()
        self._arrived: Future[None] | None = None
        self._gone = False
        self._editor: LineEditor | None = None
        self.columns, self.rows = 80, 24

    def edit(self, prompt: bytes, history: Sequence[str], complete: Complete) -> None:
        """The next line is typed into an editor; it ends with the line. What was typed ahead stays."""
        if not self._lines and not self._line:
            self._editor = LineEditor(self._show, prompt, history, complete)

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size; who runs in it is told."""
        self.columns, self.rows = columns, rows
        self._interrupt(SIGWINCH)

    async def read(self, size: int) -> bytes:
        while not self._lines:
            if self._gone:
                return END_OF_INPUT
            self._arrived = self._arrived or Future()
            await self._arrived
        line = self._lines.popleft()
        if len(line) > size:
            self._lines.appendleft(line[size:])
        return line[:size]

    def type(self, data: bytes) -> None:
        for code in data:
            if self._editor is None:
                self._key(bytes((code,)))
            else:
                self._edited(self._editor, code)

    def _edited(self, editor: LineEditor, code: int) -> None:
        outcome = editor.key(code)
        if outcome is Key.INTERRUPT:
            self._show(b"^C\r\n")
            self._interrupt(SIGINT)
        elif outcome is not None:
            self._editor = None
            line = editor.text.encode("utf-8", "surrogateescape")
            self._enter(line + b"\n" if outcome is Key.LINE else END_OF_INPUT)

    def hang_up(self) -> None:
        """Nobody is at the keyboard any more."""
        self._gone = True
        self._wake()

    def _key(self, key: bytes) -> None:
        if key in b"\r\n":
            self._show(b"\r\n")
            self._enter(bytes(self._line) + b"\n")
        elif key == b"\x04":
            self._enter(bytes(self._line))
        elif key in b"\x03\x1c":
            self._line.clear()
            self._show(b"^C\r\n" if key == b"\x03" else b"^\\\r\n")
            self._interrupt(SIGINT if key == b"\x03" else SIGQUIT)
        elif key in b"\x7f\b":
            self._erase(len(self._line) - 1)
        elif key == b"\x15":
            self._erase(0)
        elif key == b"\x17":
            self._erase(len(self._line.rstrip().rpartition(b" ")[0]))
        elif len(self._line) < LINE_BYTES_MAX:
            self._line += key
            self._show(key if key >= b" " or key == b"\t" else b"^" + bytes((key[0] + 64,)))

    def _erase(self, kept: int) -> None:
        gone = self._line[max(kept, 0) :].decode("utf-8", "replace")
        del self._line[max(kept, 0) :]
        self._show(b"\b \b" * len(gone))

    def _enter(self, line: bytes) -> None:
        self._line.clear()
        if len(self._lines) < LINES_WAITING_MAX:
            self._lines.append(line)
        self._wake()

    def _wake(self) -> None:
        arrived, self._arrived = self._arrived, None
        if arrived is not None:
            arrived.set(None)


def signal_family(leader: Process, number: int) -> None:
    """A signal for a process and all that come from it: the foreground of its terminal."""
    table = leader.container.processes.alive
    family = {leader.pid}
    for pid in sorted(table):  # a child's number is above its parent's
        if table[pid].parent in family:
            family.add(pid)
    for pid in sorted(family):  # a shell hears of it before its child's end lets it go on
        if pid in table:
            table[pid].signal(number)
