"""orrery.runtime.v1 StreamingService: exec and attach streams, connections into Pods, logs.

An adapter between gRPC streams (asyncio) and emulated processes (the kernel). Each direction is
bounded by a pipe of 64 KiB or a queue; a client that goes away takes its command with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from services.pb.runtime.v1 import streaming_pb2 as pb
from services.pb.runtime.v1.streaming_pb2_grpc import StreamingServiceServicer
from services.runtime.container import Container
from services.runtime.cri_calls import Context, Machines, node_of, refuse
from services.runtime.http import Request
from services.runtime.kernel import Future
from services.runtime.model import SIGHUP, ContainerState, RuntimeFault
from services.runtime.network import Connection, Namespace
from services.runtime.processes import Process
from services.runtime.sessions import Session, Sessions, attach
from services.runtime.streams import Null, Pipe, PipeReader, Sink, Stream
from services.runtime.terminal import Terminal, cooked, signal_family

CHUNKS_WAITING_MAX = 64
READ_BYTES = 256 * 1024
LINGER_SECONDS = 1.0
BODY_BYTES_MAX = 16 * 1024 * 1024


class StreamingService(StreamingServiceServicer):
    def __init__(self, machines: Machines, sessions: Sessions) -> None:
        self._machines = machines
        self._sessions = sessions

    async def Exec(
        self, requests: AsyncIterator[pb.StreamRequest], context: Context
    ) -> AsyncIterator[pb.StreamResponse]:
        session = await self._session(await anext(requests), context)
        answers: asyncio.Queue[pb.StreamResponse | None] = asyncio.Queue()
        leader: list[Process] = []
        keyboard = _keyboard(session, answers, leader)
        streams = _outputs(keyboard.stream, answers, tty=session.tty)
        try:
            process = session.container.exec(session.command, streams, tty=session.tty)
        except RuntimeFault as fault:
            await refuse(context, fault)
        leader.append(process)
        keyboard.stream.release()
        process.exit.on_done(lambda: answers.put_nowait(pb.StreamResponse(exit_code=process.exit.value())))
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(keyboard.feed(requests, session.container.kernel.call))
            try:
                while True:
                    answer = await answers.get()
                    assert answer is not None
                    yield answer
                    if answer.WhichOneof("message") == "exit_code":
                        # The caller hangs up. If we did, what it still types would break its stream, and
                        # with it the answers that it has not read yet.
                        await session.container.kernel.clock.sleep(LINGER_SECONDS)
                        return
            finally:
                feeding.cancel()
                if not process.exit.done:
                    signal_family(process, SIGHUP)

    async def Attach(
        self, requests: AsyncIterator[pb.StreamRequest], context: Context
    ) -> AsyncIterator[pb.StreamResponse]:
        session = await self._session(await anext(requests), context)
        container = session.container
        answers: asyncio.Queue[pb.StreamResponse | None] = asyncio.Queue()

        def deliver(name: str, data: bytes) -> None:
            if answers.qsize() < CHUNKS_WAITING_MAX * 16:  # slower than that: it misses some
                answers.put_nowait(_chunk(name, data))

        try:
            sink = attach(container, deliver)
        except RuntimeFault as fault:
            await refuse(context, fault)

        def over() -> None:
            answers.put_nowait(None)

        container.ended.on_done(over)
        async with asyncio.TaskGroup() as group:
            feeding = None
            if session.stdin and container.stdin is not None:
                keyboard = _PipeKeyboard(container.stdin)
                feeding = group.create_task(keyboard.feed(requests, container.kernel.call))
            try:
                while (answer := await answers.get()) is not None:
                    yield answer
            finally:
                container.attached.discard(sink)
                container.ended.forget(over)
                if feeding is not None:
                    feeding.cancel()
                    if container.config.stdin_once and container.stdin is not None:
                        container.stdin.close_writer()

    async def _session(self, first: pb.StreamRequest, context: Context) -> Session:
        try:
            session = self._sessions.take(first.token)
        except RuntimeFault as fault:
            await refuse(context, fault)
        if not isinstance(session, Session):
            await refuse(context, RuntimeFault("INVALID_ARGUMENT", "this token is for a forwarded port"))
        return session

    # -- connections --------------------------------------------------------------------------

    async def PortForward(
        self, requests: AsyncIterator[pb.ConnectRequest], context: Context
    ) -> AsyncIterator[pb.ConnectResponse]:
        first = await anext(requests)
        try:
            announced = self._sessions.take(first.token)
        except RuntimeFault as fault:
            await refuse(context, fault)
        if isinstance(announced, Session):
            await refuse(context, RuntimeFault("INVALID_ARGUMENT", "this token is for a command"))
        machine, sandbox = announced
        # As upstream: the connection is made inside the Pod, to its localhost.
        async for response in self._carry(
            requests, context, machine.name, sandbox.namespace, "127.0.0.1", first.port, first.data
        ):
            yield response

    async def Connect(
        self, requests: AsyncIterator[pb.ConnectRequest], context: Context
    ) -> AsyncIterator[pb.ConnectResponse]:
        first = await anext(requests)
        node = node_of(context)
        source = self._machines(node).host
        async for response in self._carry(requests, context, node, source, first.ip, first.port, first.data):
            yield response

    async def _carry(
        self,
        requests: AsyncIterator[pb.ConnectRequest],
        context: Context,
        node: str,
        source: Namespace,
        ip: str,
        port: int,
        data: bytes,
    ) -> AsyncIterator[pb.ConnectResponse]:
        machine = self._machines(node)
        kernel = machine.kernel
        try:
            connection = await kernel.call(machine.network.connect(source, ip, port))
        except OSError as error:
            await refuse(context, _dial_fault(ip, port, error))
        yield pb.ConnectResponse()
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send(requests, connection, data, kernel.call))
            try:
                while piece := await kernel.call(connection.incoming.read(READ_BYTES)):
                    yield pb.ConnectResponse(data=piece)
                yield pb.ConnectResponse(end=True)
            finally:
                sending.cancel()
                connection.close()

    async def Http(self, request: pb.HttpRequest, context: Context) -> pb.HttpResponse:
        machine = self._machines(node_of(context))
        path = request.path if request.path.startswith("/") else f"/{request.path}"
        message = Request(
            request.method or "GET",
            path,
            tuple((header.name, header.value) for header in request.headers),
            request.body,
        )
        try:
            async with machine.kernel.clock.timeout(request.timeout_seconds or None):
                response = await machine.kernel.call(
                    machine.network.http(machine.host, request.ip, request.port, message)
                )
        except TimeoutError:
            url = f"{request.scheme or 'http'}://{request.ip}:{request.port}{path}"
            words = f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
            await refuse(context, RuntimeFault("DEADLINE_EXCEEDED", words))
        except OSError as error:
            await refuse(context, _dial_fault(request.ip, request.port, error))
        return pb.HttpResponse(
            status=response.status,
            headers=[pb.Header(name=name, value=value) for name, value in response.headers],
            body=response.body[:BODY_BYTES_MAX],
        )

    # -- logs ---------------------------------------------------------------------------------

    async def ReadLog(
        self, request: pb.ReadLogRequest, context: Context
    ) -> AsyncIterator[pb.ReadLogResponse]:
        machine = self._machines(node_of(context))
        try:
            container = machine.container(request.container_id)
        except RuntimeFault as fault:
            await refuse(context, fault)
        tail = request.tail_lines if request.HasField("tail_lines") else None
        async for data in _read_log(container, tail, follow=request.follow):
            yield pb.ReadLogResponse(data=data)


def _outputs(
    stdin: Stream, answers: asyncio.Queue[pb.StreamResponse | None], *, tty: bool
) -> dict[int, Stream]:
    def deliver(name: str, data: bytes) -> None:
        answers.put_nowait(_chunk(name, cooked(data) if tty else data))

    out = Sink("stdout", deliver, terminal=tty)
    return {0: stdin, 1: out, 2: Sink("stdout" if tty else "stderr", deliver, terminal=tty)}


class _PipeKeyboard:
    """Input as it comes: no terminal."""

    def __init__(self, pipe: Pipe | None) -> None:
        self._pipe = pipe
        self.stream: Stream = PipeReader(pipe) if pipe is not None else Null()

    async def feed(self, requests: AsyncIterator[pb.StreamRequest], call: Callable[..., Any]) -> None:
        """Input from the client to the command, until either ends."""
        if self._pipe is None:
            return
        try:
            async for request in requests:
                kind = request.WhichOneof("message")
                if kind == "stdin":
                    await call(self._pipe.write(request.stdin))
                elif kind == "stdin_closed":
                    break
        except BrokenPipeError:
            return
        finally:
            self._pipe.close_writer()


class _TerminalKeyboard:
    """Input through a terminal, which echoes it and makes signals of some keys."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.stream: Stream = terminal

    async def feed(self, requests: AsyncIterator[pb.StreamRequest], call: Callable[..., Any]) -> None:
        try:
            async for request in requests:
                kind = request.WhichOneof("message")
                if kind == "stdin":
                    self._terminal.type(request.stdin)
                elif kind == "stdin_closed":
                    break
        finally:
            self._terminal.hang_up()


def _keyboard(
    session: Session, answers: asyncio.Queue[pb.StreamResponse | None], leader: list[Process]
) -> _PipeKeyboard | _TerminalKeyboard:
    if not session.stdin or not session.tty:
        return _PipeKeyboard(Pipe() if session.stdin else None)

    def interrupt(number: int) -> None:
        for process in leader:
            signal_family(process, number)

    return _TerminalKeyboard(Terminal(lambda data: answers.put_nowait(_chunk("stdout", data)), interrupt))


def _chunk(name: str, data: bytes) -> pb.StreamResponse:
    return pb.StreamResponse(stderr=data) if name == "stderr" else pb.StreamResponse(stdout=data)


async def _send(
    requests: AsyncIterator[pb.ConnectRequest],
    connection: Connection,
    data: bytes,
    call: Callable[..., Any],
) -> None:
    try:
        if data:
            await call(connection.outgoing.write(data))
        async for request in requests:
            if request.data:
                await call(connection.outgoing.write(request.data))
            if request.end:
                break
    except BrokenPipeError:
        return
    connection.outgoing.close_writer()


def _dial_fault(ip: str, port: int, error: OSError) -> RuntimeFault:
    words = (error.strerror or str(error)).lower()
    return RuntimeFault("UNAVAILABLE", f"dial tcp {ip}:{port}: connect: {words}")


async def _read_log(container: Container, tail: int | None, *, follow: bool) -> AsyncIterator[bytes]:
    log, path = container.log, container.log.path
    if path is None:
        return
    at = _tail_offset(path, tail)
    while True:
        changed: Future[None] = Future()
        tell = _once(changed)
        log.followers.add(tell)
        try:
            over = container.state in (ContainerState.EXITED, ContainerState.UNKNOWN)
            while data := _piece(path, at):
                at += len(data)
                yield data
            if not follow or over:
                return
            await container.kernel.wait(changed)
            if _shrunk(path, at):
                at = 0
        finally:
            log.followers.discard(tell)


def _once(future: Future[None]) -> Callable[[], None]:
    return lambda: future.set(None)


def _piece(path: Path, at: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            data = file.read(READ_BYTES)
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1] or data


def _shrunk(path: Path, at: int) -> bool:
    """Whether the file was rotated under us."""
    return path.exists() and path.stat().st_size < at


def _tail_offset(path: Path, lines: int | None) -> int:
    if lines is None or not path.exists():
        return 0
    data = path.read_bytes()
    at = len(data)
    for _ in range(lines + 1):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return 0
    return at + 1 if lines else len(data)
