"""From awk's text to tokens. What a slash means depends on what stands before it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<blank>[ \t\r]+|\\\n|#[^\n]*)|(?P<newline>\n)"
    r"|(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<operator>\*\*=|\*\*|\+\+|--|\+=|-=|\*=|/=|%=|\^=|==|<=|>=|!=|!~|&&|\|\||>>"
    r"|[-+*/%^!<>|?:~$=,;(){}\[\]])"
)
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"', re.DOTALL)
_REGEX = re.compile(r"/((?:[^/\\\n\[]|\\.|\[\^?\]?(?:\[:\w+:\]|[^\]\n])*\])*)/")
_ESCAPE = re.compile(r"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)", re.DOTALL)
_LETTERS = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "\\": "\\",
    '"': '"',
    "/": "/",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
}
KEYWORDS = frozenset(
    {
        "BEGIN",
        "END",
        "function",
        "func",
        "if",
        "else",
        "while",
        "for",
        "do",
        "break",
        "continue",
        "next",
        "nextfile",
        "exit",
        "return",
        "delete",
        "in",
        "getline",
        "print",
        "printf",
    }
)
BUILTINS = frozenset(
    {
        "length",
        "substr",
        "index",
        "split",
        "sub",
        "gsub",
        "match",
        "sprintf",
        "sin",
        "cos",
        "atan2",
        "exp",
        "log",
        "sqrt",
        "int",
        "rand",
        "srand",
        "tolower",
        "toupper",
        "system",
        "close",
        "fflush",
        "strftime",
        "systime",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
        "compl",
    }
)


class BadProgram(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    line: int
    glued: bool = False  # a parenthesis follows at once


def unescaped(raw: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "01234567":
            return chr(int(code, 8))
        if code[0] == "x" and len(code) > 1:
            return chr(int(code[1:], 16))
        return _LETTERS.get(code, "\\" + code)

    return _ESCAPE.sub(one, raw)


def tokens(source: str) -> list[Token]:
    found: list[Token] = []
    at, line = 0, 1
    while at < len(source):
        last = found[-1] if found else None
        value_before = last is not None and (
            last.kind in ("number", "string", "regex")
            or (last.kind == "name" and last.text not in KEYWORDS)
            or last.text in (")", "]", "$", "++", "--")
        )
        if source[at] == '"':
            match = _STRING.match(source, at)
            if match is None:
                raise BadProgram("Unexpected end of string", line)
            found.append(Token("string", unescaped(match[1]), line))
        elif source[at] == "/" and not value_before:
            match = _REGEX.match(source, at)
            if match is None:
                raise BadProgram("Unexpected end of string", line)
            found.append(Token("regex", match[1].replace("\\/", "/").replace('\\"', '"'), line))
        else:
            match = _TOKEN.match(source, at)
            if match is None:
                raise BadProgram("Unexpected token", line)
            kind = match.lastgroup or ""
            if kind != "blank":
                found.append(Token(kind, match[0], line, source.startswith("(", match.end())))
        line += match[0].count("\n")
        at = match.end()
    found.append(Token("end", "", line))
    return found
