"""Makes two answers comparable: what is random or depends on the moment is replaced by a mark."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import orjson

RANDOM_FIELDS = {
    "uid",
    "resourceVersion",
    "continue",
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "healthCheckNodePort",
    "remainingItemCount",
}
UNORDERED = ("warnings", "causes")
_TEXTS = (
    (re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^"]*UTC'), "<time>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+"), "<JWT>"),
    (re.compile(r"kube-api-access-\w{5}"), "kube-api-access-*"),
    (re.compile(r"(current: |\()\d+\b"), r"\1N"),
    (re.compile(r"(\bgen-|\bg-)[bcdfghjklmnpqrstvwxz2456789]{5}\b"), r"\1*****"),
    (re.compile(r"\b\d+(\.\d+)?(s|ms|m|h|d)\b"), "<age>"),
    (re.compile(r'(RV|resourceVersion\\*"?)[ :=]+\\*"?\d+'), "RV N"),
    (re.compile(r"10\.96\.\d+\.\d+"), "<cluster ip>"),
)
_STRICT = re.compile(r"(.*strict decoding error: )(.*)", re.S)


def normal(value: Any, ignore: Collection[str] = (), key: str = "") -> Any:
    """`value` with marks; fields named in `ignore` are left out wherever they are."""
    if isinstance(value, dict):
        made = {name: normal(each, ignore, name) for name, each in value.items() if name not in ignore}
        for name in UNORDERED:
            if isinstance(made.get(name), list):
                made[name] = sorted(made[name], key=lambda each: repr(normal_order(each)))
        for name in RANDOM_FIELDS & made.keys():
            if made[name] not in ("", None, "None", ["None"]):
                made[name] = "*"
        return made
    if isinstance(value, list):
        return [normal(each, ignore, key) for each in value]
    return text(value) if isinstance(value, str) else value


def normal_order(value: Any) -> Any:
    """Something to sort by that does not depend on the order of fields."""
    return sorted(value.items()) if isinstance(value, dict) else value


def by_manager(value: Any) -> Any:
    """Managers stand in the order of their times: two writes may share a second, or not."""
    if isinstance(value, list):
        return [by_manager(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {name: by_manager(each) for name, each in value.items()}
    if isinstance(made.get("managedFields"), list):
        made["managedFields"].sort(key=lambda entry: orjson.dumps(entry, option=orjson.OPT_SORT_KEYS))
    return made


def text(value: str) -> str:
    for pattern, mark in _TEXTS:
        value = pattern.sub(mark, value)
    if match := _STRICT.fullmatch(value):
        # Several unknown fields come in the order of a Go map.
        value = match[1] + ", ".join(sorted(match[2].split(", ")))
    return value


def differences(wanted: Any, got: Any, path: str = "") -> Iterator[str]:
    """Where they differ, in words."""
    if type(wanted) is not type(got):
        yield f"{path}: wanted {wanted!r:.200}, got {got!r:.200}"
    elif isinstance(wanted, dict):
        for name in sorted(wanted.keys() | got.keys()):
            if name not in wanted:
                yield f"{path}.{name}: not wanted, got {got[name]!r:.200}"
            elif name not in got:
                yield f"{path}.{name}: missing, wanted {wanted[name]!r:.200}"
            else:
                yield from differences(wanted[name], got[name], f"{path}.{name}")
    elif isinstance(wanted, list):
        if len(wanted) != len(got):
            yield f"{path}: wanted {len(wanted)} items, got {len(got)}: {wanted!r:.200} against {got!r:.200}"
        else:
            for index, (first, second) in enumerate(zip(wanted, got, strict=True)):
                yield from differences(first, second, f"{path}[{index}]")
    elif wanted != got:
        yield f"{path}: wanted {wanted!r:.400}, got {got!r:.400}"
