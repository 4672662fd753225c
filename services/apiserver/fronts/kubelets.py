"""Calls to the kubelet of the node that a Pod is on: what must hold before, and the connections.

Whoever serves clients (`node` over gRPC, `rest.streams` over HTTP) asks here, so that there is one answer to
which node, which container and whether at all. Channels to kubelets are kept, a bounded number of them.
A kubelet's refusal comes out as the AioRpcError that it is; `refusal_of` reads it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import orjson

from services.api import errors, kinds
from services.api.errors import ApiError
from services.apiserver.fronts.status import STATUS_KEY, metadata_of
from services.apiserver.registry import pod_location
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target
from services.client.credentials import KUBELET_SERVER_NAME, Credentials, open_channel
from services.machinery import trace
from services.machinery.clock import Clock
from services.pb.node.v1 import node_pb2 as pb

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
Call = Any  # a duplex call of grpc.aio whose messages are bytes


def _command_options(method: str, start: pb.ExecStart) -> Json:
    """PodExecOptions, PodAttachOptions: as admission is shown them."""
    shown = {
        "stdin": start.stdin, "stdout": start.stdout, "stderr": start.stderr, "tty": start.tty,
        "container": start.container.container, "command": list(start.command),
    }  # fmt: skip
    return {"kind": f"Pod{method}Options", "apiVersion": "v1", **{key: v for key, v in shown.items() if v}}


class KubeletRefusal(ApiError):
    """What a kubelet said, not the API server."""


class Kubelets:
    def __init__(self, registry: Registry, clock: Clock, credentials: Credentials | None = None) -> None:
        self._registry, self.clock, self._credentials = registry, clock, credentials
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()
        self._pods = _resource("pods")
        self._nodes = _resource("nodes")

    # -- what is asked ---------------------------------------------------------------------------

    async def logs(self, request: pb.LogsRequest) -> Call | None:
        """A call that yields LogsResponses; None where nothing has run. ApiError."""
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
            return None  # nothing has run, so nothing was said
        channel, metadata = await self._channel(node), _metadata()
        method = channel.unary_stream(f"/{SERVICE}/Logs", None, None)
        return method(request.SerializeToString(), metadata=metadata)

    async def command(
        self, method: str, start: pb.ExecStart, messages: AsyncIterator[bytes] | None = None
    ) -> Call:
        """Exec or Attach. What follows the start comes from `messages`, or is written to the call."""
        reference = start.container
        pod = await self._pod(reference)
        reference.container = pod_location.container_of(pod, reference.container)
        if method == "Exec" and not start.command:
            raise errors.bad_request("you must specify at least one command for the container")
        await self._admitted(reference, method.lower(), _command_options(method, start))
        node = pod_location.node_for_streams(pod, command=True)
        return await self._join(method, node, pb.ExecRequest(start=start), messages)

    async def port_forward(
        self, first: pb.PortForwardRequest, messages: AsyncIterator[bytes] | None = None
    ) -> Call:
        pod = await self._pod(first.pod)
        node = pod_location.node_for_streams(pod, command=False)
        return await self._join("PortForward", node, first, messages)

    async def check_port_forward(self, namespace: str, pod: str) -> None:
        """Whether there is a node to ask, and nobody who minds. ApiError."""
        reference = pb.ContainerReference(namespace=namespace, pod=pod)
        options = {"kind": "PodPortForwardOptions", "apiVersion": "v1"}
        await self._admitted(reference, "portforward", options)
        pod_location.node_for_streams(await self._pod(reference), command=False)

    async def _admitted(self, pod: pb.ContainerReference, subresource: str, options: Json) -> None:
        target = Target(self._pods, pod.namespace, pod.pod, subresource)
        await self._registry.connect(target, options)

    async def stats(self, request: pb.StatsRequest) -> pb.StatsResponse:
        channel = await self._channel(request.node)
        method = channel.unary_unary(f"/{SERVICE}/Stats", None, pb.StatsResponse.FromString)
        answer: pb.StatsResponse = await method(request.SerializeToString(), metadata=_metadata())
        return answer

    async def reach(self, node: str) -> None:
        """Whether a node's kubelet answers. ApiError."""
        await self._channel(node)

    # -- connections -----------------------------------------------------------------------------

    async def _join(self, method: str, node: str, first: Any, messages: AsyncIterator[bytes] | None) -> Call:
        channel, metadata = await self._channel(node), _metadata()
        duplex: Any = channel.stream_stream(f"/{SERVICE}/{method}", None, None)
        if messages is not None:
            return duplex(_after(first.SerializeToString(), messages), metadata=metadata)
        call = duplex(metadata=metadata)
        await call.write(first.SerializeToString())
        return call

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
        channel = self._channels.pop(address, None) or open_channel(
            address, self._credentials, OPTIONS, server_name=KUBELET_SERVER_NAME
        )
        self._channels[address] = channel
        if len(self._channels) > CHANNELS_MAX:
            await self._channels.popitem(last=False)[1].close(None)
        try:
            async with self.clock.timeout(CONNECT_SECONDS):
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


def refusal_of(error: grpc.aio.AioRpcError) -> ApiError:
    """What a kubelet answered; where it did not, that it could not be reached."""
    status = metadata_of(error.trailing_metadata()).get(STATUS_KEY)
    if isinstance(status, bytes):
        return KubeletRefusal(orjson.loads(status))
    return errors.failure(500, "", f"error dialing backend: {error.details()}")


def unreachable(address: str) -> ApiError:
    message = f"error dialing backend: dial tcp {address}: connect: connection refused"
    return errors.failure(500, "", message)


async def _after(first: bytes, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for message in messages:
        yield message


def _metadata() -> tuple[tuple[str, str], ...]:
    cause = trace.current()
    return (("traceparent", cause),) if cause else ()


def _resource(plural: str) -> kinds.Resource:
    found = kinds.resource_named("", "v1", plural)
    assert found is not None
    return found
