"""orrery.runtime.v1 StreamingService: exec and attach streams, connections into Pods, logs.

An adapter between gRPC streams (asyncio) and emulated processes (the kernel). Each direction is
bounded by a pipe of 64 KiB or a queue; a client that goes away takes its command with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from services.pb.runtime.v1 import streaming_pb2 as pb
from services.pb.runtime.v1.streaming_pb2_grpc import StreamingServiceServicer
from services.process.log_files import LogCursor
from services.runtime.container import Container
from services.runtime.cri_calls import Context, Machines, node_of, refuse
from services.runtime.http import Request
from services.runtime.kernel import Future
from services.runtime.keyboards import (
    Keyboard,
    Outbox,
    PipeKeyboard,
    TerminalKeyboard,
    chunk,
    of_container,
    outputs,
)
from services.runtime.model import SIGHUP, ContainerState, RuntimeFault
from services.runtime.network import Connection, Namespace
from services.runtime.processes import Process
from services.runtime.sessions import Session, Sessions, attach
from services.runtime.streams import Pipe
from services.runtime.terminal import Terminal, cooked, signal_family

READ_BYTES = 256 * 1024
LINGER_SECONDS = 10.0  # for a caller to hang up after the last message
BODY_BYTES_MAX = 16 * 1024 * 1024


class StreamingService(StreamingServiceServicer):
    def __init__(self, machines: Machines, sessions: Sessions) -> None:
        self._machines = machines
        self._sessions = sessions

    async def Exec(
        self, requests: AsyncIterator[pb.StreamRequest], context: Context
    ) -> AsyncIterator[pb.StreamResponse]:
        session = await self._session(requests, context)
        outbox, leader = Outbox(), list[Process]()
        keyboard = _keyboard(session, outbox, leader)
        streams = outputs(keyboard.stream, outbox, tty=session.tty)
        try:
            process = session.container.exec(session.command, streams, tty=session.tty)
        except RuntimeFault as fault:
            await refuse(context, fault)
        leader.append(process)
        for stream in streams.values():  # the process has holds of its own
            stream.release()
        process.exit.on_done(lambda: outbox.put(pb.StreamResponse(exit_code=process.exit.value())))
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(keyboard.feed(requests, session.container.kernel.call))
            try:
                while (answer := await outbox.get()) is not None:
                    yield answer
                    if answer.WhichOneof("message") == "exit_code":
                        # The caller hangs up. If we did, what it still types would break its stream, and
                        # with it the answers that it has not read yet.
                        await session.container.kernel.clock.sleep(LINGER_SECONDS)
                        return
            finally:
                feeding.cancel()
                outbox.close()
                if not process.exit.done:
                    signal_family(process, SIGHUP)

    async def Attach(
        self, requests: AsyncIterator[pb.StreamRequest], context: Context
    ) -> AsyncIterator[pb.StreamResponse]:
        session = await self._session(requests, context)
        container, outbox = session.container, Outbox()

        def deliver(name: str, data: bytes) -> None:
            if not outbox.full:  # the container waits for nobody who looks on: a slow one misses some
                outbox.put(chunk(name, cooked(data) if container.config.tty else data))

        try:
            sink = attach(container, deliver)
        except RuntimeFault as fault:
            await refuse(context, fault)

        def over() -> None:
            outbox.put(pb.StreamResponse(exit_code=0))  # to have been attached went well

        container.ended.on_done(over)
        async with asyncio.TaskGroup() as group:
            keyboard = of_container(container) if session.stdin else None
            feeding = None
            if keyboard is not None:
                feeding = group.create_task(keyboard.feed(requests, container.kernel.call))
            try:
                while (answer := await outbox.get()) is not None:
                    yield answer
                    if answer.WhichOneof("message") == "exit_code":
                        if feeding is not None:  # as above
                            await container.kernel.clock.sleep(LINGER_SECONDS)
                        return
            finally:
                container.attached.discard(sink)
                container.ended.forget(over)
                outbox.close()
                if feeding is not None:
                    feeding.cancel()

    async def _session(self, requests: AsyncIterator[pb.StreamRequest], context: Context) -> Session:
        first = await anext(requests, None)
        try:
            session = self._sessions.take(first.token if first is not None else "")
        except RuntimeFault as fault:
            await refuse(context, fault)
        if not isinstance(session, Session):
            await refuse(context, RuntimeFault("INVALID_ARGUMENT", "this token is for a forwarded port"))
        return session

    # -- connections --------------------------------------------------------------------------

    async def PortForward(
        self, requests: AsyncIterator[pb.ConnectRequest], context: Context
    ) -> AsyncIterator[pb.ConnectResponse]:
        first = await anext(requests, pb.ConnectRequest())
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
        first = await anext(requests, pb.ConnectRequest())
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
        if not 0 < port < 65536:
            await refuse(context, RuntimeFault("INVALID_ARGUMENT", f"invalid port number: {port}"))
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


def _keyboard(session: Session, outbox: Outbox, leader: list[Process]) -> Keyboard:
    if not session.stdin or not session.tty:
        return PipeKeyboard(Pipe() if session.stdin else None)

    def interrupt(number: int) -> None:
        for process in leader:
            signal_family(process, number)

    return TerminalKeyboard(Terminal(lambda data: outbox.put(chunk("stdout", data)), interrupt))


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
    log = container.log
    if log.path is None:
        return
    with LogCursor(log.path, tail) as cursor:
        while True:
            changed: Future[None] = Future()
            tell = _once(changed)
            log.followers.add(tell)
            try:
                over = container.state in (ContainerState.EXITED, ContainerState.UNKNOWN)
                while data := cursor.read():
                    yield data
                if not follow or over:
                    return
                await container.kernel.wait(changed)
            finally:
                log.followers.discard(tell)


def _once(future: Future[None]) -> Callable[[], None]:
    return lambda: future.set(None)
