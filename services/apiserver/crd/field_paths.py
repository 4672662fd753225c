"""Paths into a schema, as rules and selectable fields name them: `.spec.replicas`, `.map['a.b']`.

Upstream: `cel.ValidFieldPath`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.apiserver.crd.structural import Node

_TOKEN = re.compile(r"'(?:\\.|[^'\\])*'|[.\[\]]|[^.\[\]']+|'", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


class PathError(ValueError):
    """Why a path leads nowhere; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`text` as field errors write it, `root` its first name, `node` where it leads."""

    text: str
    root: str
    node: Node | None


def resolve(path: str, node: Node | None, *, brackets: bool = True) -> FieldPath:
    """Where a path leads to. PathError where it leads nowhere."""
    tokens = _TOKEN.findall(path)
    text, root, at = "", "", 0
    while at < len(tokens):
        token = tokens[at]
        if token == "[":
            if not brackets:
                raise PathError("array notation is not allowed")
            name = _quoted_name(tokens, at + 1)
            _require_token(tokens, at + 2)
            at += 3
        elif token == ".":
            _require_token(tokens, at + 1)
            name = tokens[at + 1]
            at += 2
        else:
            raise PathError(f"expected [ or . but got: {token}")
        node, is_field = _step(node, name)
        step = (f".{name}" if text else name) if is_field else f"[{name}]"
        if token == "[" and tokens[at - 1] != "]":
            raise PathError(f"expected ] but got {tokens[at - 1]}")
        text, root = text + step, root or name
    return FieldPath(text, root, node)


def _require_token(tokens: list[str], at: int) -> None:
    if at >= len(tokens):
        raise PathError("unexpected end of JSON path")


def _quoted_name(tokens: list[str], at: int) -> str:
    _require_token(tokens, at)
    token = tokens[at]
    if len(token) < 2 or token[0] != "'" or token[-1] != "'":
        raise PathError(f"expected single quoted string but got {token}")
    if wrong := next((m[0] for m in _ESCAPED.finditer(token[1:-1]) if m[1] not in _LETTERS), ""):
        raise PathError(f"invalid string literal: invalid escape char {wrong}")
    return _ESCAPED.sub(lambda match: _LETTERS[match[1]], token[1:-1])


def _step(node: Node | None, name: str) -> tuple[Node | None, bool]:
    """The node under a name, and whether it is a field's rather than a map entry's."""
    if node is not None and node.properties:
        if name not in node.properties:
            raise PathError("does not refer to a valid field")
        return node.properties[name], True
    if node is not None and node.additional_allowed:
        return node.additional, False
    raise PathError("does not refer to a valid field")
