"""`GET pods/NAME/log`: a container's output as text, as it comes.

A refusal is an answer of its own as long as nothing has been sent; a kubelet that breaks off later ends the
text, and the connection with it, so that a client can tell. Upstream: PodLogOptions.
"""

from __future__ import annotations

import grpc.aio
from aiohttp import web

from services.api import errors
from services.apiserver.fronts.kubelets import Call, Kubelets, refusal_of
from services.apiserver.fronts.rest.verbs import TRUE
from services.pb.node.v1 import node_pb2 as pb

_INT64_MAX = 2**63 - 1


async def handle(request: web.Request, kubelets: Kubelets, namespace: str, pod: str) -> web.StreamResponse:
    """ApiError."""
    if request.method not in ("GET", "HEAD"):
        raise errors.method_not_allowed()
    call = await kubelets.logs(options_of(request, namespace, pod))
    response = web.StreamResponse(
        headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"}
    )
    response.enable_chunked_encoding()
    if call is None:
        await response.prepare(request)
        return response
    try:
        await _copy(call, request, response)
    finally:
        call.cancel()
    return response


async def _copy(call: Call, request: web.Request, response: web.StreamResponse) -> None:
    try:
        async for raw in call:
            if not response.prepared:
                await response.prepare(request)
            await response.write(pb.LogsResponse.FromString(raw).data)
    except grpc.aio.AioRpcError as error:
        if not response.prepared:
            raise refusal_of(error) from error
        raise ConnectionResetError("the kubelet broke off") from error
    if not response.prepared:
        await response.prepare(request)


def options_of(request: web.Request, namespace: str, pod: str) -> pb.LogsRequest:
    """ApiError (400)."""
    query = request.query
    return pb.LogsRequest(
        container=pb.ContainerReference(namespace=namespace, pod=pod, container=query.get("container", "")),
        follow=query.get("follow", "") in TRUE,
        previous=query.get("previous", "") in TRUE,
        timestamps=query.get("timestamps", "") in TRUE,
        tail_lines=_number(request, "tailLines"),
        since_seconds=_number(request, "sinceSeconds"),
        since_time=query.get("sinceTime", ""),
        limit_bytes=_number(request, "limitBytes"),
    )


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name, "")
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text[:100]}": invalid syntax') from None
    if abs(number) > _INT64_MAX:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text[:100]}": value out of range')
    return number
