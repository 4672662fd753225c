"""Exec and attach: a process in a container, joined to a client by WebSocket or SPDY.

The kubelet is asked first, so that what it refuses is an answer to the request and not to a stream. From
then on the client's input goes to the process, and the process's end, as a Status, to the client. When the
client goes, so does the call to the kubelet. Upstream: `kubelet/pkg/cri/streaming/remotecommand`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol

import grpc
import grpc.aio
import orjson
from aiohttp import WSMsgType, web

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.fronts.kubelets import Call, Kubelets, refusal_of
from services.apiserver.fronts.rest.streams import channels, upgrades
from services.apiserver.fronts.rest.streams.spdy import Session, Stream
from services.apiserver.fronts.rest.verbs import TRUE
from services.machinery.clock import Clock
from services.pb.node.v1 import node_pb2 as pb

STREAMS_SECONDS = 30.0  # for a client to open the streams that it announced
RESIZE_BYTES_MAX = 1024
METHODS = {"exec": "Exec", "attach": "Attach"}


class Input:
    """What goes to the process. One message at a time, from whichever stream."""

    def __init__(self, call: Call) -> None:
        self._call, self._one = call, asyncio.Lock()

    async def stdin(self, data: bytes) -> None:
        await self._write(pb.ExecRequest(stdin=data))

    async def close_stdin(self) -> None:
        await self._write(pb.ExecRequest(stdin_closed=True))

    async def resize(self, columns: int, rows: int) -> None:
        await self._write(pb.ExecRequest(resize=pb.TerminalSize(columns=columns, rows=rows)))

    async def _write(self, message: pb.ExecRequest) -> None:
        async with self._one:
            try:
                await self._call.write(message.SerializeToString())
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
                return  # the process has ended; whoever reads its output knows how


class Client(Protocol):
    async def feed(self, to: Input) -> None:
        """Passes on what the client says, until it says no more."""
        ...

    async def output(self, channel: int, data: bytes) -> None: ...

    async def finish(self, status: channels.Json) -> None: ...


class Commands:
    def __init__(self, kubelets: Kubelets, clock: Clock) -> None:
        self._kubelets, self._clock = kubelets, clock

    async def handle(
        self, request: web.Request, namespace: str, pod: str, subresource: str
    ) -> web.StreamResponse:
        """ApiError for what is refused before there is a stream."""
        start = start_of(request, namespace, pod)
        upgrade = upgrades.of(request, channels.WEBSOCKET_PROTOCOLS, channels.SPDY_PROTOCOLS)
        call = await self._kubelets.command(METHODS[subresource], start)
        try:
            await opened(call)
            if upgrade.websocket:
                return await self._over_websocket(request, start, call, upgrade, subresource)
            return await self._over_spdy(request, start, call, upgrade, subresource)
        finally:
            call.cancel()

    async def _over_websocket(
        self,
        request: web.Request,
        start: pb.ExecStart,
        call: Call,
        upgrade: upgrades.Upgrade,
        subresource: str,
    ) -> web.StreamResponse:
        socket = await upgrades.websocket(request, upgrade)
        client = WebSocketClient(socket, start, upgrade.protocol)
        # The first message tells the client that its command is under way.
        await client.output(channels.STDOUT if start.stdout else channels.ERROR, b"")
        await run(call, client, subresource)
        await socket.close()
        return socket

    async def _over_spdy(
        self,
        request: web.Request,
        start: pb.ExecStart,
        call: Call,
        upgrade: upgrades.Upgrade,
        subresource: str,
    ) -> web.StreamResponse:
        wire, answer = await upgrades.spdy(request, upgrade)
        client = SpdyClient(wanted(start))
        session = Session(wire, self._clock, client.accept)
        async with session.serving() as reading:
            try:
                async with self._clock.timeout(STREAMS_SECONDS):
                    await either(client.complete.wait(), reading)
            except TimeoutError:
                return answer
            if client.complete.is_set():
                await run(call, client, subresource)
                await session.close(reading)
        return answer


async def opened(call: Call) -> None:
    """Until the kubelet has begun. ApiError or PlainRefusal where it refuses."""
    try:
        await begun(call)
    except ApiError as error:
        raise upgrades.not_upgraded(error) from error


async def begun(call: Call) -> None:
    """Until the kubelet has begun. ApiError where it refuses."""
    try:
        await call.initial_metadata()
        if call.done() and await call.code() is not grpc.StatusCode.OK:
            async for _ in call:
                pass
    except grpc.aio.AioRpcError as error:
        raise refusal_of(error) from error


async def run(call: Call, client: Client, subresource: str) -> None:
    """Until the process has ended, or the client hears nothing more."""
    try:
        async with alongside(client.feed(Input(call))):
            status = await _output(call, client, subresource)
        await client.finish(status)
    except ConnectionError:
        return


async def _output(call: Call, client: Client, subresource: str) -> channels.Json:
    code = 0
    try:
        async for raw in call:
            message = pb.ExecResponse.FromString(raw)
            match message.WhichOneof("message"):
                case "stdout":
                    await client.output(channels.STDOUT, message.stdout)
                case "stderr":
                    await client.output(channels.STDERR, message.stderr)
                case "exit_code":
                    code = message.exit_code
                    break  # the kubelet waits for us to hang up
    except grpc.aio.AioRpcError as error:
        return channels.failed(refusal_of(error))
    # How the main process ends is told by the Pod's status; to have been attached to it went well.
    return channels.ended(code if subresource == "exec" else 0)


class WebSocketClient:
    def __init__(self, socket: web.WebSocketResponse, start: pb.ExecStart, protocol: str) -> None:
        self._socket, self._start, self._protocol = socket, start, protocol

    async def feed(self, to: Input) -> None:
        async for message in self._socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if (said := channels.unframed(self._protocol, message.data)) is None:
                continue
            channel, data = said
            if channel == channels.STDIN and self._start.stdin and data:
                await to.stdin(data)
            elif channel == channels.CLOSE and data == bytes((channels.STDIN,)):
                await to.close_stdin()
            elif channel == channels.RESIZE and (size := channels.size_of(data)):
                await to.resize(*size)

    async def output(self, channel: int, data: bytes) -> None:
        if channel == channels.STDOUT and not self._start.stdout:
            return
        if channel == channels.STDERR and not self._start.stderr:
            return
        await upgrades.send(self._socket, self._protocol, channel, data)

    async def finish(self, status: channels.Json) -> None:
        if words := channels.last_words(self._protocol, status):
            await self.output(channels.ERROR, words)


class SpdyClient:
    """One stream for each of the channels, which the client opens in any order."""

    def __init__(self, expected: frozenset[str]) -> None:
        self._expected = expected
        self._streams: dict[str, Stream] = {}
        self.complete = asyncio.Event()

    async def accept(self, stream: Stream) -> None:
        name = stream.headers.get("streamtype", "")
        if name not in self._expected or name in self._streams:
            await stream.reset()
            return
        self._streams[name] = stream
        if len(self._streams) == len(self._expected):
            self.complete.set()

    async def feed(self, to: Input) -> None:
        async with asyncio.TaskGroup() as group:
            if stdin := self._streams.get("stdin"):
                group.create_task(self._stdin(stdin, to))
            if resize := self._streams.get("resize"):
                group.create_task(self._resize(resize, to))

    @staticmethod
    async def _stdin(stream: Stream, to: Input) -> None:
        try:
            while data := await stream.read():
                await to.stdin(data)
        except ConnectionError:
            pass
        await to.close_stdin()

    @staticmethod
    async def _resize(stream: Stream, to: Input) -> None:
        rest = b""
        try:
            while data := await stream.read():
                sizes, rest = channels.sizes_of(rest + data)
                for size in sizes[-1:]:
                    await to.resize(*size)
                rest = rest[-RESIZE_BYTES_MAX:]
        except ConnectionError:
            return

    async def output(self, channel: int, data: bytes) -> None:
        stream = self._streams.get("stdout" if channel == channels.STDOUT else "stderr")
        if stream is not None:
            await stream.write(data)

    async def finish(self, status: channels.Json) -> None:
        for name in ("stdout", "stderr"):
            if stream := self._streams.get(name):
                await stream.end()
        await self._streams["error"].write(orjson.dumps(status))
        await self._streams["error"].end()


def start_of(request: web.Request, namespace: str, pod: str) -> pb.ExecStart:
    """What the query asks for. ApiError (400)."""
    query = request.query

    def is_true(name: str) -> bool:
        return query.get(name, "") in TRUE

    start = pb.ExecStart(
        container=pb.ContainerReference(namespace=namespace, pod=pod, container=query.get("container", "")),
        command=query.getall("command", []),
        stdin=is_true("stdin"),
        stdout=is_true("stdout"),
        stderr=is_true("stderr") and not is_true("tty"),
        tty=is_true("tty"),
    )
    if not (start.stdin or start.stdout or start.stderr):
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return start


def wanted(start: pb.ExecStart) -> frozenset[str]:
    """The SPDY streams that the client will open."""
    names = {"stdin": start.stdin, "stdout": start.stdout, "stderr": start.stderr, "resize": start.tty}
    return frozenset({"error", *(name for name, is_wanted in names.items() if is_wanted)})


@asynccontextmanager
async def alongside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `work` while the block runs, and ends it then: the block sees the end that counts."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def either(work: Coroutine[Any, Any, Any], other: asyncio.Task[Any]) -> None:
    """Until one of them is done; the first is ended then."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, other), return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
