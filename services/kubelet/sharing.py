"""Keeps once what many Pods have in common: most of a Pod is its template's, word for word.

A decoded Pod is some 160 strings and 130 parts, of which another replica differs in a few. What the
informer decodes passes through `Shared.pod` before anybody sees it: equal parts of the spec become
the same part, equal strings the same string, and all empty lists one list. Objects are frozen, so
nobody can tell. What is known of others is bounded: past the bound it is forgotten, which costs
only sharing. Pure.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from services.api.core_v1 import Pod

KNOWN_MAX = 4_000
STRING_LENGTH_MAX = 128  # longer ones are data, and rarely the same
_EMPTY_LIST: list[Any] = []
_EMPTY_DICT: dict[Any, Any] = {}


class Shared:
    """One for all kubelets of a process."""

    def __init__(self) -> None:
        self._strings: dict[str, str] = {}
        self._parts: dict[tuple[Any, ...], Any] = {}

    def pod(self, pod: Pod, known: Pod | None) -> Pod:
        """The same Pod, made of shared parts. `known` is what was held of it until now."""
        if len(self._parts) > KNOWN_MAX:
            self._parts.clear()
        if len(self._strings) > KNOWN_MAX:
            self._strings.clear()
        spec = known.spec if known is not None and known.spec == pod.spec else self._part(pod.spec)
        force_setattr(pod, "spec", spec)
        self._strip(pod.status)
        self._metadata(pod.metadata, known.metadata if known is not None else None)
        return pod

    def _metadata(self, metadata: Struct, known: Struct | None) -> None:
        """Beside the name and the uid little changes from one look to the next."""
        for name in metadata.__struct_fields__:
            value = getattr(metadata, name)
            if value is None:
                continue
            before = getattr(known, name) if known is not None else None
            force_setattr(metadata, name, before if before == value else self._part(value))

    def _part(self, value: Any) -> Any:
        """The value, or an equal one that was there before; so with everything in it."""
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, list):
            if not value:
                return _EMPTY_LIST
            items = [self._part(item) for item in value]
            return self._known((list, *map(_name, items)), items)
        if isinstance(value, dict):
            if not value:
                return _EMPTY_DICT
            pairs = {self._string(key): self._part(item) for key, item in value.items()}
            return self._known((dict, *pairs, *map(_name, pairs.values())), pairs)
        if isinstance(value, Struct):
            return self._struct(value)
        return value

    def _struct(self, value: Struct) -> Any:
        key: list[Any] = [type(value)]
        for name in value.__struct_fields__:
            item = getattr(value, name)
            if item is not None:
                shared = self._part(item)
                if shared is not item:
                    force_setattr(value, name, shared)
                item = _name(shared)
            key.append(item)
        return self._known(tuple(key), value)

    def _strip(self, value: Any) -> Any:
        """For what is each Pod's own: shares its strings and what is empty in it."""
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, Struct):
            for name in value.__struct_fields__:
                item = getattr(value, name)
                if item is not None:
                    force_setattr(value, name, self._strip(item))
        elif isinstance(value, list):
            return [self._strip(item) for item in value] if value else _EMPTY_LIST
        elif isinstance(value, dict):
            return {self._string(k): self._strip(v) for k, v in value.items()} if value else _EMPTY_DICT
        return value

    def _string(self, value: Any) -> Any:
        if type(value) is not str or len(value) > STRING_LENGTH_MAX:
            return value
        return self._strings.setdefault(value, value)

    def _known(self, key: tuple[Any, ...], value: Any) -> Any:
        """A key stays true as long as it is kept: the value it leads to holds the parts it names."""
        return self._parts.setdefault(key, value)


def _name(part: Any) -> Any:
    """Names a part within the key of its whole: by itself where it is plain, else by identity."""
    return (id(part),) if isinstance(part, list | dict | Struct) else part
