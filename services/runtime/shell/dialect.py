"""Which shell this is: Debian's dash, busybox' ash or bash; and how each words its errors.

The language of dash is the base; ash adds some words of bash, bash adds the rest. Nothing here runs.
"""

from __future__ import annotations

from services.runtime.dialect import Dialect
from services.runtime.filesystem import Filesystem
from services.runtime.shell.syntax import ScriptError


def dialect_of(name: str, filesystem: Filesystem) -> Dialect:
    """What a shell called so is in this image."""
    called = name.rpartition("/")[2].lstrip("-")
    if called in ("bash", "rbash"):
        return Dialect.BASH
    return Dialect.ASH if filesystem.exists("/bin/busybox") and called != "dash" else Dialect.DASH


def syntax_error(dialect: Dialect, name: str, source: str, error: ScriptError, *, inner: str = "") -> str:
    """All that the shell says, in one or two lines; `inner` is `eval` where that parsed it."""
    expecting = f' (expecting "{error.expecting}")' if error.expecting else ""
    if dialect is Dialect.ASH:
        words = error.message[:1].lower() + error.message[1:]
        words = words.replace("missing '}'", "bad substitution") if error.message else ""
        return f"{name}: syntax error: {words or f'unexpected {error.found}{expecting}'}"
    if dialect is Dialect.DASH:
        where = f"{inner}: " if inner else ""
        words = error.message or f"{error.found} unexpected{expecting}"
        return f"{name}: {error.line}: {where}Syntax error: {words}"
    where = f"{name}: {inner or '-c'}: line "
    if error.message == "Unterminated quoted string":
        # The sign is the first that stands alone.
        sign = '"' if source.count('"') % 2 else "'"
        return f"{where}{error.line}: unexpected EOF while looking for matching `{sign}'"
    if error.found == "end of file":
        return f"{where}{source.count(chr(10)) + 2}: syntax error: unexpected end of file"
    if error.found:
        token = error.found.strip('"')
        line = source.split("\n")[error.line - 1] if error.line <= source.count("\n") + 1 else ""
        near = "newline" if token == "newline" else token
        return (
            f"{where}{error.line}: syntax error near unexpected token `{near}'\n{where}{error.line}: `{line}'"
        )
    return f"{where}{error.line}: {error.message}"


SIGNAL_WORDS = {
    1: "Hangup", 3: "Quit", 4: "Illegal instruction", 5: "Trace/breakpoint trap", 6: "Aborted",
    7: "Bus error", 8: "Floating point exception", 9: "Killed", 10: "User defined signal 1",
    11: "Segmentation fault", 12: "User defined signal 2", 14: "Alarm clock", 15: "Terminated",
}  # fmt: skip

__all__ = ["SIGNAL_WORDS", "Dialect", "dialect_of", "syntax_error"]
