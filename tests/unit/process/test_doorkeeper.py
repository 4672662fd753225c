"""Whom a node lets in: by the groups of certificates, service by service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from services.client.credentials import KUBELET_SERVER_NAME, Credentials, open_channel
from services.process.clock import SystemClock
from services.process.doorkeeper import Doorkeeper
from services.process.grpc_server import ServerTls, grpc_server
from services.process.healthcheck import check
from services.process.keys import make_missing

DENIED, NOBODY = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
LOGS, NETWORK = "/node.v1.NodeService/Logs", "/network.v1.PodNetwork/Link"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_missing(folder, SystemClock().now(), ["node-1", "node-2"])
    return folder


def add(server: grpc.aio.Server) -> None:
    async def logs(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"a line"

    async def link(requests: AsyncIterator[bytes], context: Any) -> None:
        async for each in requests:
            await context.write(each)

    services = {
        "node.v1.NodeService": {"Logs": grpc.unary_stream_rpc_method_handler(logs)},
        "network.v1.PodNetwork": {"Link": grpc.stream_stream_rpc_method_handler(link)},
    }
    for name, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))


@asynccontextmanager
async def node(keys: Path, socket: str = "") -> AsyncIterator[int]:
    groups = {"node.v1.NodeService": ("system:masters",), "network.v1.PodNetwork": ("system:nodes",)}
    own = keys / "nodes" / "node-1"
    tls = ServerTls(own.with_suffix(".crt"), own.with_suffix(".key"), keys / "ca.crt")
    keeper = (Doorkeeper(groups),)
    async with grpc_server("127.0.0.1", 0, add, interceptors=keeper, tls=tls, health_socket=socket) as port:
        yield port


async def answer(port: int, credentials: Credentials | None, method: str) -> list[bytes] | grpc.StatusCode:
    name = KUBELET_SERVER_NAME
    async with open_channel(f"127.0.0.1:{port}", credentials, server_name=name) as channel:
        call = channel.stream_stream(method, None, None)(iter([b"x"]), timeout=60)
        try:
            return [message async for message in call]
        except grpc.aio.AioRpcError as error:
            return error.code()


@pytest.mark.parametrize(
    ("who", "logs", "network"),
    [
        ("apiserver-kubelet-client", [b"a line"], DENIED),
        ("nodes/node-2", DENIED, [b"x"]),
        ("kube-proxy", DENIED, DENIED),
    ],
)
async def test_each_service_is_for_its_own(keys: Path, who: str, logs: object, network: object) -> None:
    async with node(keys) as port:
        assert await answer(port, Credentials.of(keys, who), LOGS) == logs
        assert await answer(port, Credentials.of(keys, who), NETWORK) == network


async def test_the_socket_tells_of_health_alone(keys: Path, tmp_path: Path) -> None:
    socket = str(tmp_path / "h")
    async with node(keys, socket):
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            call = channel.stream_stream(LOGS, None, None)(iter([b""]), timeout=60)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                [message async for message in call]
            assert refused.value.code() is NOBODY
            answered = await channel.unary_unary("/grpc.health.v1.Health/Check", None, None)(b"")
        assert answered == b"\x08\x01"


def test_no_socket_is_no_health(tmp_path: Path) -> None:
    assert "No such file" in check(f"unix:{tmp_path / 'none'}")
