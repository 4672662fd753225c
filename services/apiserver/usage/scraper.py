"""Asks every kubelet what is used, every 15 seconds.

A bounded number at once, and no more than so many in a second: a cluster of hundreds is asked less often. A
node that does not answer is left with what it told last until that is too old to say. Upstream:
metrics-server, `pkg/scraper`.
"""

from __future__ import annotations

import asyncio

import grpc.aio
import orjson

from services.api.core_v1 import Node
from services.api.errors import ApiError
from services.api.kinds import MEASURED, resource_of
from services.apiserver.fronts.kubelets import Kubelets
from services.apiserver.registry.registry import Registry
from services.apiserver.usage.answers import UsageAnswers
from services.apiserver.usage.points import RESOLUTION, Malformed, Points, scrape_of
from services.machinery.clock import Clock
from services.pb.node.v1 import node_pb2 as pb

AT_ONCE = 8
NODES_PER_SECOND = 10
SCRAPE_SECONDS = 10.0
FORGOTTEN_AFTER = 4 * RESOLUTION


class Usage:
    """Scrapes while it runs; from the beginning, the registry answers with what it knows."""

    def __init__(self, kubelets: Kubelets, registry: Registry, clock: Clock) -> None:
        self._kubelets, self._registry, self._clock = kubelets, registry, clock
        self._points = Points()
        for resource in MEASURED:
            registry.compute(resource, UsageAnswers(registry, self._points, clock))
        self._told: dict[str, float] = {}  # when each node told last
        self._one_of_many = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            nodes = self._nodes()
            async with asyncio.TaskGroup() as group:
                for node in nodes:
                    group.create_task(self._scrape(node))
            now, patience = self._clock.monotonic(), FORGOTTEN_AFTER.total_seconds()
            self._told = {name: at for name, at in self._told.items() if now - at < patience}
            self._points.keep(self._told.keys() & set(nodes))
            await self._clock.sleep(max(RESOLUTION.total_seconds(), len(nodes) / NODES_PER_SECOND))

    def _nodes(self) -> list[str]:
        cache = self._registry.store(resource_of(Node)).cache
        return [entry.attributes.name for entry in cache.entries.values()]

    async def _scrape(self, node: str) -> None:
        request = pb.StatsRequest(node=node, only_cpu_and_memory=True)
        try:
            async with self._one_of_many, self._clock.timeout(SCRAPE_SECONDS):
                answer = await self._kubelets.stats(request)
        except (ApiError, grpc.aio.AioRpcError, TimeoutError):
            return  # the node's condition tells whoever wants to know
        at = self._clock.now()
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)  # what kubelets tell is as exact
        try:
            scrape = scrape_of(orjson.loads(answer.json), at)
        except (orjson.JSONDecodeError, Malformed):
            return  # as if it had not answered
        self._points.put(node, scrape)
        self._told[node] = self._clock.monotonic()
