from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from services.pb.registry.v1 import registry_pb2 as pb
from services.pb.registry.v1.registry_pb2_grpc import RegistryServiceStub
from services.process.logging import get_logger
from services.registry.server import registry_server
from tests.support.clock import ManualClock


class ObservedClock(ManualClock):
    """Tells when somebody has begun to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await super().sleep(seconds)


async def test_a_pull_takes_size_by_rate() -> None:
    clock = ObservedClock()
    async with (
        registry_server(
            "127.0.0.1", 0, clock=clock, log=get_logger("registry"), bytes_per_second=10e6
        ) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = RegistryServiceStub(channel)
        answer = await stub.Resolve(pb.ResolveRequest(name="busybox"))
        layer = answer.manifest.layers[0]
        call = stub.Pull(pb.PullRequest(reference=answer.reference, layers=[layer.digest]))
        first: Any = await call.read()
        assert (first.layer, first.transferred) == (layer.digest, 0)
        reading = asyncio.create_task(call.read())
        await clock.asleep.wait()
        await clock.advance(layer.size / 10e6 - 0.01)
        assert not reading.done()
        await clock.advance(0.01)
        last: Any = await reading
        assert last.transferred == layer.size
        assert "/bin/sh" in last.content.executables


async def test_refusals_have_their_codes() -> None:
    clock = ManualClock()
    async with (
        registry_server("127.0.0.1", 0, clock=clock, log=get_logger("registry")) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = RegistryServiceStub(channel)
        codes = {}
        for name in ("crane", "nginx:nope", "?"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Resolve(pb.ResolveRequest(name=name))
            codes[name] = caught.value.code()
        assert codes == {
            "crane": grpc.StatusCode.PERMISSION_DENIED,
            "nginx:nope": grpc.StatusCode.NOT_FOUND,
            "?": grpc.StatusCode.INVALID_ARGUMENT,
        }


async def test_what_is_pushed_can_be_pulled() -> None:
    async with (
        registry_server("127.0.0.1", 0, clock=ManualClock(), log=get_logger("registry")) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = RegistryServiceStub(channel)
        layer = pb.Layer(digest="sha256:" + "3" * 64, size=10, files={"/f": b"x"})
        manifest = pb.Manifest(config_digest="sha256:" + "4" * 64, layers=[layer])
        pushed = await stub.Push(pb.PushRequest(name="crane", manifest=manifest))
        answer = await stub.Resolve(pb.ResolveRequest(name="crane"))
        assert answer.digest == pushed.digest
        request = pb.PullRequest(reference=answer.reference, layers=[layer.digest])
        pieces = [piece async for piece in stub.Pull(request)]
        assert pieces[-1].content.files["/f"] == b"x"
