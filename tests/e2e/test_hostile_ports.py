"""Whoever connects to a component's port and does not speak its language changes nothing.

Bytes at random, other protocols, connections that say nothing or stop in the middle, messages that
cannot be parsed: to the API server, a node and the registry of a running cluster.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from services.client.credentials import of_administrator, open_channel
from services.pb.node.v1 import node_pb2
from services.pb.registry.v1 import registry_pb2
from services.pb.resource.v1 import resource_pb2
from services.process.healthcheck import frame
from tests.e2e.cluster import Cluster, server_name

pytestmark = [pytest.mark.slow]

SERVICES = {"apiserver": resource_pb2, "node-1": node_pb2, "registry": registry_pb2}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = frame(4, 0, 0)
CALL_SECONDS = CLOSING_SECONDS = 60.0


def greetings() -> Iterator[bytes]:
    """What strangers say first."""
    chance = random.Random(3)
    for size in (1, 9, 24, 100, 4096, 300_000):
        yield chance.randbytes(size)
    yield b"GET /api/v1/pods HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n"
    yield b"SSH-2.0-OpenSSH_9.6\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500)  # TLS: ClientHello
    yield PREFACE
    yield PREFACE[:10]
    yield PREFACE + SETTINGS[:5]
    yield PREFACE + SETTINGS + frame(1, 4, 1, chance.randbytes(40))  # headers that are no HPACK
    yield PREFACE + SETTINGS + frame(1, 0, 1, b"\x83")  # headers that never end
    yield PREFACE + SETTINGS + frame(0, 0, 1, b"data of no stream")
    yield PREFACE + SETTINGS + frame(0, 0, 1, b"")[:4]  # half a frame
    yield PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"  # 16 MiB are to follow
    yield PREFACE + SETTINGS + frame(4, 0, 0, chance.randbytes(6)) * 500  # settings, again and again
    yield PREFACE + SETTINGS + frame(6, 0, 0, bytes(8)) * 500  # pings
    yield PREFACE + SETTINGS + b"".join(frame(3, 0, n, bytes(4)) for n in range(1, 999, 2))  # resets
    yield PREFACE + SETTINGS + frame(8, 0, 0, bytes(4))  # a window that grows by nothing


@pytest.fixture(params=SERVICES)
def component(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A component and its address; looks afterwards whether anything is left of what the test did."""
    name = str(request.param)
    address = cluster.address(name)
    pid, log = cluster.pids()[name], len(cluster.log(name))
    open_before = sockets(pid)
    yield name, address
    assert not cluster.trouble(name)
    assert cluster.pids()[name] == pid, "it was never restarted"
    said = cluster.log(name)[log:]
    assert "Traceback" not in said, said[-3000:]
    assert " ERROR " not in said, said[-3000:]
    deadline = time.monotonic() + CLOSING_SECONDS
    while sockets(pid) > open_before and time.monotonic() < deadline:
        time.sleep(0.1)  # another process closes them, and tells nobody
    assert sockets(pid) <= open_before, "connections are left behind"


def sockets(pid: int) -> int:
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue  # closed meanwhile
    return found


def connected(stack: ExitStack, address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return stack.enter_context(socket.create_connection((host, int(port)), timeout=CALL_SECONDS))


def test_strangers(cluster: Cluster, component: tuple[str, str]) -> None:
    """All of them at once, each staying on the line: the component still serves others."""
    name, address = component
    with ExitStack() as stack:
        for greeting in greetings():
            try:
                connected(stack, address).sendall(greeting)
            except OSError:
                continue  # it hung up in the middle, as it may
        for _ in range(50):
            connected(stack, address)  # half open: never says a word
        assert not cluster.trouble(name)
    assert not cluster.trouble(name)


async def test_calls_that_cannot_be_read(cluster: Cluster, component: tuple[str, str]) -> None:
    """To each method there is and to one that is not: an answer or an error, in time."""
    name, address = component
    chance = random.Random(5)
    descriptor: Any = SERVICES[name].DESCRIPTOR
    methods = [
        f"/{service.full_name}/{method.name}"
        for service in descriptor.services_by_name.values()
        for method in service.methods
    ]
    mine = of_administrator(cluster.home) if name != "registry" else None
    async with open_channel(address, mine, server_name=server_name(name)) as channel:
        for method in (*methods, "/no.such.Service/Call", "/x", "/grpc.health.v1.Health/Check"):
            for body in (
                b"\xff" + chance.randbytes(60),
                b"\x0a\xff\xff\xff\xff\x0f",
                chance.randbytes(100_000),
            ):
                assert await refusal(channel, method, body) != grpc.StatusCode.OK, (method, body[:9])
            await refusal(channel, method, b"")


async def refusal(channel: grpc.aio.Channel, method: str, body: bytes) -> grpc.StatusCode:
    """How a call with that as its message ends. On the wire, unary calls and streams look alike."""
    async with asyncio.timeout(CALL_SECONDS):
        call = channel.stream_stream(method, None, None)(iter([body]))
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            return error.code()
        return await call.code()
