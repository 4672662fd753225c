"""A gRPC channel to services of the same process: calls without sockets, threads and HTTP/2.

What gRPC calls the in-process transport, which grpcio lacks. Requests and answers are still put into
bytes and read again, so that nothing passes here that could not pass on a wire, and neither side can
change what the other holds; a deadline, a refusal, a fault of the other side and a cancellation look to
the caller as they do on a wire. What is not served here goes over the channel that stands beside.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, NoReturn

import grpc
import grpc.aio

from services.machinery.clock import Clock
from services.process.logging import Logger

Metadata = Sequence[tuple[str, str | bytes]]
Handlers = Mapping[str, Any]  # grpc.RpcMethodHandler

AHEAD_MESSAGES_MAX = 16  # of a stream, before its maker waits for its reader


class InProcessServer:
    """Takes services as a `grpc.aio.Server` does."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_registered_method_handlers(self, service: str, handlers: Handlers) -> None:
        self.handlers.update({f"/{service}/{name}": handler for name, handler in handlers.items()})

    def add_generic_rpc_handlers(self, handlers: Iterable[object]) -> None:
        """The generated code registers every method by its name as well."""


class InProcessChannel:
    """What the generated stubs ask of a channel. `rest` carries what is not served here."""

    def __init__(self, server: InProcessServer, rest: grpc.aio.Channel, clock: Clock, log: Logger) -> None:
        self._handlers = server.handlers
        self._clock, self._log = clock, log
        self.stream_unary = rest.stream_unary
        self._rest = rest

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **options: Any
    ) -> Callable[..., Awaitable[Any]]:
        handler: Any = self._handlers.get(method)
        if handler is None:
            return self._rest.unary_unary(method, request_serializer, response_deserializer, **options)

        async def call(request: Any, *, metadata: Metadata = (), timeout: float | None = None) -> Any:
            asked = handler.request_deserializer(request_serializer(request))
            context = _Context(metadata)
            try:
                work = handler.unary_unary(asked, context)
                answer = await (work if timeout is None else self._in_time(work, timeout))
            except _Refused as refusal:
                raise refusal.as_rpc_error() from refusal
            except Exception as fault:  # the edge: whatever happened, the caller gets a status
                raise self._fault(method, fault) from fault
            if context.code is not None:
                raise _rpc_error(context.code, context.details)
            return response_deserializer(handler.response_serializer(answer))

        return call

    def unary_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **options: Any
    ) -> Callable[..., Any]:
        handler: Any = self._handlers.get(method)
        if handler is None:
            return self._rest.unary_stream(method, request_serializer, response_deserializer, **options)

        def call(request: Any, *, metadata: Metadata = ()) -> _Stream:
            asked = handler.request_deserializer(request_serializer(request))
            messages = handler.unary_stream(asked, _Context(metadata))
            return _Stream(
                messages,
                lambda message: response_deserializer(handler.response_serializer(message)),
                lambda fault: self._fault(method, fault),
            )

        return call

    def stream_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **options: Any
    ) -> Callable[..., Any]:
        handler: Any = self._handlers.get(method)
        if handler is None:
            return self._rest.stream_stream(method, request_serializer, response_deserializer, **options)

        def call(*, metadata: Metadata = (), timeout: float | None = None) -> _Dialogue:
            return _Dialogue(
                lambda requests: handler.stream_stream(requests, _Context(metadata)),
                lambda request: handler.request_deserializer(request_serializer(request)),
                lambda message: response_deserializer(handler.response_serializer(message)),
                lambda fault: self._fault(method, fault),
                self._clock.timeout(timeout),
            )

        return call

    async def _in_time(self, work: Awaitable[Any], seconds: float) -> Any:
        try:
            async with self._clock.timeout(seconds):
                return await work
        except TimeoutError:
            raise _Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None

    def _fault(self, method: str, fault: Exception) -> grpc.aio.AioRpcError:
        self._log.error("A call met a fault of ours", method=method, exc_info=fault)
        return _rpc_error(grpc.StatusCode.UNKNOWN, f"Unexpected {type(fault)}: {fault}")


class _Stream:
    """An answer of many messages. Its maker runs as a task of its own until it ends or is cancelled."""

    def __init__(
        self,
        messages: Any,
        passed_on: Callable[[Any], Any],
        fault: Callable[[Exception], grpc.aio.AioRpcError],
    ) -> None:
        self._passed_on, self._fault = passed_on, fault
        self._ahead: asyncio.Queue[tuple[bool, Any]] = asyncio.Queue(AHEAD_MESSAGES_MAX)
        self._task = asyncio.get_running_loop().create_task(self._make(messages))

    async def _make(self, messages: Any) -> None:
        error: grpc.aio.AioRpcError | None = None
        try:
            async with aclosing(messages):
                async for message in messages:
                    await self._ahead.put((True, self._passed_on(message)))
        except _Refused as refusal:
            error = refusal.as_rpc_error()
        except Exception as fault:  # the edge, as above
            error = self._fault(fault)
        await self._ahead.put((False, error))

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            more, item = await self._ahead.get()
            if more:
                yield item
            elif item is not None:
                raise item
            else:
                return

    def cancel(self) -> bool:
        return self._task.cancel()


class _Dialogue:
    """Messages both ways: what of `grpc.aio.StreamStreamCall` reads and writes one by one.

    The other side runs as a task of its own until it ends, is cancelled or its time is up. Each
    direction holds `AHEAD_MESSAGES_MAX` messages; then whoever makes them waits.
    """

    def __init__(
        self,
        serve: Callable[[AsyncIterator[Any]], Any],
        asked: Callable[[Any], Any],
        answered: Callable[[Any], Any],
        fault: Callable[[Exception], grpc.aio.AioRpcError],
        deadline: AbstractAsyncContextManager[Any],
    ) -> None:
        self._asked, self._answered, self._fault = asked, answered, fault
        self._requests: deque[Any] = deque()
        self._answers: deque[Any] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._no_more = self._over = False
        self._error: grpc.aio.AioRpcError | None = None
        self._task = asyncio.get_running_loop().create_task(self._run(serve, deadline))
        # A task that is cancelled before its first step runs none of its code.
        self._task.add_done_callback(lambda _: self._end())

    async def _run(
        self, serve: Callable[[AsyncIterator[Any]], Any], deadline: AbstractAsyncContextManager[Any]
    ) -> None:
        try:
            async with deadline, aclosing(serve(self._read_requests())) as messages:
                async for message in messages:
                    await self._put(self._answers, self._answered(message))
        except _Refused as refusal:
            self._error = refusal.as_rpc_error()
        except TimeoutError:
            self._error = _rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        except Exception as fault:  # the edge, as above
            self._error = self._fault(fault)

    def _end(self) -> None:
        if self._task.cancelled():
            self._error = _rpc_error(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
        self._over = True
        self._wake()

    async def _read_requests(self) -> AsyncIterator[Any]:
        while True:
            while self._requests:
                yield self._requests.popleft()
                self._wake()
            if self._no_more:
                return
            await self._wait()

    async def _put(self, queue: deque[Any], message: Any) -> None:
        while len(queue) >= AHEAD_MESSAGES_MAX and not self._over:
            await self._wait()
        queue.append(message)
        self._wake()

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def write(self, message: Any) -> None:
        """As gRPC: AioRpcError when the call has failed, InvalidStateError when it has ended."""
        if not self._over:
            await self._put(self._requests, self._asked(message))
        elif self._error is not None:
            raise self._error
        else:
            raise asyncio.InvalidStateError("RPC already finished.")

    async def done_writing(self) -> None:
        self._no_more = True
        self._wake()

    async def read(self) -> Any:
        """The next message; EOF at the end; AioRpcError when the call has failed."""
        while not self._answers:
            if self._error is not None:
                raise self._error
            if self._over:
                return grpc.aio.EOF  # type: ignore[attr-defined]
            await self._wait()
        message = self._answers.popleft()
        self._wake()
        return message

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
            yield message

    async def code(self) -> grpc.StatusCode:
        while not self._over:
            await self._wait()
        return self._error.code() if self._error is not None else grpc.StatusCode.OK

    async def details(self) -> str:
        await self.code()
        return (self._error.details() or "") if self._error is not None else ""

    def cancel(self) -> bool:
        return self._task.cancel()


class _Context:
    """What a service may ask and tell of its call."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self.code: grpc.StatusCode | None = None
        self.details = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Nobody waits for it: the call stands as soon as it is made."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        raise _Refused(code, details)


class _Refused(grpc.aio.AbortError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details

    def as_rpc_error(self) -> grpc.aio.AioRpcError:
        return _rpc_error(self.code, self.details)


def _rpc_error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details, None)
