"""kubectl's JSONPath: templates such as `{range .items[*]}{.metadata.name}{"\\n"}{end}`.

Two steps: `parse` makes a tree of the text, `evaluate` walks it over decoded JSON. It follows
upstream's `k8s.io/client-go/util/jsonpath`, which differs from other JSONPaths: text outside of
braces is printed, `range`/`end` loop, keys escape dots as `\\.`, and results are joined by
spaces. Pure. `JsonPathError` carries upstream's message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DEPTH_MAX = 64  # of nested ranges and filters; a person needs three


class JsonPathError(ValueError):
    """A template that cannot be understood, or that does not fit the object."""


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Literal:
    value: Any


@dataclass(frozen=True)
class Field:
    name: str  # empty: the object itself


@dataclass(frozen=True)
class Index:
    """`[start:end:step]`; one element where `end` was not written."""

    start: int | None
    end: int | None
    step: int | None
    single: bool


@dataclass(frozen=True)
class Wildcard:
    pass


@dataclass(frozen=True)
class Recursive:
    pass


@dataclass(frozen=True)
class Alternatives:
    paths: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Filter:
    left: tuple[Node, ...]
    operator: str
    right: tuple[Node, ...]


@dataclass(frozen=True)
class Action:
    """What stands between one pair of braces."""

    nodes: tuple[Node, ...]


@dataclass
class Range:
    path: tuple[Node, ...]
    body: list[Node] = field(default_factory=list)


Node = Text | Literal | Field | Index | Wildcard | Recursive | Alternatives | Filter | Action | Range

_NUMBER = re.compile(r"-?\d{1,18}(\.\d+)?", re.A)
_SLICE = re.compile(r"\s*(-?\d{0,18})\s*(?::\s*(-?\d{0,18})\s*)?(?::\s*(-?\d{0,18})\s*)?", re.A)
_WORD_END = set(" \t\n.[]{}()|,=!<>\"'")
_FILTER = re.compile(r"^(.*?)(==|!=|<=|>=|<|>|=~)(.*)$", re.DOTALL)


def parse(template: str) -> list[Node]:
    """The tree of a whole template. JsonPathError in upstream's words when it is malformed."""
    root: list[Node] = []
    stack: list[list[Node]] = [root]
    position = 0
    while position < len(template):
        brace = template.find("{", position)
        if brace < 0:
            stack[-1].append(Text(template[position:]))
            break
        if brace > position:
            stack[-1].append(Text(template[position:brace]))
        content, position = _braces(template, brace + 1)
        _open_or_close(content, stack)
    if len(stack) > 1:
        raise JsonPathError("unexpected nodes: unclosed range")
    return root


def _open_or_close(content: str, stack: list[list[Node]]) -> None:
    words = content.strip()
    if words == "end":
        if len(stack) == 1:
            raise JsonPathError("not in range, nothing to end")
        stack.pop()
    elif words.startswith("range ") or words == "range":
        if len(stack) > DEPTH_MAX:
            raise JsonPathError("too many nested ranges")
        loop = Range(_path(words.removeprefix("range").strip()))
        stack[-1].append(loop)
        stack.append(loop.body)
    else:
        stack[-1].append(Action(_path(words)))


def _braces(text: str, start: int) -> tuple[str, int]:
    """The content up to the closing brace, which may not stand inside quotes."""
    quote, position = "", start
    while position < len(text):
        letter = text[position]
        if letter == "\\":
            position += 1
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "}":
            return text[start:position], position + 1
        position += 1
    raise JsonPathError("unterminated quoted string" if quote else "unclosed action")


def _path(text: str) -> tuple[Node, ...]:
    nodes: list[Node] = []
    position = 0
    while position < len(text):
        position = _step(text, position, nodes)
    return tuple(nodes)


def _step(text: str, at: int, nodes: list[Node]) -> int:
    letter = text[at]
    if letter in " \t\n$@|":
        return at + 1
    if text.startswith("..", at):
        nodes.append(Recursive())
        # `..[` and `..name` both go on as if after a dot.
        return at + 1 if at + 2 < len(text) and text[at + 2] not in "[." else at + 2
    if letter == ".":
        name, end = _name(text, at + 1)
        if name == "*":
            nodes.append(Wildcard())
        elif name:
            nodes.append(Field(name))
        return end
    if letter == "[":
        content, end = _brackets(text, at + 1)
        nodes.append(_subscript(content))
        return end
    if letter in "\"'":
        value, end = _quoted(text, at)
        nodes.append(Literal(value))
        return end
    return _bare(text, at, nodes)


def _bare(text: str, at: int, nodes: list[Node]) -> int:
    if match := _NUMBER.match(text, at):
        number = match[0]
        nodes.append(Literal(float(number) if "." in number else int(number)))
        return match.end()
    if text[at] == "*":
        nodes.append(Wildcard())
        return at + 1
    name, end = _name(text, at)
    if name in ("true", "false"):
        nodes.append(Literal(name == "true"))
    elif name and not nodes:
        raise JsonPathError(f"unrecognized identifier {name}")
    else:
        raise JsonPathError(f"unrecognized character in action: U+{ord(text[at]):04X} '{text[at]}'")
    return end


def _name(text: str, start: int) -> tuple[str, int]:
    letters: list[str] = []
    position = start
    while position < len(text) and text[position] not in _WORD_END:
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
        letters.append(text[position])
        position += 1
    return "".join(letters), position


def _quoted(text: str, start: int) -> tuple[str, int]:
    quote, letters, position = text[start], [], start + 1
    while position < len(text) and text[position] != quote:
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
            letters.append({"n": "\n", "t": "\t", "r": "\r"}.get(text[position], text[position]))
        else:
            letters.append(text[position])
        position += 1
    if position >= len(text):
        raise JsonPathError("unterminated quoted string")
    return "".join(letters), position + 1


def _brackets(text: str, start: int) -> tuple[str, int]:
    depth, quote, position = 1, "", start
    while position < len(text):
        letter = text[position]
        if letter == "\\":
            position += 1
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "[":
            depth += 1
        elif letter == "]":
            depth -= 1
            if depth == 0:
                return text[start:position], position + 1
        position += 1
    raise JsonPathError("unterminated array")


def _subscript(content: str) -> Node:
    content = content.strip()
    if content.startswith("?"):
        inner = content[1:].strip()
        if not (inner.startswith("(") and inner.endswith(")")):
            raise JsonPathError("unclosed array expect ]")
        return _filter(inner[1:-1])
    if content == "*":
        return Wildcard()
    parts = _split(content)
    if len(parts) > 1:
        return Alternatives(tuple(_member(part) for part in parts))
    if content[:1] in ("'", '"'):
        return Alternatives((_member(content),))
    match = _SLICE.fullmatch(content)
    if match is None:
        raise JsonPathError(f"invalid array index {content}")
    start, end, step = (int(part) if part else None for part in match.groups())
    return Index(start, end, step, single=":" not in content)


def _member(part: str) -> tuple[Node, ...]:
    part = part.strip()
    if part[:1] in ("'", '"'):
        name = part[1:-1]  # as written: a dot divides unless it is escaped
        return _path(name if name.startswith(".") else f".{name}")
    return _path(part) if part.startswith((".", "@", "$")) else (_subscript(part),)


def _split(content: str) -> list[str]:
    parts, quote, start = [], "", 0
    for position, letter in enumerate(content):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == ",":
            parts.append(content[start:position])
            start = position + 1
    return [*parts, content[start:]]


def _filter(text: str) -> Filter:
    match = _FILTER.match(text)
    if match is None:
        return Filter(_path(text.strip()), "exists", ())
    left, operator, right = match.groups()
    if operator == "=~":
        raise JsonPathError("unrecognized filter operator =~")
    return Filter(_path(left.strip()), operator, _path(right.strip()))


@dataclass(frozen=True)
class Evaluator:
    """Walks a tree. Missing fields are an error unless `allow_missing`, as kubectl's outputs do."""

    allow_missing: bool = True

    def values(self, nodes: tuple[Node, ...], value: Any) -> list[Any]:
        found = [value]
        for node in nodes:
            found = self._apply(node, found)
        return found

    def _apply(self, node: Node, values: list[Any]) -> list[Any]:
        match node:
            case Literal(value):
                return [value]
            case Field(name):
                return [hit for value in values for hit in self._field(name, value)]
            case Index():
                return [hit for value in values for hit in self._index(node, value)]
            case Wildcard():
                return [hit for value in values for hit in _elements(value)]
            case Recursive():
                return [hit for value in values for hit in _descend(value)]
            case Alternatives(paths):
                return [hit for value in values for path in paths for hit in self.values(path, value)]
            case Filter():
                return [hit for value in values for hit in _elements(value) if self._holds(node, hit)]
        raise JsonPathError("unexpected node")

    def _field(self, name: str, value: Any) -> list[Any]:
        if isinstance(value, dict):
            if name in value:
                return [value[name]]
        elif value is None:
            return []
        if self.allow_missing:
            return []
        raise JsonPathError(f"{name} is not found")

    def _index(self, node: Index, value: Any) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise JsonPathError("is not array or slice")
        if not node.single:
            return value[slice(node.start, node.end, node.step)]
        position = node.start or 0
        if -len(value) <= position < len(value):
            return [value[position]]
        if self.allow_missing and not value:
            return []
        raise JsonPathError(f"array index out of bounds: index {position}, length {len(value)}")

    def _holds(self, node: Filter, element: Any) -> bool:
        left = self.values(node.left, element)
        if node.operator == "exists":
            return bool(left)
        right = self.values(node.right, element)
        if len(left) != 1 or len(right) != 1:
            return False
        return _compare(left[0], node.operator, right[0])


def _compare(left: Any, operator: str, right: Any) -> bool:
    if isinstance(left, (dict, list)) or isinstance(right, (dict, list)):
        return False
    if type(left) is not type(right) and not (_is_number(left) and _is_number(right)):
        if operator in ("==", "!="):
            return (operator == "==") == (format_value(left) == format_value(right))
        raise JsonPathError("incompatible types for comparison")
    match operator:
        case "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
    return bool(left >= right)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _elements(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else []


def _descend(value: Any) -> Iterator[Any]:
    yield value
    for child in _elements(value):
        if isinstance(child, (dict, list)):
            yield from _descend(child)


def format_value(value: Any) -> str:
    """One result as text: bare scalars, compact JSON of anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return str(value)


def render(nodes: list[Node], value: Any, *, allow_missing: bool = True) -> str:
    """The text that a template makes of an object."""
    evaluator = Evaluator(allow_missing)
    output: list[str] = []
    _render(nodes, value, evaluator, output)
    return "".join(output)


def _render(nodes: list[Node], value: Any, evaluator: Evaluator, output: list[str]) -> None:
    for node in nodes:
        if isinstance(node, Text):
            output.append(node.text)
        elif isinstance(node, Range):
            for hit in evaluator.values(node.path, value):
                _render(node.body, hit, evaluator, output)
        elif isinstance(node, Action):
            output.append(" ".join(format_value(hit) for hit in _results(node, value, evaluator)))


def _results(action: Action, value: Any, evaluator: Evaluator) -> list[Any]:
    return evaluator.values(action.nodes, value)


def find(nodes: list[Node], value: Any, *, allow_missing: bool = True) -> list[Any]:
    """The values that the actions of a template without ranges select, in order."""
    evaluator = Evaluator(allow_missing)
    return [hit for node in nodes if isinstance(node, Action) for hit in evaluator.values(node.nodes, value)]


def relaxed(expression: str) -> str:
    """Lets people write `.spec.x`, `spec.x` or `{spec.x}` for `{.spec.x}`."""
    if not expression:
        return expression
    match = re.fullmatch(r"\{\.?([^{}]+)\}|\.?([^{}]+)", expression)
    if match is None:
        raise JsonPathError(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}'"
            " or '{.name1.name2}'"
        )
    return f"{{.{match[1] or match[2]}}}"
