"""The nodes as they stand at the start of one scheduling cycle.

Plugins see this and not the cache, so what they see cannot move under them. Bringing it up to date
copies only the nodes that changed since the last time: between two decisions that is usually one.
The order puts zones side by side (a-1, b-1, a-2, b-2 …), so that a search that stops early has
seen all of them. Upstream: `backend/cache.Snapshot` and its node tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, zip_longest
from typing import overload

from services.scheduler.cache import Cache
from services.scheduler.framework.interface import NodeList
from services.scheduler.framework.node_info import NodeInfo


class Snapshot(NodeList):
    def __init__(self) -> None:
        self.nodes: list[NodeInfo] = []
        self.version = -1
        """Changes when the list itself does; while it stays, a node keeps its place."""
        self.images: Mapping[str, Mapping[str, int]] = {}
        self.tainted_prefer_no_schedule = 0
        self._places: dict[str, int] = {}
        self._generation = 0

    def update(self, cache: Cache) -> None:
        if cache.nodes_version != self.version:
            self._rebuild(cache)
            return
        newest = self._generation
        for info in cache.changed_since(self._generation):
            newest = max(newest, info.generation)
            place = self._places.get(info.name)
            if place is not None:
                self.tainted_prefer_no_schedule += (
                    info.prefer_no_schedule - self.nodes[place].prefer_no_schedule
                )
                self.nodes[place] = info.clone()
        self._generation = newest

    def _rebuild(self, cache: Cache) -> None:
        self.nodes = [info.clone() for info in _across_zones(cache.nodes())]
        self._places = {info.name: place for place, info in enumerate(self.nodes)}
        self._generation = max((info.generation for info in cache.changed_since(0)), default=0)
        self.tainted_prefer_no_schedule = sum(info.prefer_no_schedule for info in self.nodes)
        self.images = cache.images
        self.version = cache.nodes_version

    def get(self, name: str) -> NodeInfo | None:
        place = self._places.get(name)
        return None if place is None else self.nodes[place]

    def place(self, name: str) -> int | None:
        return self._places.get(name)

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter(self.nodes)

    @overload
    def __getitem__(self, index: int) -> NodeInfo: ...
    @overload
    def __getitem__(self, index: slice) -> list[NodeInfo]: ...
    def __getitem__(self, index: int | slice) -> NodeInfo | list[NodeInfo]:
        return self.nodes[index]


def _across_zones(nodes: Iterable[NodeInfo]) -> Iterator[NodeInfo]:
    zones: dict[str, list[NodeInfo]] = {}
    for node in sorted(nodes, key=lambda info: info.name):
        zones.setdefault(node.zone, []).append(node)
    return (node for node in chain.from_iterable(zip_longest(*zones.values())) if node is not None)
