"""YAML exactly as kubectl writes it: sorted keys, unindented lists, go-yaml's quoting and folding.

Plain where YAML 1.1 would read the same string back, double quotes where it would read something
else (`"true"`, `"1"`), single quotes where only the punctuation is in the way, `|` for lines.
Only what JSON can hold is written. Upstream: sigs.k8s.io/yaml over go-yaml v2.
"""

from __future__ import annotations

import re
from typing import Any

WIDTH_MAX = 80  # go-yaml folds a scalar at the first space behind this column
_SAFE = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
# What YAML 1.1 takes for something else than a string.
_WORDS = frozenset(
    (
        *("y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO"),
        *("on", "On", "ON", "off", "Off", "OFF"),
        *("true", "True", "TRUE", "false", "False", "FALSE", "~", "null", "Null", "NULL", "<<"),
        *(".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF"),
        *("+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"),
    )
)
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_TIMESTAMP = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([Tt ]\d{1,2}:\d{1,2}:\d{1,2}(\.\d+)?(Z|[-+]\d\d:\d\d)?)?")
_UNPRINTABLE = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_INDICATORS = frozenset(",?[]{}#&*!|>'\"%@`")
_ESCAPES = {
    "\0": "0",
    "\a": "a",
    "\b": "b",
    "\t": "t",
    "\n": "n",
    "\v": "v",
    "\f": "f",
    "\r": "r",
    "\x1b": "e",
    "\x85": "N",
    "\u2028": "L",
    "\u2029": "P",
}


def dump(value: Any) -> str:
    """The document of a value, newline included."""
    lines: list[str] = []
    if isinstance(value, dict) and value:
        _mapping(value, 0, lines, "")
    elif isinstance(value, list) and value:
        _sequence(value, 0, lines, "")
    else:
        return _scalar(value, 0, 0) + "\n"
    return "\n".join(lines) + "\n"


def _mapping(value: dict[str, Any], indent: int, lines: list[str], first: str) -> None:
    """`first` is what the first line starts with instead of its indentation (`- `)."""
    prefix = first or " " * indent
    for key in sorted(value, key=_natural):
        head = f"{prefix}{_scalar(key, 0, 0, simple_key=True)}:"
        item = value[key]
        if isinstance(item, dict) and item:
            lines.append(head)
            _mapping(item, indent + 2, lines, "")
        elif isinstance(item, list) and item:
            lines.append(head)
            _sequence(item, indent, lines, "")
        else:
            lines.append(f"{head} {_scalar(item, indent + 2, len(head) + 1)}")
        prefix = " " * indent


def _sequence(value: list[Any], indent: int, lines: list[str], first: str) -> None:
    prefix = first or " " * indent
    for item in value:
        head = f"{prefix}- "
        if isinstance(item, dict) and item:
            _mapping(item, indent + 2, lines, head)
        elif isinstance(item, list) and item:
            _sequence(item, indent + 2, lines, head)
        else:
            lines.append(head + _scalar(item, indent + 2, len(head)))
        prefix = " " * indent


def _natural(key: str) -> list[tuple[int, int, str]]:
    """go-yaml's order of keys: punctuation before digits before letters, and a2 before a10."""
    parts: list[tuple[int, int, str]] = []
    for piece in re.findall(r"[0-9]+|.", key, re.DOTALL):
        if piece[0] in "0123456789":
            parts.append((1, int(piece), piece))
        else:
            parts.append((2 if piece.isalpha() else 0, 0, piece))
    return parts


def _scalar(value: Any, indent: int, column: int, *, simple_key: bool = False) -> str:
    if isinstance(value, str):
        if _SAFE.fullmatch(value) and value not in _WORDS:
            return value
        return _string(value, indent, column, simple_key)
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return _float(value) if isinstance(value, float) else str(value)


def _float(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)


def _resolves_to_string(text: str) -> bool:
    """Whether YAML 1.1 reads the bare text as a string."""
    if text == "" or text in _WORDS:
        return False
    if text[0] in "0123456789+-.":
        plain = text.replace("_", "")
        if _INTEGER.fullmatch(plain) or _FLOAT.fullmatch(plain) or _TIMESTAMP.fullmatch(text):
            return False
        return not (":" in text and _SEXAGESIMAL.fullmatch(text))
    return True


def _string(text: str, indent: int, column: int, simple_key: bool) -> str:
    special = bool(_UNPRINTABLE.search(text))
    if "\n" in text:
        space_break = " \n" in text
        if special or space_break or text.endswith(" ") or simple_key:
            return _double(text, indent, column, fold=not simple_key)
        return _literal(text, indent)
    if not _resolves_to_string(text) or special:
        return _double(text, indent, column, fold=not simple_key)
    if _plain_allowed(text):
        return text if simple_key else _fold(text, indent, column, 0)
    return (
        "'"
        + (
            _fold(text.replace("'", "''"), indent, column + 1, 1)
            if not simple_key
            else text.replace("'", "''")
        )
        + "'"
    )


def _plain_allowed(text: str) -> bool:
    if text[0] == " " or text[-1] == " " or text[0] in _INDICATORS or text.startswith(("---", "...")):
        return False
    if text[0] in "-?:" and (len(text) == 1 or text[1] == " "):
        return False
    return not (": " in text or text.endswith(":") or " #" in text)


def _fold(text: str, indent: int, column: int, edge: int) -> str:
    """Breaks at single spaces behind the width; `edge` keeps the first and last letters unbroken."""
    if column + len(text) <= WIDTH_MAX:
        return text
    parts: list[str] = []
    last, spaces = len(text) - 1, False
    for position, letter in enumerate(text):
        if letter == " ":
            follows = position < last and text[position + 1] == " "
            inner = edge <= position <= last - edge
            if not spaces and column > WIDTH_MAX and inner and not follows:
                parts.append("\n" + " " * indent)
                column = indent
            else:
                parts.append(letter)
                column += 1
            spaces = True
        else:
            parts.append(letter)
            column += 1
            spaces = False
    return "".join(parts)


def _double(text: str, indent: int, column: int, *, fold: bool) -> str:
    parts, column, spaces, last = ['"'], column + 1, False, len(text) - 1
    for position, letter in enumerate(text):
        if letter == " ":
            if fold and not spaces and column > WIDTH_MAX and 0 < position < last:
                parts.append("\n" + " " * indent)
                column = indent
                if text[position + 1] == " ":
                    parts.append("\\")
                    column += 1
            else:
                parts.append(letter)
                column += 1
            spaces = True
            continue
        escaped = _escape(letter)
        parts.append(escaped)
        column += len(escaped)
        spaces = False
    return "".join(parts) + '"'


def _escape(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter != "\n" and not _UNPRINTABLE.match(letter):
        return letter
    if letter in _ESCAPES:
        return "\\" + _ESCAPES[letter]
    code = ord(letter)
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _literal(text: str, indent: int) -> str:
    hint = "2" if text[0] in " \n" else ""
    if not text.endswith("\n"):
        chomp = "-"
    else:
        chomp = "+" if text.endswith("\n\n") or text == "\n" else ""
    body = text[:-1] if text.endswith("\n") else text
    pad = " " * indent
    return f"|{hint}{chomp}\n" + "\n".join(pad + line if line else "" for line in body.split("\n"))
