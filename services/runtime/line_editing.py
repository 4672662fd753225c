"""One line of typing, edited as readline and busybox do: arrows, history, Ctrl-A/E/U/K/W/Y/L, completion.

Pure but for what it shows: keys go in one byte at a time, and what comes out is a finished line, an
interrupt, the end of the input, or nothing yet. Bounded in length; keys it does not know are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

LINE_CHARACTERS_MAX = 4096
HISTORY_MAX = 500
SEQUENCE_BYTES_MAX = 16
CANDIDATES_MAX = 200

# What stands before the cursor → where the word to complete begins, and what it may become.
Complete = Callable[[str], tuple[int, Sequence[str]]]


class Key(Enum):
    """What a key did beyond editing."""

    LINE = 1
    INTERRUPT = 2
    END = 3


class LineEditor:
    def __init__(
        self, show: Callable[[bytes], None], prompt: bytes, history: Sequence[str], complete: Complete
    ) -> None:
        self._show, self.prompt, self._history, self._complete = show, prompt, list(history), complete
        self._line: list[str] = []
        self._at = 0  # where the cursor is
        self._kept = ""  # what Ctrl-U, Ctrl-K and Ctrl-W took, for Ctrl-Y
        self._shown = len(self._history)  # which line of the history is on the screen
        self._own = ""  # the line typed before looking at the history
        self._bytes = b""  # of a character or a sequence that is not yet whole
        self._tabs = 0

    @property
    def text(self) -> str:
        return "".join(self._line)

    def clear(self) -> None:
        self._line, self._at, self._bytes = [], 0, b""
        self._shown, self._own = len(self._history), ""

    def key(self, code: int) -> Key | None:
        byte = bytes((code,))
        self._tabs = self._tabs if byte == b"\t" else 0
        if self._bytes.startswith(b"\x1b"):
            self._sequence(byte)
            return None
        if byte == b"\x1b":
            self._bytes = byte
            return None
        if code >= 0x80 or self._bytes:
            self._multibyte(byte)
            return None
        if byte in b"\r\n":
            self._show(b"\r\n")
            return Key.LINE
        if byte == b"\x03":
            self.clear()
            return Key.INTERRUPT
        if byte == b"\x04":
            if not self._line:
                return Key.END
            self._remove(self._at, self._at + 1)
        elif byte == b"\t":
            self._tab()
        elif byte in _CONTROLS:
            _CONTROLS[byte](self)
        elif code >= 32:
            self._insert(byte.decode())
        return None

    # -- bytes to characters ------------------------------------------------------------------

    def _multibyte(self, byte: bytes) -> None:
        self._bytes += byte
        try:
            text = self._bytes.decode()
        except UnicodeDecodeError:
            if len(self._bytes) >= 4:
                self._bytes = b""
            return
        self._bytes = b""
        self._insert(text)

    def _sequence(self, byte: bytes) -> None:
        self._bytes += byte
        whole = self._bytes[1:]
        if whole in (b"[", b"O"):
            return
        if whole[:1] == b"[" and not 0x40 <= byte[0] <= 0x7E and len(whole) < SEQUENCE_BYTES_MAX:
            return
        self._bytes = b""
        action = _SEQUENCES.get(whole)
        if action is not None:
            action(self)

    # -- the line -----------------------------------------------------------------------------

    def _insert(self, text: str) -> None:
        if len(self._line) + len(text) > LINE_CHARACTERS_MAX:
            return
        self._line[self._at : self._at] = text
        self._at += len(text)
        rest = "".join(self._line[self._at :])
        self._show((text + rest).encode("utf-8", "replace") + b"\b" * len(rest))

    def _remove(self, start: int, end: int) -> None:
        start, end = max(start, 0), min(end, len(self._line))
        if start >= end:
            return
        gone = end - start
        self._move(start)
        del self._line[start:end]
        rest = "".join(self._line[start:])
        self._show(rest.encode("utf-8", "replace") + b" " * gone + b"\b" * (len(rest) + gone))

    def backspace(self) -> None:
        if not self._at:
            return
        if self._at == len(self._line):
            self._line.pop()
            self._at -= 1
            self._show(b"\b \b")
        else:
            self._remove(self._at - 1, self._at)

    def delete(self) -> None:
        self._remove(self._at, self._at + 1)

    def _move(self, to: int) -> None:
        to = min(max(to, 0), len(self._line))
        if to < self._at:
            self._show(b"\b" * (self._at - to))
        elif to > self._at:
            self._show("".join(self._line[self._at : to]).encode("utf-8", "replace"))
        self._at = to

    def left(self) -> None:
        self._move(self._at - 1)

    def right(self) -> None:
        self._move(self._at + 1)

    def home(self) -> None:
        self._move(0)

    def end(self) -> None:
        self._move(len(self._line))

    def _word_start(self) -> int:
        at = self._at
        while at and self._line[at - 1] == " ":
            at -= 1
        while at and self._line[at - 1] != " ":
            at -= 1
        return at

    def _word_end(self) -> int:
        at = self._at
        while at < len(self._line) and self._line[at] == " ":
            at += 1
        while at < len(self._line) and self._line[at] != " ":
            at += 1
        return at

    def word_left(self) -> None:
        self._move(self._word_start())

    def word_right(self) -> None:
        self._move(self._word_end())

    def _cut(self, start: int, end: int) -> None:
        self._kept = "".join(self._line[start:end])
        self._remove(start, end)

    def cut_word(self) -> None:
        self._cut(self._word_start(), self._at)

    def cut_word_right(self) -> None:
        self._cut(self._at, self._word_end())

    def cut_before(self) -> None:
        self._cut(0, self._at)

    def cut_after(self) -> None:
        self._cut(self._at, len(self._line))

    def put_back(self) -> None:
        self._insert(self._kept)

    def swap(self) -> None:
        if len(self._line) < 2 or not self._at:
            return
        at = min(self._at, len(self._line) - 1)
        pair = self._line[at] + self._line[at - 1]
        self._remove(at - 1, at + 1)
        self._insert(pair)

    def redraw(self) -> None:
        """Ctrl-L: the screen is wiped and the line shown again."""
        rest = len(self._line) - self._at
        self._show(b"\x1b[H\x1b[J" + self.prompt + self.text.encode("utf-8", "replace") + b"\b" * rest)

    # -- history and completion ---------------------------------------------------------------

    def older(self) -> None:
        self._recall(self._shown - 1)

    def newer(self) -> None:
        self._recall(self._shown + 1)

    def _recall(self, which: int) -> None:
        if not 0 <= which <= len(self._history):
            return
        if self._shown == len(self._history):
            self._own = self.text
        self._shown = which
        line = self._own if which == len(self._history) else self._history[which]
        self.home()
        self._line, self._at = list(line), len(line)
        self._show(b"\x1b[K" + line.encode("utf-8", "replace"))

    def _tab(self) -> None:
        self._tabs += 1
        before = "".join(self._line[: self._at])
        start, candidates = self._complete(before)
        if not candidates:
            self._show(b"\a")
            return
        common = candidates[0]
        for candidate in candidates[1:]:
            while not candidate.startswith(common):
                common = common[:-1]
        if len(common) > len(before) - start or len(candidates) == 1:
            self._insert(common[len(before) - start :])
            if len(candidates) == 1 and not common.endswith("/"):
                self._insert(" ")
        elif self._tabs > 1:
            names = "  ".join(candidates[:CANDIDATES_MAX]).encode("utf-8", "replace")
            line = self.text.encode("utf-8", "replace")
            self._show(b"\r\n" + names + b"\r\n" + self.prompt + line + b"\b" * (len(self._line) - self._at))
        else:
            self._show(b"\a")


_CONTROLS: dict[bytes, Callable[[LineEditor], None]] = {
    b"\x01": LineEditor.home, b"\x02": LineEditor.left, b"\x05": LineEditor.end, b"\x06": LineEditor.right,
    b"\x08": LineEditor.backspace, b"\x7f": LineEditor.backspace, b"\x0b": LineEditor.cut_after,
    b"\x0c": LineEditor.redraw, b"\x0e": LineEditor.newer, b"\x10": LineEditor.older,
    b"\x14": LineEditor.swap,
    b"\x15": LineEditor.cut_before, b"\x17": LineEditor.cut_word, b"\x19": LineEditor.put_back,
}  # fmt: skip
_SEQUENCES: dict[bytes, Callable[[LineEditor], None]] = {
    b"[A": LineEditor.older, b"[B": LineEditor.newer, b"[C": LineEditor.right, b"[D": LineEditor.left,
    b"OA": LineEditor.older, b"OB": LineEditor.newer, b"OC": LineEditor.right, b"OD": LineEditor.left,
    b"[H": LineEditor.home, b"[F": LineEditor.end, b"OH": LineEditor.home, b"OF": LineEditor.end,
    b"[1~": LineEditor.home, b"[7~": LineEditor.home, b"[4~": LineEditor.end, b"[8~": LineEditor.end,
    b"[3~": LineEditor.delete, b"[1;5C": LineEditor.word_right, b"[1;5D": LineEditor.word_left,
    b"f": LineEditor.word_right, b"b": LineEditor.word_left, b"d": LineEditor.cut_word_right,
    b"\x7f": LineEditor.cut_word,
}  # fmt: skip
