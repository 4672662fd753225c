"""Logs and commands through the API server, with a kubelet that only echoes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import orjson
import pytest

from services.api import core_v1, meta_v1
from services.api.core_v1 import Node, Pod
from services.client.client import Client, connect
from services.pb.node.v1 import node_pb2 as pb
from services.pb.node.v1 import node_pb2_grpc
from tests.support.apiserver import apiserver_here
from tests.support.etcd import Etcd
from tests.support.ports import free_ports

CONTAINER = pb.ContainerReference(namespace="default", pod="p")
META = meta_v1.ObjectMeta(name="p", namespace="default")


class Echo(node_pb2_grpc.NodeServiceServicer):
    async def Logs(self, request: pb.LogsRequest, context: Any) -> AsyncIterator[pb.LogsResponse]:
        if request.previous:
            status = {"kind": "Status", "message": "previous terminated container not found", "code": 400}
            trailing = (("kubernetes-status-bin", orjson.dumps(status)),)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no", trailing)
        yield pb.LogsResponse(data=f"{request.container.container} says\n".encode())
        yield pb.LogsResponse(data=b"hello\n")

    async def Exec(
        self, requests: AsyncIterator[pb.ExecRequest], context: Any
    ) -> AsyncIterator[pb.ExecResponse]:
        async for request in requests:
            if request.WhichOneof("message") == "start":
                yield pb.ExecResponse(stdout=" ".join(request.start.command).encode())
            elif request.stdin:
                yield pb.ExecResponse(stdout=request.stdin)
            else:
                yield pb.ExecResponse(exit_code=7)
                return

    async def Stats(self, request: pb.StatsRequest, context: Any) -> pb.StatsResponse:
        return pb.StatsResponse(json=request.node.encode())


@pytest.fixture
async def kubelet() -> AsyncIterator[int]:
    server = grpc.aio.server()
    node_pb2_grpc.add_NodeServiceServicer_to_server(Echo(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


@pytest.fixture
async def stub(etcd: Etcd, kubelet: int) -> AsyncIterator[Any]:
    async with apiserver_here(etcd) as (_, address):
        async with connect(address, user_agent="test/1") as client:
            await fill(client, kubelet)
        async with grpc.aio.insecure_channel(address) as channel:
            yield node_pb2_grpc.NodeServiceStub(channel)


async def fill(client: Client, port: int) -> None:
    """Two nodes, of which one answers; a Pod on each, and one on none."""
    await client.create(
        core_v1.ServiceAccount(metadata=meta_v1.ObjectMeta(name="default", namespace="default"))
    )
    for node, at in (("n", port), ("gone", free_ports(1)[0])):
        await client.create(Node(metadata=meta_v1.ObjectMeta(name=node)))
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": at}},
        }
        await client.patch(Node, node, "", {"status": status}, subresource="status")
    for pod, node in (("p", "n"), ("q", "gone"), ("r", "")):
        spec = core_v1.PodSpec(containers=[core_v1.Container(name="c", image="i")], node_name=node or None)
        await client.create(Pod(metadata=meta_v1.ObjectMeta(name=pod, namespace="default"), spec=spec))


async def text(call: Any) -> str:
    return b"".join([chunk.data async for chunk in call]).decode()


async def test_logs_pass_through(stub: Any) -> None:
    assert await text(stub.Logs(pb.LogsRequest(container=CONTAINER))) == "c says\nhello\n"
    unscheduled = pb.ContainerReference(namespace="default", pod="r")
    assert await text(stub.Logs(pb.LogsRequest(container=unscheduled))) == ""


async def test_a_kubelets_refusal_is_handed_on(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await text(stub.Logs(pb.LogsRequest(container=CONTAINER, previous=True)))
    assert message(error.value) == "previous terminated container not found"


async def test_commands_run_both_ways(stub: Any) -> None:
    call = stub.Exec()
    start = pb.ExecStart(container=CONTAINER, command=["echo", "hi"], stdin=True, stdout=True)
    await call.write(pb.ExecRequest(start=start))
    assert (await call.read()).stdout == b"echo hi"
    await call.write(pb.ExecRequest(stdin=b"more"))
    assert (await call.read()).stdout == b"more"
    await call.write(pb.ExecRequest(stdin_closed=True))
    assert (await call.read()).exit_code == 7
    await call.done_writing()


async def test_what_cannot_be_reached_says_so(stub: Any) -> None:
    gone = pb.ContainerReference(namespace="default", pod="q")
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await text(stub.Logs(pb.LogsRequest(container=gone)))
    assert message(error.value).startswith("error dialing backend: dial tcp 127.0.0.1:")
    call = stub.Exec()
    unscheduled = pb.ContainerReference(namespace="default", pod="r")
    await call.write(pb.ExecRequest(start=pb.ExecStart(container=unscheduled, command=["x"])))
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call.read()
    assert message(refusal.value) == "pod r does not have a host assigned"


async def test_stats_come_from_the_node(stub: Any) -> None:
    assert (await stub.Stats(pb.StatsRequest(node="n"))).json == b"n"


def message(error: grpc.aio.AioRpcError) -> str:
    metadata: Any = error.trailing_metadata()
    return str(orjson.loads(dict(metadata or ())["kubernetes-status-bin"])["message"])
