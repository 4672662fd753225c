"""NodeService: logs, commands and connections into the containers of this process's nodes.

The API server is the caller, on behalf of a user. Which node is meant follows from the Pod, so that
one port serves all nodes of a process. Refusals carry a Kubernetes `Status`, in upstream's
words; the streams end when the caller goes away. The only part that knows `node.v1`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import orjson

from services.api import errors
from services.api.errors import ApiError
from services.kubelet import log_source
from services.kubelet.cri import CriError
from services.kubelet.cri_streams import GrpcDuplex
from services.kubelet.fleet import Fleet
from services.kubelet.kubelet import Kubelet
from services.kubelet.log_lines import LineFilter
from services.kubelet.pod_worker import PodWorker
from services.kubelet.stats_source import node_summary
from services.machinery.clock import Clock, parse_time
from services.pb.node.v1 import node_pb2 as pb
from services.pb.node.v1.node_pb2_grpc import NodeServiceServicer

NAME = "node.v1.NodeService"
LINGER_SECONDS = 10.0  # for a caller to hang up after the last message
STATUS_KEY = "kubernetes-status-bin"
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
Context = grpc.aio.ServicerContext[Any, Any]


def _refuse(context: Context, error: ApiError) -> None:
    """The last thing a call does. What `abort` raises grpc.aio keeps until the garbage collector comes."""
    context.set_trailing_metadata(((STATUS_KEY, orjson.dumps(error.status)),))
    context.set_code(_CODES.get(error.code, grpc.StatusCode.INTERNAL))
    context.set_details(error.message)


class NodeService(NodeServiceServicer):
    def __init__(self, fleet: Callable[[], Fleet], clock: Clock) -> None:
        self._fleet, self._clock = fleet, clock

    def _find(self, reference: pb.ContainerReference) -> tuple[Kubelet, PodWorker]:
        found = self._fleet().find(reference.namespace, reference.pod)
        if found is None:
            raise errors.failure(404, "NotFound", f'pod "{reference.pod}" cannot be found on this node')
        return found

    def _running(self, reference: pb.ContainerReference) -> tuple[Kubelet, str]:
        """The kubelet, and the id of the container that a command is to run in."""
        kubelet, worker = self._find(reference)
        name = log_source.container_name(worker.pod, reference.container)
        record = worker.view.current.get(name)
        if record is None or not record.running:
            raise errors.failure(404, "NotFound", f'container not found ("{name}")')
        return kubelet, record.id

    # ---- Logs --------------------------------------------------------------------------------

    async def Logs(self, request: pb.LogsRequest, context: Context) -> AsyncIterator[pb.LogsResponse]:
        try:
            kubelet, worker = self._find(request.container)
            name = log_source.container_name(worker.pod, request.container.container)
            identifier = log_source.instance(worker, name, previous=request.previous)
            lines = self._filter(request)
            tail = request.tail_lines if request.HasField("tail_lines") else None
            log: Any = kubelet.context.cri.read_log(identifier, follow=request.follow, tail_lines=tail)
            async with aclosing(log) as chunks:
                async for data in chunks:
                    shown = lines.feed(data)
                    if shown:
                        yield pb.LogsResponse(data=shown)
                    if lines.exhausted:
                        return
        except ApiError as error:
            _refuse(context, error)
        except CriError as error:
            _refuse(context, errors.internal(str(error)))

    def _filter(self, request: pb.LogsRequest) -> LineFilter:
        since = None
        if request.HasField("since_seconds"):
            since = self._clock.now() - timedelta(seconds=request.since_seconds)
        elif request.since_time:
            try:
                since = parse_time(request.since_time)
            except ValueError as error:
                raise errors.bad_request(f"invalid sinceTime: {request.since_time!r}") from error
        limit = request.limit_bytes if request.HasField("limit_bytes") else None
        return LineFilter(request.timestamps, since, limit)

    # ---- Commands ----------------------------------------------------------------------------

    async def Exec(
        self, requests: AsyncIterator[pb.ExecRequest], context: Context
    ) -> AsyncIterator[pb.ExecResponse]:
        async for response in self._terminal(requests, context, attach=False):
            yield response

    async def Attach(
        self, requests: AsyncIterator[pb.ExecRequest], context: Context
    ) -> AsyncIterator[pb.ExecResponse]:
        async for response in self._terminal(requests, context, attach=True):
            yield response

    async def _terminal(
        self, requests: AsyncIterator[pb.ExecRequest], context: Context, *, attach: bool
    ) -> AsyncIterator[pb.ExecResponse]:
        try:
            first = await anext(requests, None)
            if first is None or first.WhichOneof("message") != "start":
                raise errors.bad_request("the first message must say what to run")
            start = first.start
            if not attach and not start.command:
                raise errors.bad_request("you must specify at least one command for the container")
            kubelet, identifier = self._running(start.container)
            cri = kubelet.context.cri
            if attach:
                opening: Awaitable[Any] = cri.attach(
                    identifier, stdin=start.stdin, tty=start.tty, stderr=start.stderr and not start.tty
                )
            else:
                opening = cri.exec(
                    identifier,
                    list(start.command),
                    stdin=start.stdin,
                    tty=start.tty,
                    stderr=start.stderr and not start.tty,
                )
            terminal = await opening
            await context.send_initial_metadata(())  # it may be long before there is anything to say
            async with _alongside(_feed(requests, terminal)), aclosing(terminal.output()) as output:
                async for stream, data, code in output:
                    if stream == "exit":
                        yield pb.ExecResponse(exit_code=code)
                        if start.stdin or start.tty:
                            # The caller hangs up. If we did, what it still types would break its call, and
                            # with it the answers that it has not read yet.
                            await self._clock.sleep(LINGER_SECONDS)
                    elif stream == "stdout":
                        yield pb.ExecResponse(stdout=data)
                    else:
                        yield pb.ExecResponse(stderr=data)
        except ApiError as error:
            _refuse(context, error)
        except CriError as error:
            what = f"error executing command in container: {error.message}"
            _refuse(context, errors.internal(what))

    # ---- Connections -------------------------------------------------------------------------

    async def PortForward(
        self, requests: AsyncIterator[pb.PortForwardRequest], context: Context
    ) -> AsyncIterator[pb.PortForwardResponse]:
        try:
            first = await anext(requests, None)
            if first is None or not first.HasField("pod"):
                raise errors.bad_request("the first message must name the Pod and the port")
            kubelet, worker = self._find(first.pod)
            sandbox = worker.view.ready_sandbox
            if sandbox is None:
                raise errors.failure(404, "NotFound", f'sandbox not found for pod "{first.pod.pod}"')
            duplex: Any = await kubelet.context.cri.forward(sandbox.id, first.port)
            await context.send_initial_metadata(())
            async with _alongside(_send(first, requests, duplex)), aclosing(duplex.receive()) as received:
                async for data in received:
                    yield pb.PortForwardResponse(data=data)
                yield pb.PortForwardResponse(half_close=True)
        except ApiError as error:
            _refuse(context, error)
        except CriError as error:
            _refuse(context, errors.internal(str(error)))

    # ---- Stats -------------------------------------------------------------------------------

    async def Stats(self, request: pb.StatsRequest, context: Context) -> pb.StatsResponse:
        members = self._fleet().members
        name = request.node or (next(iter(members)) if len(members) == 1 else "")
        member = members.get(name)
        if member is None:
            _refuse(context, errors.failure(404, "NotFound", f'node "{name}" is not served here'))
            return pb.StatsResponse()
        try:
            stats = await node_summary(
                member.kubelet, self._clock.now(), only_cpu_and_memory=request.only_cpu_and_memory
            )
        except CriError as error:
            _refuse(context, errors.internal(str(error)))
            return pb.StatsResponse()
        return pb.StatsResponse(json=orjson.dumps(stats))


@asynccontextmanager
async def _alongside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `work` while the block runs. It ends with the block, whose own errors leave as they are."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        # The caller's side of a stream may break at any time; the block has seen the end that counts.
        await asyncio.gather(task, return_exceptions=True)


async def _feed(requests: AsyncIterator[pb.ExecRequest], terminal: Any) -> None:
    async for request in requests:
        match request.WhichOneof("message"):
            case "stdin":
                await terminal.stdin(request.stdin)
            case "stdin_closed":
                await terminal.close_stdin()
            case "resize":
                await terminal.resize(request.resize.columns, request.resize.rows)


async def _send(
    first: pb.PortForwardRequest, requests: AsyncIterator[pb.PortForwardRequest], duplex: GrpcDuplex
) -> None:
    if first.data:
        await duplex.send(first.data)
    async for request in requests:
        if request.data:
            await duplex.send(request.data)
        if request.half_close:
            await duplex.end()
            return
