"""Streams over REST as clients other than kubectl use them, with a kubelet that only echoes."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import grpc.aio
import orjson
import pytest
from yarl import URL

from services.client.client import connect
from services.pb.node.v1 import node_pb2 as pb
from services.pb.node.v1 import node_pb2_grpc
from tests.integration.apiserver.test_node_front import fill
from tests.support.apiserver import Https, https

__all__ = ["https"]

PODS = "/api/v1/namespaces/default/pods"
LARGE = bytes(range(256)) * 4096


class Kubelet(node_pb2_grpc.NodeServiceServicer):
    """Exec says what it is told, PortForward is a small HTTP server."""

    async def Exec(
        self, requests: AsyncIterator[pb.ExecRequest], context: Any
    ) -> AsyncIterator[pb.ExecResponse]:
        await context.send_initial_metadata(())
        async for request in requests:
            match request.WhichOneof("message"):
                case "stdin":
                    yield pb.ExecResponse(stdout=request.stdin)
                case "resize":
                    size = f"{request.resize.columns}x{request.resize.rows}"
                    yield pb.ExecResponse(stderr=size.encode())
                case "stdin_closed":
                    yield pb.ExecResponse(exit_code=7)
                    return

    async def PortForward(
        self, requests: AsyncIterator[pb.PortForwardRequest], context: Any
    ) -> AsyncIterator[pb.PortForwardResponse]:
        await context.send_initial_metadata(())
        got = b""
        async for request in requests:
            got += request.data
            if b"\r\n\r\n" not in got:
                continue
            head, _, body = got.partition(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            if path.startswith("/upgrade"):
                yield pb.PortForwardResponse(
                    data=b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
                )
                yield pb.PortForwardResponse(data=body or head.split(b"\r\n")[0])
                async for further in requests:
                    yield pb.PortForwardResponse(data=further.data, half_close=further.half_close)
            elif path.startswith("/forbidden"):
                yield _answer(b"403 Forbidden", b"go away", b"")
                async for further in requests:
                    yield pb.PortForwardResponse(data=further.data, half_close=further.half_close)
            elif path.startswith("/moved"):
                yield _answer(b"302 Found", b"", b"Location: /there?a=b\r\nX-Here: 1\r\n")
            elif not _is_whole(head, body):
                continue
            else:
                yield _answer(b"200 OK", head + b"\n\n" + body, b"Connection: close, x-hop\r\nX-Hop: 1\r\n")
            return


def _is_whole(head: bytes, body: bytes) -> bool:
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"transfer-encoding" in lines:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(lines.get(b"content-length", 0))


def _answer(status: bytes, body: bytes, headers: bytes) -> pb.PortForwardResponse:
    head = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (status, headers, len(body))
    return pb.PortForwardResponse(data=head + body, half_close=False)


@pytest.fixture
async def session(https: Https) -> AsyncIterator[aiohttp.ClientSession]:
    server = grpc.aio.server()
    node_pb2_grpc.add_NodeServiceServicer_to_server(Kubelet(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with connect(https.grpc, user_agent="test/1") as client:
        await fill(client, port)
    async with https.client() as session:
        try:
            yield session
        finally:
            await server.stop(None)


async def test_streams_of_other_clients(session: aiohttp.ClientSession, https: Https) -> None:
    await commands_over_websockets(session)
    await commands_of_old_clients(session)
    await ports_over_websockets(session)
    await requests_through_a_proxy(session, https)
    await redirects_and_upgrades(session, https)


async def commands_over_websockets(session: aiohttp.ClientSession) -> None:
    url = f"{PODS}/p/exec?command=x&stdin=1&stdout=1&stderr=1"
    async with session.ws_connect(url, protocols=("v5.channel.k8s.io", "v4.channel.k8s.io")) as socket:
        assert socket.protocol == "v5.channel.k8s.io"
        assert await socket.receive_bytes() == b"\x01"
        await socket.send_bytes(b"\x00hello")
        assert await socket.receive_bytes() == b"\x01hello"
        await socket.send_bytes(b'\x04{"Width":80,"Height":24}')
        assert await socket.receive_bytes() == b"\x0280x24"
        for nonsense in (b"", b"\x04{", b"\x04[]", b"\x09x", b'\x04{"Width":-1,"Height":9e99}'):
            await socket.send_bytes(nonsense)
        await socket.send_bytes(b"\xff\x00")
        status = await socket.receive_bytes()
        assert status[0] == 3
        assert orjson.loads(status[1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    for path, protocol, code in (
        (url, "v9.channel.k8s.io", 400),
        (url.replace("/p/", "/nope/"), "v4.channel.k8s.io", 404),
        (url.replace("/p/", "/q/"), "v4.channel.k8s.io", 500),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(path, protocols=(protocol,))
        assert refused.value.status == code


async def commands_of_old_clients(session: aiohttp.ClientSession) -> None:
    url = f"{PODS}/p/exec?command=x&stdin=1&stdout=1"
    async with session.ws_connect(url, protocols=("v4.base64.channel.k8s.io",)) as socket:
        assert await socket.receive_str() == "1"
        await socket.send_str("0" + base64.b64encode(b"hello").decode())
        assert await socket.receive_str() == "1" + base64.b64encode(b"hello").decode()
        await socket.send_str("0***")
        await socket.send_str(chr(ord("0") + 255) + "x")
    async with session.ws_connect(url) as socket:
        assert socket.protocol is None
        assert await socket.receive_bytes() == b"\x01"
        await socket.send_bytes(b"\x00hello")
        assert await socket.receive_bytes() == b"\x01hello"
        await socket.send_bytes(b"\xff\x00")
        words = b"command terminated with non-zero exit code: exit status 7"
        assert await socket.receive_bytes() == b"\x03" + words


async def ports_over_websockets(session: aiohttp.ClientSession) -> None:
    url = f"{PODS}/p/portforward?ports=8080,258&ports=3"
    async with session.ws_connect(url, protocols=("v4.channel.k8s.io",)) as socket:
        told = {await socket.receive_bytes() for _ in range(6)}
        numbers = (b"\x90\x1f", b"\x02\x01", b"\x03\x00")
        assert told == {bytes((index,)) + numbers[index // 2] for index in range(6)}
        await socket.send_bytes(b"\x02GET /there HTTP/1.1\r\n\r\n")
        answer = await socket.receive_bytes()
        assert answer.startswith(b"\x02HTTP/1.1 200 OK")
        for nonsense in (b"", b"\x01x", b"\xffx", b"\x00"):
            await socket.send_bytes(nonsense)
        await socket.send_bytes(b"\x04GET /upgrade HTTP/1.1\r\n\r\n" + LARGE)
        got = b""
        while len(got) < len(LARGE):
            message = await socket.receive_bytes()
            assert message[0] == 4
            got += message[1:]
        assert got.endswith(LARGE)
    async with session.ws_connect(
        f"{PODS}/p/portforward?ports=80", protocols=("v4.base64.channel.k8s.io",)
    ) as socket:
        assert {await socket.receive_str(), await socket.receive_str()} == {"0UAA=", "1UAA="}
    for query in (
        "",
        "?ports=",
        "?ports=x",
        "?ports=0",
        "?ports=65536",
        "?ports=80,",
        "?ports=1" + ",1" * 200,
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{PODS}/p/portforward{query}", protocols=("v4.channel.k8s.io",))
        assert refused.value.status == 400


async def requests_through_a_proxy(session: aiohttp.ClientSession, https: Https) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"abc"

    url, headers = f"{https.base}{PODS}/p:8080/proxy/a%2Fb/../c?x=%20y", {"X-Mine": "1", "TE": "trailers"}
    async with session.post(URL(url, encoded=True), data=pieces(), headers=headers) as answer:
        head, _, body = (await answer.read()).partition(b"\n\n")
        assert head.startswith(b"POST /a%2Fb/../c?x=%20y HTTP/1.1")
        lines = head.lower().split(b"\r\n")
        assert b"x-mine: 1" in lines
        assert not [line for line in lines if line.startswith((b"te:", b"authorization:"))]
        assert [line for line in lines if line.startswith(b"x-forwarded-uri: /api/v1/namespaces/default/")]
        assert body.count(b"abc") == 3
        assert "X-Hop" not in answer.headers
    async with session.put(f"{PODS}/p:8080/proxy/", data=LARGE) as answer:
        assert (await answer.read()).partition(b"\n\n")[2] == LARGE
    async with session.get(f"{PODS}/q:8080/proxy/") as answer:
        assert answer.status == 503
        assert (await answer.json())["message"].startswith("error trying to reach service: ")


async def redirects_and_upgrades(session: aiohttp.ClientSession, https: Https) -> None:
    async with session.get(f"{PODS}/p:1/proxy/moved", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["X-Here"]) == (302, "1")
        assert answer.headers["Location"] == f"{PODS}/p:1/proxy/there?a=b"
    async with session.get(f"{PODS}/p:1/proxy", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (301, f"{PODS}/p:1/proxy/")
    host, port = https.base.removeprefix("https://").split(":")
    context: ssl.SSLContext = https.context()
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    headers = "Host: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    writer.write(f"GET {PODS}/p:1/proxy/upgrade HTTP/1.1\r\n{headers}".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await reader.readexactly(21) == b"GET /upgrade HTTP/1.1"
    writer.write(b"and back")
    assert await reader.readexactly(8) == b"and back"
    writer.transport.abort()  # it would wait for the other side's end of TLS
    with suppress(ConnectionError):
        await writer.wait_closed()
    await a_pod_that_does_not_agree_gets_nothing_more(https)


async def a_pod_that_does_not_agree_gets_nothing_more(https: Https) -> None:
    """What a client says next on its connection is for the API server: a token may be in it."""
    host, port = https.base.removeprefix("https://").split(":")
    for path, said in ((b"plain", b"invalid upgrade response: status code 200"), (b"forbidden", b"go away")):
        reader, writer = await asyncio.open_connection(host, int(port), ssl=https.context())
        upgrade = b"Host: x\r\nConnection: Upgrade, close\r\nUpgrade: echo\r\n\r\n"
        where = PODS.encode() + b"/p:1/proxy/" + path
        writer.write(b"GET " + where + b" HTTP/1.1\r\n" + upgrade)
        further = b"Host: x\r\nAuthorization: Bearer mine\r\n\r\n"
        writer.write(b"GET /secret HTTP/1.1\r\n" + further)
        answer = await reader.read()
        assert said in answer
        assert b"Bearer" not in answer
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
