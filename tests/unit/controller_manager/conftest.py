"""A cluster in memory: the fake API server, a hand-turned clock, and the controllers a test asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from services.api.core_v1 import Event
from services.client.client import Client
from services.controller_manager.manager import Settings, run_controllers
from services.process.logging import get_logger
from services.process.run import Process
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi


class Cluster:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.api = FakeApi(self.clock)
        self.client = Client(self.api)
        self._process = Process("test", self.clock, Random(1), get_logger("test"))

    @asynccontextmanager
    async def running(self, *controllers: str, settings: Settings | None = None) -> AsyncIterator[None]:
        body = run_controllers(self.client, self._process, settings or Settings(), controllers)
        task = asyncio.ensure_future(body)
        try:
            await self.quiet()
            yield
            await self.quiet()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def quiet(self) -> None:
        """Until nothing changes any more."""
        before = -1
        while before != self.api.revision:
            before = self.api.revision
            await settle()
            await settle()

    def events(self, reason: str = "") -> list[tuple[str | None, str | None]]:
        found = self.api.all(Event)
        return [(event.reason, event.message) for event in found if reason in ("", event.reason)]

    def each(self, kind: type[Any], pick: Callable[[Any], Any]) -> Sequence[Any]:
        return [pick(obj) for obj in self.api.all(kind)]


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()
