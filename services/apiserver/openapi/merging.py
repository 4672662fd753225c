"""The second edition put together out of several servers' documents. Pure.

Of another server's document, the paths below its own group version count, and what these refer to. What bears
a name that means something else here gets another one, `NAME_v2`; of two paths that are the same, ours stays.
Upstream: kube-openapi's `pkg/aggregator`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.apiserver.openapi.protobuf import encode

Json = dict[str, Any]
_KINDS = "x-kubernetes-group-version-kind"
_PLACES = {"definitions": "#/definitions/", "parameters": "#/parameters/"}


class Unreadable(Exception):
    """A document that is not what it should be."""


def part_of(body: bytes, prefix: str) -> Json:
    """Paths below `prefix`, definitions and parameters. Unreadable."""
    try:
        document = orjson.loads(body)
        paths = {path: item for path, item in document["paths"].items() if path.startswith(prefix)}
        named = {place: document.get(place) or {} for place in _PLACES}
        part = {"paths": paths, **_needed(paths, named)}
        # Whoever asks for the other encoding is to get it: what does not go into it is found out now.
        encode({"swagger": "2.0", "info": {"title": "", "version": ""}, "securityDefinitions": {}, **part})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    return part


def _needed(paths: Json, named: dict[str, Json]) -> dict[str, Json]:
    """What the paths refer to, and what that refers to. KeyError for what is not there."""
    found: dict[str, Json] = {place: {} for place in _PLACES}
    waiting: list[Any] = [paths]
    while waiting:
        for reference in _references(waiting.pop()):
            for place, start in _PLACES.items():
                name = reference.removeprefix(start)
                if reference.startswith(start) and name not in found[place]:
                    found[place][name] = named[place][name]
                    waiting.append(named[place][name])
    return found


def _references(value: Any) -> list[str]:
    found, waiting = [], [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if isinstance(reference := each.get("$ref"), str):
                found.append(reference)
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return found


def merged(document: Json, parts: Sequence[Json]) -> Json:
    """The document with the parts added; neither is changed."""
    made = {**document, **{name: dict(document.get(name) or {}) for name in ("paths", *_PLACES)}}
    for part in parts:
        paths = {path: item for path, item in part["paths"].items() if path not in made["paths"]}
        needed = _needed(paths, {place: part[place] for place in _PLACES})
        renamed: dict[str, str] = {}
        for place, start in _PLACES.items():
            names = _names(made[place], needed[place])
            renamed |= {f"{start}{old}": f"{start}{new}" for old, new in names.items() if old != new}
            needed[place] = {names[old]: value for old, value in needed[place].items()}
        made["paths"] |= {path: _renamed(item, renamed) for path, item in paths.items()}
        for place in _PLACES:
            for name, value in needed[place].items():
                held = made[place].get(name)
                made[place][name] = _renamed(value, renamed) if held is None else _of_both(held, value)
    return made


def _names(held: Json, given: Json) -> dict[str, str]:
    """By the name that something has, the name under which it is there, or can be put there."""
    found: dict[str, str] = {}
    for old, value in given.items():
        new, number = old, 1
        while (new in held and not _same(held[new], value)) or (new != old and new in given):
            number += 1
            new = f"{old}_v{number}"
        found[old] = new
    return found


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """But for the kinds that they describe."""
    return {**one, _KINDS: None} == {**other, _KINDS: None}


def _of_both(held: Json, given: Json) -> Json:
    kinds = [*(held.get(_KINDS) or ()), *(given.get(_KINDS) or ())]
    once = [each for index, each in enumerate(kinds) if each not in kinds[:index]]
    return {**held, _KINDS: once} if once else held


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if not names:
        return value
    if isinstance(value, dict):
        made = {key: _renamed(each, names) for key, each in value.items()}
        if isinstance(reference := made.get("$ref"), str):
            made["$ref"] = names.get(reference, reference)
        return made
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    return value
