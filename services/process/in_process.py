"""A gRPC channel to services of the same process: calls without sockets, threads and HTTP/2.

What gRPC calls the in-process transport, which grpcio lacks. Requests and answers are still put into
bytes and read again, so that nothing passes here that could not pass on a wire, and neither side can
change what the other holds; a deadline, a refusal, a fault of the other side and a cancellation look to
the caller as they do on a wire. Only calls with one request are made here: those that stream
requests go over the channel that stands beside this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
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
        self.stream_stream = rest.stream_stream
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
