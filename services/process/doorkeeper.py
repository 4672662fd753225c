"""Who may call which service of a node: the API server its logs and commands, other nodes its Pod network.

Certificates alone decide, by their groups: a node asks nobody, and serves while the API server is away.
Health and reflection are for everybody. Upstream's kubelet: `--client-ca-file`, `--anonymous-auth=false`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from inspect import isasyncgenfunction
from typing import Any

import grpc
import grpc.aio
import orjson

from services.api import errors
from services.process.peers import Peers

STATUS_KEY = "kubernetes-status-bin"
OPEN = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class Doorkeeper(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """`groups`: who may call, for each service by its full name."""

    def __init__(self, groups: Mapping[str, tuple[str, ...]]) -> None:
        self._groups, self._peers = groups, Peers()

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        service = method.lstrip("/").partition("/")[0]
        if handler is None or service in OPEN:
            return handler
        return _behind(handler, lambda context: self._refusal(context, service))

    def _refusal(self, context: Any, service: str) -> errors.ApiError | None:
        peer = self._peers.of(context)
        if peer is None:
            return errors.failure(401, "Unauthorized", "Unauthorized")
        if any(group in peer.groups for group in self._groups.get(service, ())):
            return None
        return errors.failure(403, "Forbidden", f'Forbidden (user="{peer.name}", service="{service}")')


def _behind(handler: Any, refusal_of: Callable[[Any], errors.ApiError | None]) -> Any:
    """The same handler, for those who are let in."""

    def stopped(context: Any) -> bool:
        refusal = refusal_of(context)
        if refusal is not None:
            context.set_code(_CODES[refusal.code])
            context.set_details(refusal.message)
            context.set_trailing_metadata(((STATUS_KEY, orjson.dumps(refusal.status)),))
        return refusal is not None

    inner = handler.stream_stream or handler.unary_stream or handler.stream_unary or handler.unary_unary

    async def yielded(request: Any, context: Any) -> AsyncIterator[Any]:
        if not stopped(context):
            async for message in inner(request, context):
                yield message

    async def answered(request: Any, context: Any) -> Any:
        return None if stopped(context) else await inner(request, context)

    make = _MAKE[handler.request_streaming, handler.response_streaming]
    work = yielded if isasyncgenfunction(inner) else answered
    return make(work, handler.request_deserializer, handler.response_serializer)


# By whether many messages come, and whether many go.
_MAKE: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
_CODES = {401: grpc.StatusCode.UNAUTHENTICATED, 403: grpc.StatusCode.PERMISSION_DENIED}
