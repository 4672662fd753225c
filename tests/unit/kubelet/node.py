"""One node for tests: a whole kubelet, a scripted runtime, an API server in memory, and a clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from services.api.core_v1 import Event, Node, Pod
from services.client.client import Client
from services.kubelet.configuration import HostUsage, KubeletConfiguration
from services.kubelet.fleet import Fleet, FleetConfig
from services.kubelet.node_status import Machine
from services.process.logging import get_logger
from tests.support.clock import ManualClock
from tests.support.fake_api import FakeApi
from tests.support.fake_cri import FakeCri
from tests.unit.kubelet.pods import pod

PATIENCE_SECONDS = 60.0  # for what other threads do


class NodeUnderTest:
    def __init__(self, root: Path, name: str = "node-1") -> None:
        self.name, self.root = name, root
        self.clock = ManualClock()
        self.api = FakeApi(self.clock)
        self.client = Client(self.api, component="kubelet")
        self.cri = FakeCri(self.clock)
        self.configuration = KubeletConfiguration()
        self.host = HostUsage()
        self.boot_id = "boot-1"
        self.fleet: Fleet

    @asynccontextmanager
    async def running(self, *, cidr: bool = True) -> AsyncIterator[NodeUnderTest]:
        """A kubelet that has registered, and by default has its Pod CIDR."""
        config = FleetConfig(
            names=[self.name],
            ip="192.168.0.2",
            port=10250,
            root=self.root,
            machine=Machine(cpu="2", pods=3),
            labels={},
            kubelet=self.configuration,
            boot_id=self.boot_id,
            usage=lambda name: self.host,
        )
        ready = asyncio.Event()

        async def on_ready() -> None:
            ready.set()

        self.fleet = Fleet(
            config,
            self.client,
            lambda name: self.cri,  # type: ignore[arg-type,return-value]  # streams are not scripted
            clock=self.clock,
            random=Random(1),
            log=get_logger("kubelet"),
        )
        task = asyncio.ensure_future(self.fleet.run(on_ready))
        try:
            await self._until(lambda: any(n.metadata.name == self.name for n in self.api.all(Node)))
            if cidr:
                await self.give_cidr()
            await self._until(ready.is_set)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """What other threads do (reading a folder) takes its own time."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await self.clock.advance(0)
                if condition():
                    return
                await asyncio.sleep(0.01)

    async def give_cidr(self) -> None:
        change = {"spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]}}
        await self.client.patch(Node, self.name, "", change)
        await self.clock.advance(0)

    async def run_pod(self, *containers: dict[str, Any], name: str = "kubia", **spec: Any) -> None:
        self.api.put(pod(*containers, uid=f"uid-{name}", name=name, **spec))
        await self.clock.advance(0)

    def pod(self, name: str = "kubia") -> Pod:
        return self.api.one(Pod, name, "default")

    def has(self, name: str = "kubia") -> bool:
        return any(p.metadata.name == name for p in self.api.all(Pod))

    def state(self, name: str = "kubia") -> str:
        """What `kubectl get pods` would say of its first container."""
        status = self.pod(name).status.container_statuses[0]
        assert status.state is not None
        if status.state.waiting:
            return status.state.waiting.reason or ""
        return "Running" if status.state.running else (status.state.terminated or status).reason  # type: ignore

    def events(self, name: str = "kubia") -> list[str]:
        found = [e for e in self.api.all(Event) if e.involved_object.name == name]
        return [f"{e.type} {e.reason} {e.message}" for e in found]

    def node(self) -> Node:
        return self.api.one(Node, self.name)
