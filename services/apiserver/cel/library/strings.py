"""cel-go's extended strings, and Kubernetes' regular expressions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.cel import patterns, values
from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.library.standard import shown
from services.apiserver.cel.values import Duration

STRINGS = Library()
FORMATTED_LENGTH_MAX = 1 << 20


def _traversed(factor: float) -> Callable[[tuple[Any, ...], Any], int]:
    return lambda args, result: max(1, math.ceil(values.size_of(args[0]) * factor))


STRINGS.costs |= {name: _traversed(0.1) for name in ("lowerAscii", "upperAscii", "substring", "trim")}
STRINGS.costs |= {name: _traversed(0.2) for name in ("split", "join")}


def _bounded(length: int) -> None:
    """What is built out of many copies of one text can be far longer than its cost says."""
    if length > FORMATTED_LENGTH_MAX:
        raise EvaluationError("the resulting string is too long")


@STRINGS.member("charAt", "string, int -> string")
def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise EvaluationError(f"index out of range: {at}")
    return text[at : at + 1]


@STRINGS.member("indexOf", "string, string -> int", "string, string, int -> int")
def _index_of(text: str, part: str, start: int = 0) -> int:
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    return text.find(part, start)


@STRINGS.member("lastIndexOf", "string, string -> int", "string, string, int -> int")
def _last_index_of(text: str, part: str, last: int | None = None) -> int:
    if last is not None and not 0 <= last <= len(text):
        raise EvaluationError(f"index out of range: {last}")
    return text.rfind(part) if last is None else text.rfind(part, 0, last + len(part))


@STRINGS.member("join", "list<string> -> string", "list<string>, string -> string")
def _join(parts: list[str], separator: str = "") -> str:
    if not all(isinstance(each, str) for each in parts):
        raise EvaluationError(values.NO_OVERLOAD)
    _bounded(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


@STRINGS.member("lowerAscii", "string -> string")
def _lower(text: str) -> str:
    return text.lower() if text.isascii() else re.sub("[A-Z]+", lambda found: found[0].lower(), text)


@STRINGS.member("upperAscii", "string -> string")
def _upper(text: str) -> str:
    return text.upper() if text.isascii() else re.sub("[a-z]+", lambda found: found[0].upper(), text)


@STRINGS.member("replace", "string, string, string -> string", "string, string, string, int -> string")
def _replace(text: str, old: str, new: str, times: int = -1) -> str:
    count = text.count(old) if times < 0 else min(times, text.count(old))
    _bounded(len(text) + count * max(0, len(new) - len(old)))
    return text.replace(old, new, times)


STRINGS.costs["replace"] = _traversed(0.2)


@STRINGS.member("split", "string, string -> list<string>", "string, string, int -> list<string>")
def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if separator:
        return text.split(separator, limit - 1 if limit > 0 else -1)
    letters = list(text)
    return (
        letters
        if limit < 0 or limit >= len(letters)
        else [*letters[: limit - 1], "".join(letters[limit - 1 :])]
    )


@STRINGS.member("substring", "string, int -> string", "string, int, int -> string")
def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    if not 0 <= stop <= len(text):
        raise EvaluationError(f"index out of range: {stop}")
    if start > stop:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {stop}")
    return text[start:stop]


STRINGS.member("trim", "string -> string")(str.strip)


@STRINGS.function("strings.quote", "string -> string")
def _quote(text: str) -> str:
    escapes = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
    return '"' + "".join(escapes.get(c, f"\\{c}" if c in '\\"' else c) for c in text) + '"'


# -- format --------------------------------------------------------------------------------------

_CLAUSE = re.compile(r"%(?:\.(\d+))?(.)?", re.DOTALL)


@STRINGS.member("format", "string, list<dyn> -> string")
def _format(text: str, given: list[Any]) -> str:
    out: list[str] = []
    at = used = length = 0
    for clause in _CLAUSE.finditer(text):
        out.append(text[at : clause.start()])
        at, verb = clause.end(), clause[2]
        if verb == "%":
            out.append("%")
            continue
        if verb is None or verb not in _VERBS:
            raise EvaluationError(
                f'could not parse formatting clause: unrecognized formatting clause "{verb or ""}"'
            )
        if used >= len(given):
            raise EvaluationError(f"index {used} out of range")
        out.append(_VERBS[verb](given[used], int(clause[1]) if clause[1] else 6))
        used, length = used + 1, length + len(out[-1])
        _bounded(length)
    out.append(text[at:])
    return "".join(out)


def _as_text(value: Any, precision: int = 6) -> str:
    if isinstance(value, str):
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_inner_text, value))}]"
    if isinstance(value, dict):
        pairs = sorted((_inner_text(key), _inner_text(each)) for key, each in value.items())
        return "{" + ", ".join(f"{key}:{each}" for key, each in pairs) + "}"
    if isinstance(value, bool | int | float | bytes | datetime | Duration):
        return str(shown(value))
    return str(value)


def _inner_text(value: Any) -> str:
    return _quote(value) if isinstance(value, str) else _as_text(value)


def _number(value: Any, verb: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = "integers" if verb == "d" else "doubles"
        raise EvaluationError(
            f"error during formatting: {'decimal' if verb == 'd' else 'fixed-point'} clause can only be used"
            f" on {what}, was given {values.type_of(value)}"
        )
    return value


def _hex(value: Any, upper: bool) -> str:
    if isinstance(value, str | bytes):
        found = (value.encode() if isinstance(value, str) else value).hex()
    else:
        found = f"{_number(value, 'd'):x}"
    return found.upper() if upper else found


_VERBS: dict[str, Callable[[Any, int], str]] = {
    "s": _as_text,
    "d": lambda value, precision: str(_number(value, "d")),
    "f": lambda value, precision: f"{float(_number(value, 'f')):.{min(precision, 100)}f}",
    "e": lambda value, precision: f"{float(_number(value, 'e')):.{min(precision, 100)}e}",
    "x": lambda value, precision: _hex(value, False),
    "X": lambda value, precision: _hex(value, True),
    "o": lambda value, precision: f"{_number(value, 'd'):o}",
    "b": lambda value, precision: f"{int(_number(value, 'd')):b}",
}

# -- regular expressions -------------------------------------------------------------------------


@STRINGS.member("find", "string, string -> string")
def _find(text: str, pattern: str) -> str:
    found = patterns.found(text, pattern, 1)
    return found[0] if found else ""


@STRINGS.member("findAll", "string, string -> list<string>", "string, string, int -> list<string>")
def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    return patterns.found(text, pattern, limit)


def _searching(args: tuple[Any, ...], result: Any) -> int:
    return math.ceil((1 + len(args[0])) * 0.1) * math.ceil(len(args[1]) * 0.25)


STRINGS.costs |= {"find": _searching, "findAll": _searching}


@STRINGS.function("jsonpatch.escapeKey", "string -> string")
def _escape_key(key: str) -> str:
    """A key as a part of a JSON pointer; only mutations need it, and so has nobody else a use for it."""
    return key.replace("~", "~0").replace("/", "~1")
