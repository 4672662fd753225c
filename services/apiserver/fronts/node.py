"""NodeService as clients see it: each call goes on to the kubelet of the node that is meant.

Only the first message is read, to learn where to; all others pass as bytes. A kubelet's refusal
is handed on as it came. Channels to kubelets are kept, a bounded number of them.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import orjson

from services.api import errors, kinds
from services.api.errors import ApiError
from services.apiserver.fronts.calls import Caller, Calls, Context, parse
from services.apiserver.registry import pod_location
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target
from services.machinery import trace
from services.machinery.clock import Clock
from services.pb.node.v1 import node_pb2 as pb
from services.process.logging import Logger

SERVICE = "node.v1.NodeService"
CHANNELS_MAX = 256
CONNECT_SECONDS = 5.0
OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
Json = dict[str, Any]


class NodeFront:
    def __init__(self, registry: Registry, clock: Clock, chance: random.Random, log: Logger) -> None:
        self._registry, self._clock = registry, clock
        self._calls = Calls(chance, log)
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()
        self._pods = _resource("pods")
        self._nodes = _resource("nodes")

    def add_to(self, server: grpc.aio.Server) -> None:
        calls = self._calls
        handlers = {
            "Logs": calls.stream(pb.LogsRequest, self._logs),
            "Exec": calls.duplex(self._exec),
            "Attach": calls.duplex(self._attach),
            "PortForward": calls.duplex(self._port_forward),
            "Stats": calls.unary(pb.StatsRequest, self._stats),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    # -- what is asked ---------------------------------------------------------------------------

    async def _logs(self, request: pb.LogsRequest, caller: Caller, context: Context) -> None:
        reference = request.container
        pod = await self._pod(reference)
        pod_location.check_log_options(
            reference.pod,
            tail_lines=request.tail_lines if request.HasField("tail_lines") else None,
            since_seconds=request.since_seconds if request.HasField("since_seconds") else None,
            limit_bytes=request.limit_bytes if request.HasField("limit_bytes") else None,
            since_time=request.since_time,
        )
        reference.container = pod_location.container_of(pod, reference.container)
        node = pod["spec"].get("nodeName", "")
        if not node:
            return  # nothing has run, so nothing was said
        channel, metadata = await self._channel(node), self._metadata()
        method = channel.unary_stream(f"/{SERVICE}/Logs", None, None)
        call = method(request.SerializeToString(), metadata=metadata)
        async for chunk in call:
            await context.write(chunk)

    async def _exec(self, messages: AsyncIterator[bytes], context: Context) -> None:
        await self._command("Exec", messages, context)

    async def _attach(self, messages: AsyncIterator[bytes], context: Context) -> None:
        await self._command("Attach", messages, context)

    async def _command(self, method: str, messages: AsyncIterator[bytes], context: Context) -> None:
        first = parse(pb.ExecRequest, await _first(messages))
        if first.WhichOneof("message") != "start":
            raise errors.bad_request("the first message must say what to start")
        reference = first.start.container
        pod = await self._pod(reference)
        reference.container = pod_location.container_of(pod, reference.container)
        if method == "Exec" and not first.start.command:
            raise errors.bad_request("you must specify at least one command for the container")
        node = pod_location.node_for_streams(pod, command=True)
        await self._join(method, node, first.SerializeToString(), messages, context)

    async def _port_forward(self, messages: AsyncIterator[bytes], context: Context) -> None:
        first = parse(pb.PortForwardRequest, await _first(messages))
        pod = await self._pod(first.pod)
        node = pod_location.node_for_streams(pod, command=False)
        await self._join("PortForward", node, first.SerializeToString(), messages, context)

    async def _stats(self, request: pb.StatsRequest, caller: Caller) -> pb.StatsResponse:
        channel = await self._channel(request.node)
        method = channel.unary_unary(f"/{SERVICE}/Stats", None, pb.StatsResponse.FromString)
        answer: pb.StatsResponse = await method(request.SerializeToString(), metadata=self._metadata())
        return answer

    # -- passing on ------------------------------------------------------------------------------

    async def _join(
        self, method: str, node: str, first: bytes, messages: AsyncIterator[bytes], context: Context
    ) -> None:
        """Both directions at once, until the kubelet has ended the call."""
        channel, metadata = await self._channel(node), self._metadata()

        async def onward() -> AsyncIterator[bytes]:
            yield first
            async for message in messages:
                yield message

        call = channel.stream_stream(f"/{SERVICE}/{method}", None, None)(onward(), metadata=metadata)
        try:
            async for message in call:
                await context.write(message)
        finally:
            call.cancel()

    async def _pod(self, reference: pb.ContainerReference) -> Json:
        target = Target(self._pods, reference.namespace, reference.pod)
        if not reference.namespace or not reference.pod:
            raise errors.bad_request("a pod must be named with its namespace")
        obj: Json = orjson.loads((await self._registry.get(target)).item.value)
        return obj

    async def _channel(self, node: str) -> grpc.aio.Channel:
        """A connection to the kubelet of that node. ApiError 404, 500."""
        found = await self._registry.get(Target(self._nodes, "", node), "0")
        address = pod_location.address_of(orjson.loads(found.item.value))
        channel = self._channels.pop(address, None) or grpc.aio.insecure_channel(address, options=OPTIONS)
        self._channels[address] = channel
        if len(self._channels) > CHANNELS_MAX:
            await self._channels.popitem(last=False)[1].close(None)
        try:
            async with self._clock.timeout(CONNECT_SECONDS):
                await self._connected(channel)
        except (TimeoutError, ConnectionError):
            raise unreachable(address) from None
        return channel

    @staticmethod
    async def _connected(channel: grpc.aio.Channel) -> None:
        state = channel.get_state(try_to_connect=True)
        while state != grpc.ChannelConnectivity.READY:
            if state == grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise ConnectionError
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)

    @staticmethod
    def _metadata() -> tuple[tuple[str, str], ...]:
        cause = trace.current()
        return (("traceparent", cause),) if cause else ()


def unreachable(address: str) -> ApiError:
    message = f"error dialing backend: dial tcp {address}: connect: connection refused"
    return errors.failure(500, "", message)


async def _first(messages: AsyncIterator[bytes]) -> bytes:
    async for message in messages:
        return message
    raise errors.bad_request("the call ended before it said what to do")


def _resource(plural: str) -> kinds.Resource:
    found = kinds.resource_named("", "v1", plural)
    assert found is not None
    return found
