"""The text of manifests as plain data: YAML as JSON would have it, and nothing that could hurt.

Dates stay text, keys become text, a key stands only once. Depth and size are bounded before anything
recursive looks at the data, so that nested brackets or aliases of aliases end in one sentence. The
complaints are go-yaml's, since people search for them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import yaml

from services.kubectl.errors import Fail, quote

DEPTH_MAX = 200  # the encoder's own limit is 254; nobody's manifest comes near
VALUES_MAX = 1_000_000  # after aliases are followed
# Types of YAML 1.1 that JSON has no use for: their texts stay texts.
UNRESOLVED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")


class Malformed(ValueError):
    """What is wrong, in go-yaml's words."""


class Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers = {
        letter: [pair for pair in pairs if pair[0] not in UNRESOLVED]
        for letter, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise Malformed(f"line {line}: invalid map key: {quote(str(key_node.id))}")
            if key_node.value in seen and key_node.tag != "tag:yaml.org,2002:merge":
                raise Malformed(
                    f"unmarshal errors:\n  line {line}: key {quote(key_node.value)} already set in map"
                )
            seen.add(key_node.value)
        self.flatten_mapping(node)
        return {
            _key(self.construct_object(key_node, deep=True)): self.construct_object(value_node, deep=deep)
            for key_node, value_node in node.value
        }


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def documents(text: bytes, source: str) -> Iterator[Any]:
    """The decoded documents of a file, empty ones left out. Fail names the file and what is wrong."""
    failing = f"error parsing {source}: error converting YAML to JSON:"
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise Fail(f"{failing} yaml: invalid leading UTF-8 octet") from error
    try:
        for document in _decode(decoded):
            if document is not None:
                _vet(document)
                yield document
    except Malformed as error:
        raise Fail(f"{failing} yaml: {error}") from error
    except yaml.YAMLError as error:
        raise Fail(f"{failing} yaml: {_where(error)}") from error
    except ValueError as error:
        raise Fail(f"{failing} {error}") from error


def _decode(text: str) -> Iterator[Any]:
    if text.lstrip().startswith("{"):
        found = _json_documents(text)
        if found is not None:
            yield from found
            return
    _check_depth(text)
    yield from yaml.load_all(text, Loader)


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                raise Malformed(f"exceeded max depth of {DEPTH_MAX}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _json_documents(text: str) -> list[Any] | None:
    """The objects of a stream of JSON; None when it is no JSON, and YAML should judge it."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    found, rest = [], text.lstrip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            return None
        found.append(value)
        rest = rest[end:].lstrip()
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def _vet(document: Any) -> None:
    """Follows aliases, so that what is small in the file and endless in memory is seen."""
    waiting = [(document, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > DEPTH_MAX:
            raise Malformed(f"exceeded max depth of {DEPTH_MAX}")
        if count > VALUES_MAX:
            raise Malformed("document contains excessive aliasing")
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]
        else:
            _vet_scalar(value)


def _vet_scalar(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        word = "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
        raise ValueError(f"json: unsupported value: {word}")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("json: unsupported value: an integer of more than 64 bits")
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError("json: invalid surrogate in a string")
    if isinstance(value, (bytes, set)):
        raise ValueError(f"json: unsupported type: {type(value).__name__}")


def _where(error: yaml.YAMLError) -> str:
    """go-yaml's form of the same libyaml complaint."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    if mark is None:
        return str(problem)
    line = mark.line + (1 if isinstance(error, yaml.scanner.ScannerError) else 0)
    return f"line {line}: {problem}" if line else str(problem)


def kind_of(value: Any) -> str:
    """What Go's JSON decoder calls a value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "string"
