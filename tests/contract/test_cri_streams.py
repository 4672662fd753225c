"""Attach, exec and forwarded ports over the unix socket: several clients, terminals, slow readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1 import streaming_pb2
from services.runtime.keyboards import OUTBOX_BYTES_MAX
from tests.contract.cri_bench import Cri, cri
from tests.contract.test_cri import listening

Say = streaming_pb2.StreamRequest


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Cri]:
    async with cri(tmp_path) as one:
        yield one


async def start(endpoint: Cri, *command: str, **more: Any) -> str:
    config = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name="main"),
        image=pb.ImageSpec(image=await endpoint.pull("busybox")),
        command=command,
        log_path="main.log",
        **more,
    )
    config.linux.security_context.namespace_options.pid = pb.CONTAINER
    request = pb.CreateContainerRequest(pod_sandbox_id=await endpoint.sandbox(), config=config)
    identifier = (await endpoint.runtime.CreateContainer(request)).container_id
    await endpoint.runtime.StartContainer(pb.StartContainerRequest(container_id=identifier))
    return identifier


def streams_of(endpoint: Cri) -> Any:
    """The stubs know only of calls that are handed all of their requests at once."""
    return endpoint.streams


class Client:
    """One end of an exec or an attachment."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.seen = b""
        self.exit_code: int | None = None

    async def send(self, **message: Any) -> None:
        await self._call.write(Say(**message))

    async def until(self, wanted: bytes) -> bytes:
        """Everything so far, once it holds what is wanted."""
        while wanted not in self.seen:
            answer = await self._call.read()
            assert answer is not grpc.aio.EOF, self.seen  # type: ignore[attr-defined]
            self.seen += answer.stdout + answer.stderr
        return self.seen

    async def end(self) -> bytes:
        while (answer := await self._call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
            self.seen += answer.stdout + answer.stderr
            if answer.WhichOneof("message") == "exit_code":
                self.exit_code = answer.exit_code
                self.leave()
                break
        return self.seen

    def leave(self) -> None:
        self._call.cancel()


async def attach(endpoint: Cri, container: str, *, stdin: bool = True, tty: bool = False) -> Client:
    request = pb.AttachRequest(container_id=container, stdin=stdin, stdout=True, stderr=not tty, tty=tty)
    answer = await endpoint.runtime.Attach(request)
    client = Client(streams_of(endpoint).Attach())
    await client.send(token=answer.url.partition("#")[2])
    return client


async def exec_in(endpoint: Cri, container: str, *command: str, tty: bool = False) -> Client:
    request = pb.ExecRequest(
        container_id=container, cmd=command, stdin=True, stdout=True, stderr=not tty, tty=tty
    )
    client = Client(streams_of(endpoint).Exec())
    await client.send(token=(await endpoint.runtime.Exec(request)).url.partition("#")[2])
    return client


ECHO = "while read line; do echo got $line; done; echo over"


class TestAttach:
    async def test_input_goes_in_and_everybody_sees_what_comes_out(self, endpoint: Cri) -> None:
        container = await start(endpoint, "sh", "-c", ECHO, stdin=True)
        one = await attach(endpoint, container)
        other = await attach(endpoint, container, stdin=False)
        await one.send(stdin=b"a\n")
        await one.until(b"got a\n")
        heard = asyncio.ensure_future(other.until(b"got b\n"))
        while not heard.done():  # it sees what comes once its call has begun, and nothing says when
            one.seen = b""
            await one.send(stdin=b"b\n")
            await one.until(b"got b\n")
        await heard
        one.leave()
        other.leave()

    async def test_a_client_that_leaves_may_come_back(self, endpoint: Cri) -> None:
        container = await start(endpoint, "sh", "-c", ECHO, stdin=True)
        for word in (b"a", b"b"):
            client = await attach(endpoint, container)
            await client.send(stdin=word + b"\n")
            await client.until(b"got " + word)
            client.leave()
        assert (await endpoint.status(container)).state == pb.CONTAINER_RUNNING

    async def test_with_stdin_once_the_first_to_leave_ends_the_input(self, endpoint: Cri) -> None:
        container = await start(endpoint, "sh", "-c", ECHO, stdin=True, stdin_once=True)
        client = await attach(endpoint, container)
        await client.send(stdin=b"a\n")
        await client.until(b"got a")
        client.leave()
        status = await endpoint.ended(container)
        assert status.exit_code == 0
        log = await asyncio.to_thread(Path(status.log_path).read_bytes)
        assert log.endswith(b"stdout F over\n")

    async def test_the_last_word_is_heard_however_much_is_still_typed(self, endpoint: Cri) -> None:
        """An end of the call itself would break what is written, and lose what is not read yet."""
        container = await start(endpoint, "sh", "-c", "read line; echo got $line", stdin=True)
        client = await attach(endpoint, container)
        await client.send(stdin=b"a\n")
        await endpoint.ended(container)
        for _ in range(50):
            await client.send(stdin=b"more\n")
        assert (await client.end(), client.exit_code) == (b"got a\n", 0)

    async def test_a_terminal_echoes_edits_and_interrupts(self, endpoint: Cri) -> None:
        script = "read line; echo got $line; sleep 1000; echo code $?"
        container = await start(endpoint, "sh", "-c", script, stdin=True, tty=True)
        client = await attach(endpoint, container, tty=True)
        await client.send(stdin=b"helo\x7flo\r")
        assert b"\r\ngot hello\r\n" in await client.until(b"got hello\r\n")
        await client.send(resize=streaming_pb2.WindowSize(columns=100, rows=30))
        await client.send(stdin=b"\x03")
        assert (await client.end()).endswith(b"^C\r\ncode 130\r\n")
        log = await asyncio.to_thread(Path((await endpoint.status(container)).log_path).read_bytes)
        assert log.endswith(b"stdout F code 130\n")  # without what a terminal adds


class TestExec:
    async def test_a_slow_reader_makes_the_command_wait(self, endpoint: Cri) -> None:
        """What is not read yet is bounded; the end of what never ends comes with the client's."""
        container = await start(endpoint, "sleep", "1000")
        client = await exec_in(
            endpoint,
            container,
            "sh",
            "-c",
            "for i in $(seq 50); do head -c 60000 /dev/zero; done; echo done >&2",
        )
        assert len(await client.end()) == 3_000_005
        assert client.exit_code == 0
        endless = await exec_in(endpoint, container, "yes")
        await endless.until(b"y\ny\n")
        endless.leave()
        answer = await endpoint.exec(
            container, "sh", "-c", "while ps | grep -v grep | grep -q yes; do sleep 0.05; done"
        )
        assert answer.exit_code == 0
        assert OUTBOX_BYTES_MAX <= 1024 * 1024

    async def test_several_at_once(self, endpoint: Cri) -> None:
        container = await start(endpoint, "sleep", "1000")
        clients = [await exec_in(endpoint, container, "cat") for _ in range(5)]
        for number, client in enumerate(clients):
            await client.send(stdin=b"%d\n" % number)
            await client.send(stdin_closed=True)
        assert [await client.end() for client in clients] == [b"%d\n" % number for number in range(5)]

    async def test_a_stream_that_says_nothing(self, endpoint: Cri) -> None:
        for call in (
            streams_of(endpoint).Exec(),
            streams_of(endpoint).Attach(),
            streams_of(endpoint).PortForward(),
        ):
            await call.done_writing()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND


class TestPortForward:
    async def test_several_clients(self, endpoint: Cri) -> None:
        sandbox = await endpoint.sandbox()
        await listening(endpoint, await endpoint.start(sandbox, "nginx"), 80)

        async def get() -> bytes:
            request = pb.PortForwardRequest(pod_sandbox_id=sandbox, port=[80])
            url = (await endpoint.runtime.PortForward(request)).url
            call = streams_of(endpoint).PortForward()
            await call.write(streaming_pb2.ConnectRequest(token=url.partition("#")[2], port=80))
            question = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
            await call.write(streaming_pb2.ConnectRequest(data=question))
            return b"".join([answer.data async for answer in call])

        pages = await asyncio.gather(*(get() for _ in range(5)))
        assert all(b"Welcome to nginx!" in page for page in pages)

    async def test_ports_that_cannot_be(self, endpoint: Cri) -> None:
        call = streams_of(endpoint).Connect()
        await call.write(streaming_pb2.ConnectRequest(ip="10.244.1.2", port=70_000))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
