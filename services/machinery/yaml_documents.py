"""YAML as upstream reads it: version 1.1, times stay text, keys become text, repeated keys are told.

Bounded: a document whose aliases make it many times as long as it is written is refused, as upstream does.
What cannot be read raises `Unreadable`, in libyaml's words where that is there.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

VALUES_MAX = 500_000  # of a document that has aliases; one without is as bounded as its bytes


class Unreadable(ValueError):
    """Why the text is no YAML."""


def read(body: bytes) -> tuple[Any, list[str]]:
    """The first document, and a notice for each key that stands twice in its map. Unreadable."""
    import yaml  # few clients send YAML

    loader_class = _loader_class()
    try:
        loader = loader_class(body)
        try:
            value = loader.get_data() if loader.check_data() else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise Unreadable(re.sub(r"'\\?.' (?=that cannot start)", "", error.problem or str(error))) from None
    except yaml.YAMLError as error:
        raise Unreadable(str(error)) from None
    except (UnicodeDecodeError, ValueError, TypeError) as error:
        raise Unreadable(str(error)) from None
    except RecursionError:
        raise Unreadable("exceeded max depth") from None
    return _Texts(VALUES_MAX if b"*" in body else None).of(value), loader.repeated


@cache
def _loader_class() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = {
            first: [(tag, form) for tag, form in resolvers if not tag.endswith(":timestamp")]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }
        bool_values = {**base.bool_values, "y": True, "n": False}

        def __init__(self, stream: bytes) -> None:
            super().__init__(stream)
            self.repeated: list[str] = []

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen and key.value != "<<":
                        line = key.start_mark.line + 1
                        self.repeated.append(f'line {line}: key "{key.value}" already set in map')
                    seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:y|Y|n|N)$"), list("yYnN"))
    return Loader


class _Texts:
    """Copies a value with text for keys, counting what it copies."""

    def __init__(self, values_max: int | None) -> None:
        self._left = values_max

    def of(self, value: Any) -> Any:
        try:
            return self._copied(value)
        except RecursionError:
            raise Unreadable("exceeded max depth") from None

    def _copied(self, value: Any) -> Any:
        if not isinstance(value, dict | list):
            return value
        if self._left is not None:
            self._left -= 1 + len(value)
            if self._left < 0:
                raise Unreadable("document contains excessive aliasing")
        if isinstance(value, list):
            return [self._copied(item) for item in value]
        return {_key_text(key): self._copied(item) for key, item in value.items()}


def _key_text(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
