"""One forwarded connection: bytes of a client to and from a port of a Pod, however the client sends them."""

from __future__ import annotations

import asyncio
from typing import Protocol

import grpc.aio

from services.api.errors import ApiError
from services.apiserver.fronts.kubelets import Call, Kubelets, refusal_of
from services.apiserver.fronts.rest.streams.commands import alongside
from services.pb.node.v1 import node_pb2 as pb


class Data(Protocol):
    async def read(self) -> bytes:
        """What the client has sent; none at its end. ConnectionError where it wants nothing more."""
        ...

    async def write(self, data: bytes) -> None:
        """ConnectionError when the client is gone."""
        ...


async def join(kubelets: Kubelets, namespace: str, pod: str, port: int, data: Data) -> None:
    """Until the Pod has closed, or the client has. ApiError, ConnectionError."""
    reference = pb.ContainerReference(namespace=namespace, pod=pod)
    call = await kubelets.port_forward(pb.PortForwardRequest(pod=reference, port=port))
    try:
        async with alongside(_upload(data, call)):
            async for raw in call:
                message = pb.PortForwardResponse.FromString(raw)
                if message.data:
                    await data.write(message.data)
                if message.half_close:
                    return
    except grpc.aio.AioRpcError as error:
        raise refusal_of(error) from error
    finally:
        call.cancel()


async def _upload(data: Data, call: Call) -> None:
    try:
        while chunk := await data.read():
            await call.write(pb.PortForwardRequest(data=chunk).SerializeToString())
        await call.write(pb.PortForwardRequest(half_close=True).SerializeToString())
    except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
        return  # the Pod has closed
    except ConnectionError:
        call.cancel()  # the client wants nothing more


def explained(refusal: ApiError, port: int, pod: str) -> bytes:
    """What the error stream of a connection says that could not be made."""
    why = refusal.message.removeprefix("Internal error occurred: ")
    return f"error forwarding port {port} to pod {pod}, uid : {why}".encode()
