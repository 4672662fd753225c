"""`-o go-template`: Go's text/template as far as people use it on objects.

Fields, variables, pipelines, if/else, range, with, and the functions that kubectl knows. A missing
field prints `<no value>`. `parse` makes a tree, `render` walks it; TemplateError carries Go's words.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.kubectl.output.custom_columns import go_value

DEPTH_MAX = 100


class TemplateError(ValueError):
    """A template that cannot be read, or that does not fit the object."""


class _Missing:
    """What a field is that is not there."""

    def __bool__(self) -> bool:
        return False


MISSING = _Missing()


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Call:
    """One command of a pipeline: its words."""

    words: tuple[Any, ...]


@dataclass(frozen=True)
class Word:
    kind: str  # "field", "variable", "function", "value", "pipeline"
    value: Any
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    calls: tuple[Call, ...]
    variables: tuple[str, ...] = ()
    assign: bool = False


@dataclass(frozen=True)
class Print:
    pipeline: Pipeline


@dataclass
class Block:
    kind: str  # "if", "range", "with"
    pipeline: Pipeline
    body: list[Any] = field(default_factory=list)
    otherwise: list[Any] = field(default_factory=list)


_TOKEN = re.compile(
    r"""\s+|(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<char>'(?:\\.|[^'\\])')|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<variable>\$\w*(?:\.\w+)*)|(?P<field>(?:\.[A-Za-z_]\w*)+|\.)|(?P<name>\w+)"""
    r"""|(?P<mark>:=|=|\||\(|\)(?:\.\w+)*|,)""",
    re.VERBOSE,
)


def parse(template: str) -> list[Any]:
    root: list[Any] = []
    stack: list[tuple[Block | None, list[Any]]] = [(None, root)]
    position = 0
    while True:
        start = template.find("{{", position)
        if start < 0:
            stack[-1][1].append(Text(template[position:]))
            break
        end = template.find("}}", start)
        if end < 0:
            raise TemplateError(f"template: output:{_line(template, start)}: unclosed action")
        text, action = template[position:start], template[start + 2 : end]
        if action.startswith("- "):
            text, action = text.rstrip(), action[2:]
        stack[-1][1].append(Text(text))
        position = end + 2
        if action.endswith(" -"):
            action = action[:-2]
            while position < len(template) and template[position].isspace():
                position += 1
        _action(action.strip(), stack, _line(template, start))
    if len(stack) > 1:
        raise TemplateError(f"template: output:{_line(template, len(template))}: unexpected EOF")
    return root


def _line(template: str, position: int) -> int:
    return template.count("\n", 0, position) + 1


def _action(action: str, stack: list[tuple[Block | None, list[Any]]], line: int) -> None:
    if action.startswith("/*"):
        return
    keyword, _, rest = action.partition(" ")
    if keyword in ("if", "range", "with"):
        block = Block(keyword, _pipeline(rest, line))
        stack[-1][1].append(block)
        stack.append((block, block.body))
    elif keyword == "else":
        block_or_none, _ = stack.pop()
        if block_or_none is None:
            raise TemplateError(f"template: output:{line}: unexpected {{{{else}}}}")
        stack.append((block_or_none, block_or_none.otherwise))
        if rest:
            raise TemplateError(
                f"template: output:{line}: else {rest.partition(' ')[0]} is not supported here"
            )
    elif action == "end":
        if len(stack) == 1:
            raise TemplateError(f"template: output:{line}: unexpected {{{{end}}}}")
        stack.pop()
    else:
        stack[-1][1].append(Print(_pipeline(action, line)))


def _tokens(text: str, line: int) -> list[tuple[str, str]]:
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise TemplateError(f"template: output:{line}: unexpected {text[position]!r} in command")
        if match.lastgroup:
            found.append((match.lastgroup, match[0]))
        position = match.end()
    return found


def _pipeline(text: str, line: int) -> Pipeline:
    tokens = _tokens(text, line)
    variables: list[str] = []
    assign = False
    index = next((i for i, (_, word) in enumerate(tokens) if word in (":=", "=")), -1)
    if index > 0 and all(kind == "variable" or word == "," for kind, word in tokens[:index]):
        variables = [word for kind, word in tokens[:index] if kind == "variable"]
        assign = tokens[index][1] == "="
        tokens = tokens[index + 1 :]
    calls, rest = _calls(tokens, line, 0)
    if rest:
        raise TemplateError(f'template: output:{line}: unexpected ")" in operand')
    if not calls:
        raise TemplateError(f"template: output:{line}: missing value for command")
    return Pipeline(tuple(calls), tuple(variables), assign)


def _calls(tokens: list[tuple[str, str]], line: int, depth: int) -> tuple[list[Call], list[tuple[str, str]]]:
    if depth > DEPTH_MAX:
        raise TemplateError(f"template: output:{line}: too deep")
    calls: list[Call] = []
    words: list[Word] = []
    while tokens:
        (kind, text), tokens = tokens[0], tokens[1:]
        if text == "|":
            calls.append(Call(tuple(words)))
            words = []
        elif text == "(":
            inner, tokens = _calls(tokens, line, depth + 1)
            if not tokens or not tokens[0][1].startswith(")"):
                raise TemplateError(f"template: output:{line}: unclosed left paren")
            path = tuple(part for part in tokens[0][1][1:].split(".") if part)
            tokens = tokens[1:]
            words.append(Word("pipeline", Pipeline(tuple(inner)), path))
        elif text.startswith(")"):
            tokens = [(kind, text), *tokens]
            break
        else:
            words.append(_word(kind, text, line))
    if words:
        calls.append(Call(tuple(words)))
    return calls, tokens


def _word(kind: str, text: str, line: int) -> Word:
    if kind == "string":
        return Word("value", text[1:-1] if text[0] == "`" else _unquoted(text))
    if kind == "char":
        return Word("value", ord(_unquoted(text)))
    if kind == "number":
        return Word("value", float(text) if "." in text else int(text))
    if kind == "field":
        return Word("field", None, tuple(part for part in text.split(".") if part))
    if kind == "variable":
        name, *path = text.split(".")
        return Word("variable", name, tuple(path))
    if text in ("true", "false"):
        return Word("value", text == "true")
    if text == "nil":
        return Word("value", None)
    if text not in FUNCTIONS:
        raise TemplateError(f'template: output:{line}: function "{text}" not defined')
    return Word("function", text)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t", "r": "\r"}.get(m[1], m[1]), text[1:-1])


def render(tree: list[Any], value: Any) -> str:
    output: list[str] = []
    _render(tree, value, {"$": value}, output)
    return "".join(output)


def _render(nodes: list[Any], dot: Any, variables: dict[str, Any], output: list[str]) -> None:
    for node in nodes:
        if isinstance(node, Text):
            output.append(node.text)
        elif isinstance(node, Print):
            value = _evaluate(node.pipeline, dot, variables)
            if node.pipeline.variables:
                variables[node.pipeline.variables[0]] = value
            else:
                output.append(_shown(value))
        else:
            _block(node, dot, variables, output)


def _block(block: Block, dot: Any, variables: dict[str, Any], output: list[str]) -> None:
    value = _evaluate(block.pipeline, dot, variables)
    names = block.pipeline.variables
    if block.kind == "range":
        pairs = _pairs(value)
        for key, item in pairs:
            inner = dict(variables)
            inner.update(zip(names, (key, item) if len(names) == 2 else (item,)))
            _render(block.body, item, inner, output)
        if not pairs:
            _render(block.otherwise, dot, variables, output)
        return
    inner = {**variables, **({names[0]: value} if names else {})}
    if value:
        _render(block.body, value if block.kind == "with" else dot, inner, output)
    else:
        _render(block.otherwise, dot, inner, output)


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, list):
        return list(enumerate(value))
    if value is None or value is MISSING:
        return []
    raise TemplateError(f"template: output:1: range can't iterate over {go_value(value)}")


def _evaluate(pipeline: Pipeline, dot: Any, variables: dict[str, Any]) -> Any:
    extra: tuple[Any, ...] = ()
    value: Any = None
    for call in pipeline.calls:
        head, *rest = call.words
        arguments = [_operand(word, dot, variables) for word in rest]
        if head.kind == "function":
            try:
                value = FUNCTIONS[head.value](*arguments, *extra)
            except (TypeError, ValueError, KeyError, IndexError) as error:
                raise TemplateError(f"template: output:1: error calling {head.value}: {error}") from error
        else:
            value = _operand(head, dot, variables)
        extra = (value,)
    return value


def _operand(word: Word, dot: Any, variables: dict[str, Any]) -> Any:
    if word.kind == "value":
        return word.value
    if word.kind == "pipeline":
        return _walk(_evaluate(word.value, dot, variables), word.path)
    if word.kind == "variable":
        if word.value not in variables:
            raise TemplateError(f'template: output:1: undefined variable "{word.value}"')
        return _walk(variables[word.value], word.path)
    if word.kind == "function":
        return FUNCTIONS[word.value]()
    return _walk(dot, word.path)


def _walk(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if isinstance(value, dict):
            value = value.get(name, MISSING)
        elif value is None or value is MISSING:
            return MISSING
        else:
            kind = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}"}[
                type(value)
            ]
            raise TemplateError(f"template: output:1: can't evaluate field {name} in type {kind}")
    return value


def _shown(value: Any) -> str:
    return "<no value>" if value is MISSING or value is None else go_value(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list):
            if not 0 <= key < len(value):
                raise ValueError(f"reflect: slice index out of range: {key}")
            value = value[key]
        else:
            raise ValueError("can't index item of this type")
    return value


def _printf(form: str, *values: Any) -> str:
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not rest:
            return f"%!{match[2]}(MISSING)"
        value = rest.pop(0)
        if match[2] == "q":
            return '"' + str(value) + '"'
        text = _shown(value) if match[2] in "vs" else str(int(value)) if match[2] == "d" else str(value)
        width = match[1]
        return text.ljust(int(width[1:])) if width.startswith("-") else text.rjust(int(width or 0))

    return re.sub(r"%(-?\d*)([vsdqtf%])|%%", one, form)


def _any(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


def _all(*values: Any) -> Any:
    return next((value for value in values if not value), values[-1])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "index": _index,
    "printf": _printf,
    "print": lambda *values: "".join(_shown(value) for value in values),
    "println": lambda *values: " ".join(_shown(value) for value in values) + "\n",
    "eq": lambda first, *others: any(first == other for other in others),
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "not": lambda value: not value,
    "or": _any,
    "and": _all,
    "exists": lambda value, *keys: _index(value, *keys) is not MISSING,
    "base64decode": lambda text: base64.b64decode(text).decode(),
    "html": lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
    "urlquery": lambda text: __import__("urllib.parse").parse.quote_plus(text),
}
