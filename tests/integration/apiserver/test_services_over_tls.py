"""TLS to Services of the cluster, all the way: through a kubelet's port-forward to a real server's socket.

The kubelet is a small one that joins whatever port is asked for to the server's. A webhook behind a Service,
and another API server behind one, answer as they should, or fail in each way that a network has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import orjson
import pytest
from aiohttp import web

from services.api import core_v1, kinds, meta_v1
from services.api.core_v1 import Node, Pod
from services.api.errors import ApiError
from services.apiserver.aggregation.remote import Remote
from services.apiserver.authentication.users import User
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.server import ApiServer
from services.client.client import connect
from services.pb.node.v1 import node_pb2 as pb
from services.pb.node.v1 import node_pb2_grpc
from tests.support.apiserver import apiserver_here
from tests.support.etcd import Etcd
from tests.support.webhook import allow, answer, certificate, deny

Json = dict[str, Any]
HOOK = "https://hook.default.svc:443/review?timeout=10s"
FAILED = 'Internal error occurred: failed calling webhook "hook.example.com": failed to call webhook: '


class Kubelet(node_pb2_grpc.NodeServiceServicer):
    """Joins every port of every Pod to one of this machine."""

    def __init__(self, port: int) -> None:
        self.port, self.joined = port, 0

    async def PortForward(
        self, requests: AsyncIterator[pb.PortForwardRequest], context: Any
    ) -> AsyncIterator[pb.PortForwardResponse]:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection refused")
        await context.send_initial_metadata(())
        self.joined += 1

        async def upward() -> None:
            async for request in requests:
                writer.write(request.data)
                await writer.drain()
            writer.close()

        task = asyncio.ensure_future(upward())
        try:
            while data := await reader.read(65536):
                yield pb.PortForwardResponse(data=data)
            yield pb.PortForwardResponse(half_close=True)
        finally:
            task.cancel()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class World:
    def __init__(self, server: ApiServer, kubelet: Kubelet, bundle: str) -> None:
        self.server, self.kubelet, self.bundle = server, kubelet, bundle
        self.review: Any = allow
        self.asked: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        match request.path:
            case "/review":
                return web.json_response(self.review(orjson.loads(await request.read())))
            case "/long":
                return web.Response(body=b" " * (3 * 1024 * 1024 + 1))
            case "/short":
                assert request.transport is not None
                request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                request.transport.close()
            case "/apis/things.example.com/v1":
                return web.json_response({"kind": "APIResourceList", "resources": []})
            case "/apis/things.example.com/v1/talk":
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                async for message in socket:
                    await socket.send_str(message.data)
                return socket
        return web.Response(status=404)

    async def put(self, api_version: str, kind: str, namespace: str, body: Json) -> None:
        resource = kinds.resource_of_kind(api_version, kind)
        assert resource is not None
        await self.server.registry.create(Target(resource, namespace), orjson.dumps(body), WriteOptions())
        await self.server.registry.store(resource).cache.catch_up()

    async def register(self, **config: Any) -> None:
        """In the place of the one that is there."""
        resource = kinds.resource_of_kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
        assert resource is not None
        with suppress(ApiError):
            await self.server.registry.delete(Target(resource, "", "hook"), b"")
        service = {"namespace": "default", "name": "hook", "path": "/review", **config.pop("service", {})}
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
        hook = {
            "name": "hook.example.com",
            "clientConfig": {"service": service, "caBundle": config.pop("bundle", self.bundle)},
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **config,
        }
        body = {"metadata": {"name": "hook"}, "webhooks": [hook]}
        await self.put("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", body)

    async def config_map(self) -> str:
        """What became of it."""
        body = {"metadata": {"generateName": "a-"}, "data": {}}
        try:
            await self.put("v1", "ConfigMap", "default", body)
        except ApiError as error:
            return error.message
        return "made"


@pytest.fixture
async def world(etcd: Etcd, tmp_path: Path) -> AsyncIterator[World]:
    context, bundle = certificate(tmp_path, ("hook.default.svc",))
    kubelet = Kubelet(0)  # type: ignore[abstract]
    grpc_server = grpc.aio.server()
    node_pb2_grpc.add_NodeServiceServicer_to_server(kubelet, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    async with apiserver_here(etcd) as (server, address):
        world = World(server, kubelet, bundle)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", world.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        kubelet.port = runner.addresses[0][1]
        async with connect(address, user_agent="test/1") as client:
            account = core_v1.ServiceAccount(metadata=meta_v1.ObjectMeta(name="default", namespace="default"))
            await client.create(account)
            await client.create(Node(metadata=meta_v1.ObjectMeta(name="n")))
            status = {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            }
            await client.patch(Node, "n", "", {"status": status}, subresource="status")
            spec = core_v1.PodSpec(containers=[core_v1.Container(name="c", image="i")], node_name="n")
            await client.create(Pod(metadata=meta_v1.ObjectMeta(name="p", namespace="default"), spec=spec))
        for name in ("hook", "nobody"):
            ports = [{"name": "https", "port": 443, "targetPort": 8443}]
            await world.put(
                "v1", "Service", "default", {"metadata": {"name": name}, "spec": {"ports": ports}}
            )
        await world.put("discovery.k8s.io/v1", "EndpointSlice", "default", SLICE)
        yield world
        await runner.cleanup()
    await grpc_server.stop(None)


SLICE = {
    "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
    "addressType": "IPv4",
    "ports": [{"name": "https", "port": 8443, "protocol": "TCP"}],
    "endpoints": [
        {
            "addresses": ["10.1.1.1"],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "p"},
        }
    ],
}


async def test_a_webhook_behind_a_service(world: World, tmp_path: Path) -> None:
    await world.register()
    assert await world.config_map() == "made"
    assert world.asked[-1].headers["Host"] == "hook.default.svc:443"
    world.review = deny("not today")
    assert await world.config_map() == ('admission webhook "hook.example.com" denied the request: not today')
    world.review = lambda review: answer(review, warnings=["x" * 100_000])
    assert await world.config_map() == "made"
    world.review = allow
    for service, why in (
        (
            {"name": "none"},
            'Post "https://none.default.svc:443/review?timeout=10s": service "none" not found',
        ),
        ({"port": 8080}, 'no service port 8080 found for service "hook"'),
        ({"name": "nobody"}, 'no endpoints available for service "nobody"'),
        ({"path": "/nowhere"}, "the server could not find the requested resource"),
        ({"path": "/long"}, "the webhook's answer is longer than 3145728 bytes"),
        ({"path": "/short"}, "Please retry. Original error: unexpected EOF"),
    ):
        await world.register(service=service)
        found = await world.config_map()
        assert found.startswith(FAILED), found
        assert found.endswith(why), found
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    await world.register(bundle=certificate(stranger, ("hook.default.svc",))[1])
    unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    assert await world.config_map() == f'{FAILED}Post "{HOOK}": {unknown}'
    for bundle in ("w6Q=", "Z2FyYmFnZQ=="):
        await world.register(bundle=bundle)
        assert (await world.config_map()).endswith("unable to parse bytes as PEM block")
    await world.register(failurePolicy="Ignore", bundle=certificate(stranger)[1])
    assert await world.config_map() == "made"


async def test_a_webhook_whose_pod_does_not_answer(world: World) -> None:
    await world.register()
    port, world.kubelet.port = world.kubelet.port, 1
    found = await world.config_map()
    assert found.startswith(f'{FAILED}Post "{HOOK}": ')
    assert "connection refused" in found

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        world.kubelet.port = server.sockets[0].getsockname()[1]
        found = await world.config_map()
        assert found == f'{FAILED}Post "{HOOK}": http: server gave HTTP response to HTTPS client'
    world.kubelet.port = port
    assert await world.config_map() == "made"


async def test_an_api_server_behind_a_service(world: World) -> None:
    remote: Remote = world.server._elsewhere()
    reference = {"namespace": "default", "name": "hook", "port": 443}
    spec = {"group": "things.example.com", "version": "v1", "service": reference, "caBundle": world.bundle}
    told = await remote.ask(spec)
    assert not isinstance(told, str)
    assert told.resources["kind"] == "APIResourceList"

    async def handle(request: web.Request) -> web.StreamResponse:
        return await remote.forward(request, spec, User("ann"))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here = f"http://127.0.0.1:{runner.addresses[0][1]}/apis/things.example.com/v1"
    async with aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{here}/talk") as socket:
            for word in ("hello", "x" * 300_000):
                await socket.send_str(word)
                assert await socket.receive_str() == word
        assert world.asked[-1].headers["X-Remote-User"] == "ann"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"{here}/nothing")
        assert refused.value.status == 404
    await runner.cleanup()
