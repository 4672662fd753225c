"""Functions by name, whose modules are imported when one of them is first wanted.

A node has more than a hundred programs, and most containers run none of them: to load them all would be
half of what a node needs to start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class Deferred(Mapping[str, T]):
    """`names` says which module has which; `pick` takes one out of its module."""

    def __init__(self, names: Mapping[str, Sequence[str]], pick: Callable[[ModuleType, str], T]) -> None:
        self._module = {name: module for module, found in names.items() for name in found}
        self._pick = pick
        self.loaded: dict[str, T] = {}  # what has been asked for

    def __getitem__(self, name: str) -> T:
        found = self.loaded.get(name)
        if found is None:
            found = self.loaded[name] = self._pick(import_module(self._module[name]), name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._module

    def __iter__(self) -> Iterator[str]:
        return iter(self._module)

    def __len__(self) -> int:
        return len(self._module)
