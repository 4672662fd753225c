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
        assert any(file.path == "/bin/sh" and file.mode == 0o755 for file in last.content.files)


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
        files = [pb.File(path="/f", content=b"x"), pb.File(path="/d", kind=pb.FILE_KIND_DIRECTORY)]
        layer = pb.Layer(size=10_000_000, files=files)
        behaviour = '{"program": "/f"}'
        config = pb.ImageConfig(cmd=["/f"], exposed_ports=["80/tcp"], stop_signal="SIGINT")
        manifest = pb.Manifest(layers=[layer], config=config, behaviour=behaviour)
        me = pb.Credentials(username="me", password="secret")
        pushed = await stub.Push(pb.PushRequest(name="crane", manifest=manifest, credentials=me))
        answer = await stub.Resolve(pb.ResolveRequest(name="crane"))
        assert answer.digest == pushed.digest
        assert answer.manifest.behaviour == behaviour
        assert answer.manifest.config.cmd == ["/f"]
        assert answer.manifest.layers[0].size == 10_000_000
        request = pb.PullRequest(reference=answer.reference, layers=[answer.manifest.layers[0].digest])
        pieces = [piece async for piece in stub.Pull(request)]
        assert {file.path: file.content for file in pieces[-1].content.files} == {"/f": b"x", "/d": b""}


@pytest.mark.parametrize(
    ("name", "credentials", "code", "words"),
    [
        ("crane", None, "PERMISSION_DENIED", "requested access to the resource is denied"),
        ("nginx", ("me", "x"), "PERMISSION_DENIED", "requested access to the resource is denied"),
        ("you/app", ("me", "x"), "PERMISSION_DENIED", "requested access to the resource is denied"),
        ("orrery/app", ("orrery", "x"), "UNAUTHENTICATED", "unauthorized: incorrect username or password"),
        ("A B", ("me", "x"), "INVALID_ARGUMENT", 'could not parse reference "A B": invalid reference format'),
    ],
)
async def test_pushes_that_are_refused(
    name: str, credentials: tuple[str, str] | None, code: str, words: str
) -> None:
    async with (
        registry_server("127.0.0.1", 0, clock=ManualClock(), log=get_logger("registry")) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        request = pb.PushRequest(name=name)
        if credentials is not None:
            request.credentials.username, request.credentials.password = credentials
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await RegistryServiceStub(channel).Push(request)
        assert (caught.value.code().name, caught.value.details()) == (code, words)
