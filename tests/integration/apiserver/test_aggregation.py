"""A group that a Service of the cluster serves: registered, asked, passed on to, and gone."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from services.api import kinds
from services.apiserver.aggregation.remote import Aggregated
from services.apiserver.authentication.users import User
from services.apiserver.fronts.rest.schemas import Schemas
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.server import ApiServer
from services.process.clock import SystemClock
from services.process.logging import get_logger
from tests.support.apiserver import apiserver_here
from tests.support.etcd import Etcd
from tests.support.webhook import certificate

Json = dict[str, Any]
GROUP, NAME = "things.example.com", "v1.things.example.com"
THINGS = {"name": "things", "singularName": "thing", "namespaced": True, "kind": "Thing", "verbs": ["get"]}
WHO = User("ann", ("g1", "g2"), "u-1", {"example.com/Team": ("a",)})
PATH = f"apis/{GROUP}/v1"
THIRD = {"openapi": "3.0.0", "paths": {}}
SECOND = {
    "swagger": "2.0",
    "info": {"title": "other", "version": "1"},
    "paths": {
        f"/{PATH}/things": {
            "get": {
                "operationId": "listThings",
                "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/Thing"}}},
            }
        },
        "/apis/apps/v1/deployments": {"get": {"responses": {}}},
    },
    "definitions": {"Thing": {"type": "object"}, "Unused": {"type": "object"}},
}


class Here(AbstractResolver):
    """Every name is this port."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=self.port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


class Other:
    """The other server. `asked` has the headers of each request."""

    def __init__(self, port: int, bundle: str) -> None:
        self.port, self.bundle, self.resources = port, bundle, 1
        self.asked: list[tuple[str, list[tuple[str, str]]]] = []

    @asynccontextmanager
    async def __call__(
        self, namespace: str, name: str, port: int, tls: ssl.SSLContext
    ) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(resolver=Here(self.port), ssl=tls)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    @asynccontextmanager
    async def stream(
        self, namespace: str, name: str, port: int, tls: ssl.SSLContext
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        host = f"{name}.{namespace}.svc"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=host)
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()

    def headers_of(self, asked: str) -> list[tuple[str, str]]:
        """Of the last request of that kind: between two of a client, the API server may ask as well."""
        return [headers for path, headers in self.asked if path == asked][-1]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers = [(name.lower(), value) for name, value in request.headers.items()]
        self.asked.append((f"{request.method} {request.path_qs}", headers))
        match request.path.removeprefix(f"/{PATH}"):
            case "":
                many = [{**THINGS, "name": f"things{number}"} for number in range(self.resources - 1)]
                return web.json_response({"kind": "APIResourceList", "resources": [THINGS, *many]})
            case "/openapi/v3":
                where = {"serverRelativeURL": f"/openapi/v3/{PATH}?hash=1"}
                elsewhere = {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=1"}
                return web.json_response({"paths": {PATH: where, "apis/apps/v1": elsewhere}})
            case "/openapi/v2":
                return web.json_response(SECOND)
            case path if path == f"/openapi/v3/{PATH}":
                return web.json_response(THIRD)
            case "/away":
                return web.Response(status=302, headers={"Location": "https://example.com/"})
            case "/broken":
                assert request.transport is not None
                request.transport.abort()
            case "/talk":
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                async for message in socket:
                    await socket.send_str(f"you said {message.data}")
                return socket
            case "/no-talk":
                return web.Response(text="no upgrade here", status=403)
        return web.json_response({"body": (await request.read()).decode()}, status=201)


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Other]:
    context, bundle = certificate(tmp_path, ("things.default.svc",))
    other = Other(0, bundle)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", other.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server: Any = site._server
    other.port = server.sockets[0].getsockname()[1]
    yield other
    await runner.cleanup()


@pytest.fixture
async def server(etcd: Etcd, other: Other, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    monkeypatch.setattr(ApiServer, "_dial", lambda self: other)
    async with apiserver_here(etcd) as (server, _):
        yield server


async def create(server: ApiServer, api_version: str, kind: str, namespace: str, body: Json) -> None:
    resource = kinds.resource_of_kind(api_version, kind)
    assert resource is not None
    await server.registry.create(Target(resource, namespace), orjson.dumps(body), WriteOptions())


async def register(server: ApiServer, bundle: str, *, endpoints: bool = True) -> None:
    service = {"metadata": {"name": "things"}, "spec": {"ports": [{"name": "https", "port": 443}]}}
    await create(server, "v1", "Service", "default", service)
    labels = {"kubernetes.io/service-name": "things"}
    ready = {
        "metadata": {"name": "things-1", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": 8443, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": True}}],
    }
    if endpoints:
        await create(server, "discovery.k8s.io/v1", "EndpointSlice", "default", ready)
    spec = {
        "group": GROUP,
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "service": {"name": "things", "namespace": "default"},
        "caBundle": bundle,
    }
    body = {"metadata": {"name": NAME}, "spec": spec}
    await create(server, "apiregistration.k8s.io/v1", "APIService", "", body)


async def condition(server: ApiServer, reason: str, name: str = NAME) -> Json:
    """The condition, once it has that reason."""
    resource = kinds.resource_of_kind("apiregistration.k8s.io/v1", "APIService")
    assert resource is not None
    store, found = server.registry.store(resource), None
    for _ in range(1200):
        entry = store.find("", name)
        status = orjson.loads(entry.value)["status"] if entry else {}
        found = next(iter(status.get("conditions") or ()), None)
        if found and found["reason"] == reason:
            return dict(found)
        await asyncio.sleep(0.05)  # a cache tells nobody when it changes
    raise AssertionError(found)


@asynccontextmanager
async def front(server: ApiServer) -> AsyncIterator[tuple[Aggregated, aiohttp.ClientSession]]:
    """What the REST front does with a path, for a client."""
    aggregated = Aggregated(server._api_services, server._elsewhere(), SystemClock(), get_logger("test"))
    schemas = Schemas(server._documents, aggregated)

    async def handle(request: web.Request) -> web.StreamResponse:
        found = await aggregated.handle(request, request.rel_url.raw_path, WHO)
        if found is None and request.path.startswith("/openapi"):
            found = await schemas.answer(request, request.path)
        return found or web.Response(status=404)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    bound: Any = site._server
    port = bound.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        yield aggregated, client
    await runner.cleanup()


async def test_requests_go_to_the_service_in_the_clients_name(server: ApiServer, other: Other) -> None:
    await register(server, other.bundle)
    assert (await condition(server, "Passed"))["status"] == "True"
    async with front(server) as (aggregated, client):
        headers = {
            "X-Remote-User": "root",
            "X-Remote-Group": "system:masters",
            "X-Remote-Uid": "0",
            "X-Remote-Extra-Scopes": "all",
            "Authorization": "Bearer x",
        }
        where = f"/apis/{GROUP}/v1/namespaces/n/things?dryRun=All"
        async with client.post(where, data="{}", headers=headers) as answer:
            assert (answer.status, await answer.json()) == (201, {"body": "{}"})
        seen = other.headers_of(f"POST {where}")
        names = [
            (name, value) for name, value in seen if name.startswith("x-remote") or name == "authorization"
        ]
        assert names == [
            ("x-remote-user", "ann"),
            ("x-remote-uid", "u-1"),
            ("x-remote-group", "g1"),
            ("x-remote-group", "g2"),
            ("x-remote-extra-example.com%2fteam", "a"),
        ]
        async with client.get(f"/apis/{GROUP}") as answer:
            assert (await answer.json())["preferredVersion"]["version"] == "v1"
        async with client.get("/apis/nobody.example.com/v1") as answer:
            assert answer.status == 404
        (group,) = aggregated.groups(aggregated=True)
        (version,) = group["versions"]
        assert (version["freshness"], version["resources"][0]["resource"]) == ("Current", "things")


async def test_a_client_and_the_service_may_go_on_in_another_protocol(
    server: ApiServer, other: Other
) -> None:
    await register(server, other.bundle)
    await condition(server, "Passed")
    async with front(server) as (_, client):
        async with client.ws_connect(f"/{PATH}/talk", headers={"X-Remote-User": "root"}) as socket:
            for word in ("hello", "x" * 200_000):
                await socket.send_str(word)
                assert await socket.receive_str() == f"you said {word}"
        seen = other.headers_of(f"GET /{PATH}/talk")
        assert [value for name, value in seen if name == "x-remote-user"] == ["ann"]
        for path, status in (("no-talk", 403), ("broken", 503), ("away", 503)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(f"/{PATH}/{path}")
            assert refused.value.status == status


async def test_what_the_service_may_not_answer(server: ApiServer, other: Other) -> None:
    await register(server, other.bundle)
    await condition(server, "Passed")
    async with front(server) as (_, client):
        async with client.get(f"/{PATH}/away", allow_redirects=False) as answer:
            assert answer.status == 502
            assert "redirect" in await answer.text()
        async with client.get(f"/{PATH}/broken") as answer:
            assert answer.status == 503
        async with client.head(f"/{PATH}/things") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (201, "12")


async def test_its_schemas_are_told_of(server: ApiServer, other: Other) -> None:
    await register(server, other.bundle)
    await condition(server, "Passed")
    async with front(server) as (_, client):
        async with client.get("/openapi/v3") as answer:
            paths = (await answer.json())["paths"]
        assert paths[PATH] == {"serverRelativeURL": f"/openapi/v3/{PATH}?hash=1"}
        assert not paths["apis/apps/v1"]["serverRelativeURL"].endswith("hash=1")
        async with client.get(paths[PATH]["serverRelativeURL"]) as answer:
            assert await answer.json() == THIRD
        assert ("x-remote-user", "ann") in other.headers_of(f"GET /openapi/v3/{PATH}?hash=1")
        async with client.get("/openapi/v2") as answer:
            document, tag = await answer.json(content_type=None), answer.headers["ETag"]
        assert f"/{PATH}/things" in document["paths"]
        assert document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["post"]
        assert {"Thing", "io.k8s.api.apps.v1.Deployment"} <= document["definitions"].keys()
        assert "Unused" not in document["definitions"]
        async with client.get("/openapi/v2", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
        media = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
        async with client.get("/openapi/v2", headers={"Accept": media}) as answer:
            assert b"listThings" in await answer.read()
    assert sum(path == "GET /openapi/v2" for path, _ in other.asked) == 1


async def test_a_long_answer_is_read_to_its_end(server: ApiServer, other: Other) -> None:
    other.resources = 2000
    await register(server, other.bundle)
    await condition(server, "Passed")
    async with front(server) as (aggregated, _):
        ((version,),) = [group["versions"] for group in aggregated.groups(aggregated=True)]
        assert len(version["resources"]) == 2000


async def test_who_cannot_answer_is_not_asked(server: ApiServer, other: Other) -> None:
    await register(server, other.bundle, endpoints=False)
    found = await condition(server, "EndpointsNotFound")
    assert found["message"] == 'cannot find endpointslices for service/things in "default"'
    async with front(server) as (aggregated, client):
        async with client.get(f"/apis/{GROUP}/v1/things") as answer:
            assert (answer.status, await answer.text()) == (503, "service unavailable\n")
        (group,) = aggregated.groups(aggregated=True)
        assert group["versions"] == [{"version": "v1", "resources": [], "freshness": "Stale"}]
    assert other.asked == []


async def test_a_certificate_of_somebody_else_is_no_answer(
    server: ApiServer, other: Other, tmp_path: Path
) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    _, bundle = certificate(folder, ("things.default.svc",))
    await register(server, bundle)
    found = await condition(server, "FailedDiscoveryCheck")
    assert "certificate verify failed" in found["message"]
    assert other.asked == []


@pytest.mark.parametrize("bundle", ["ä", "garbage"])
async def test_a_bundle_without_certificates_is_told_of(server: ApiServer, bundle: str) -> None:
    await register(server, base64.b64encode(bundle.encode()).decode())
    found = await condition(server, "FailedDiscoveryCheck")
    assert found["message"].endswith("unable to load root certificates: unable to parse bytes as PEM block")


async def test_what_is_built_in_stays_ours(server: ApiServer) -> None:
    spec = {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {"name": "metrics-server", "namespace": "kube-system"},
        "insecureSkipTLSVerify": True,
    }
    body = {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": spec}
    await create(server, "apiregistration.k8s.io/v1", "APIService", "", body)
    found = await condition(server, "Local", "v1beta1.metrics.k8s.io")
    assert found["status"] == "True"
    assert server._api_services.remote("metrics.k8s.io") == []


async def test_what_is_unregistered_is_forgotten(server: ApiServer, other: Other) -> None:
    await register(server, other.bundle)
    await condition(server, "Passed")
    resource = kinds.resource_of_kind("apiregistration.k8s.io/v1", "APIService")
    assert resource is not None
    await server.registry.delete(Target(resource, "", NAME), b"")
    for _ in range(1200):
        if not server._api_services.remote(GROUP):
            return
        await asyncio.sleep(0.05)  # a cache tells nobody when it changes
    raise AssertionError("still there")
