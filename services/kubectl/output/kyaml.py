"""KYAML: the flow style of YAML that leaves nothing to guess; every string quoted, every key bare.

Upstream: sigs.k8s.io/yaml/kyaml.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_AMBIGUOUS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def dump(value: Any) -> str:
    return f"---\n{_render(value, 0)}\n"


def _render(value: Any, indent: int) -> str:
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        if not value:
            return "{}"
        rows = [f"{inner}{_key(key)}: {_render(value[key], indent + 2)},\n" for key in sorted(value)]
        return "{\n" + "".join(rows) + " " * indent + "}"
    if isinstance(value, list):
        if not value:
            return "[]"
        if isinstance(value[0], dict):
            return "[" + ", ".join(_render(item, indent) for item in value) + "]"
        return "[\n" + "".join(f"{inner}{_render(i, indent + 2)},\n" for i in value) + " " * indent + "]"
    if isinstance(value, str) and "\n" in value:
        return _lines(value, indent)
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    if _BARE.fullmatch(key) and key.lower() not in _AMBIGUOUS:
        return key
    return json.dumps(key, ensure_ascii=False)


def _lines(text: str, indent: int) -> str:
    """A string of several lines: each on its own, joined again by backslashes."""
    pad = " " * (indent + 2)
    parts = text.split("\n")
    tail = parts.pop()
    rows = "".join(f"{pad} {json.dumps(part, ensure_ascii=False)[1:-1]}\\n\\\n" for part in parts)
    return f'"\\\n{rows}{pad}{json.dumps(tail, ensure_ascii=False)[1:-1]}"'
