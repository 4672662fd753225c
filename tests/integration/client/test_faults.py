"""The client machinery against a real API server that comes and goes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from services.api.core_v1 import ConfigMap, Namespace
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client, connect
from services.client.informer import InformerFactory
from services.client.leader import LeaderElector
from services.client.transport import Unavailable
from services.process.clock import SystemClock
from tests.support.apiserver import apiserver_process
from tests.support.etcd import Etcd
from tests.support.ports import free_ports

SECONDS = 60


class Mirror:
    """What an informer's handlers were told, and a way to wait for a state of it."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}
        self.changed = asyncio.Event()

    def on_add(self, obj: ConfigMap, cause: str) -> None:
        assert obj.key.name not in self.data, "added twice"
        self.data[obj.key.name] = obj.data.get("v", "")
        self.changed.set()

    def on_update(self, old: ConfigMap, new: ConfigMap, cause: str) -> None:
        assert new.key.name in self.data
        self.data[new.key.name] = new.data.get("v", "")
        self.changed.set()

    def on_delete(self, obj: ConfigMap, cause: str) -> None:
        del self.data[obj.key.name]
        self.changed.set()

    async def becomes(self, wanted: dict[str, str]) -> None:
        async with asyncio.timeout(SECONDS):
            while self.data != wanted:
                self.changed.clear()
                await self.changed.wait()


def config_map(name: str, value: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="faults"), data={"v": value})


async def test_an_informer_lives_through_a_restart_of_the_server(etcd: Etcd, tmp_path: Path) -> None:
    port, log = free_ports(1)[0], tmp_path / "apiserver.log"
    mirror = Mirror()
    async with connect(f"127.0.0.1:{port}", user_agent="test/1") as client:
        with pytest.raises(Unavailable):
            await client.get(Namespace, "default")
        factory = InformerFactory(client, SystemClock(), Random(1))
        informer = factory.informer(ConfigMap, namespace="faults")
        informer.add_handler(mirror.on_add, mirror.on_update, mirror.on_delete)
        running = asyncio.ensure_future(factory.run())
        with apiserver_process(etcd, log, port):
            async with asyncio.timeout(SECONDS):
                await informer.wait_synced()
            await client.create(Namespace(metadata=ObjectMeta(name="faults")))
            for name in ("a", "b", "c"):
                await client.create(config_map(name, "1"))
            await mirror.becomes({"a": "1", "b": "1", "c": "1"})
        with apiserver_process(etcd, log, port):
            await _retried(client, "a", "2")
            await client.delete(ConfigMap, "b", "faults")
            await mirror.becomes({"a": "2", "c": "1"})
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _retried(client: Client, name: str, value: str) -> None:
    """The channel may need a moment to find the server that came back."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await client.patch(ConfigMap, name, "faults", {"data": {"v": value}})
                return
            except Unavailable:
                await SystemClock().sleep(0.05)


async def test_leadership_passes_on_at_once_after_a_graceful_stop(etcd: Etcd, tmp_path: Path) -> None:
    with apiserver_process(etcd, tmp_path / "apiserver.log") as address:
        async with connect(address, user_agent="test/1") as client:
            led: asyncio.Queue[str] = asyncio.Queue()

            def start(identity: str) -> asyncio.Task[None]:
                elector = LeaderElector(client, SystemClock(), "candidate", identity, random=Random(1))

                async def lead() -> None:
                    led.put_nowait(identity)
                    await asyncio.Event().wait()

                return asyncio.ensure_future(elector.run(lead))

            async with asyncio.timeout(SECONDS):
                first = start("a")
                assert await led.get() == "a"
                second = start("b")
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
                assert await led.get() == "b"
                second.cancel()
                await asyncio.gather(second, return_exceptions=True)
