"""The `proxy` subresource: HTTP to a Pod, to a Service's Pods, and what a kubelet tells over HTTP.

Requests and answers are streamed; what concerns one connection only is not passed on; a connection that the
Pod agrees to upgrade is passed on as bytes. Links within HTML are left as they are. Upstream:
`apimachinery/pkg/util/proxy`.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc.aio
import orjson
from aiohttp import web
from yarl import URL

from services.api import errors, kinds
from services.apiserver.aggregation import passing, upgraded
from services.apiserver.fronts.kubelets import Call, Kubelets, refusal_of
from services.apiserver.fronts.rest import documents
from services.apiserver.fronts.rest.paths import Path
from services.apiserver.fronts.rest.streams import pod_http, proxy_targets, resource_metrics, sniffing
from services.apiserver.fronts.rest.streams.commands import begun
from services.apiserver.fronts.rest.streams.proxy_targets import Backend, headers_to_pass
from services.apiserver.fronts.rest.verbs import TRUE
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import ListOptions, Target
from services.machinery.clock import Clock
from services.pb.node.v1 import node_pb2 as pb

BODILESS = (204, 304)
Json = dict[str, Any]


class Proxy:
    def __init__(self, kubelets: Kubelets, registry: Registry, chance: random.Random) -> None:
        self._kubelets, self._registry, self._random = kubelets, registry, chance

    async def handle(self, request: web.Request, path: Path) -> web.StreamResponse:
        """ApiError."""
        prefix, rest = _split(request.rel_url.raw_path, path)
        upgrades = "upgrade" in request.headers.get("Connection", "").lower()
        if rest is None and request.method in ("GET", "HEAD") and not upgrades:
            query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
            return web.Response(status=301, headers={"Location": f"{prefix}/{query}"})
        await self._admitted(path, rest or "")
        if path.plural == "nodes":
            return await self._node(request, path, (rest or "").strip("/"))
        backend = await self._backend(path)
        call = await self.reached(path.namespace, backend)
        try:
            where = f"/{rest or ''}"
            if upgrades:
                return await _pass_bytes(request, call, backend, where, self._kubelets.clock)
            return await _pass_on(request, call, backend, where, prefix)
        finally:
            call.cancel()

    async def reached(self, namespace: str, backend: Backend) -> Call:
        """A connection to the Pod, which the caller cancels. ApiError (503) where there is none."""
        reference = pb.ContainerReference(namespace=namespace, pod=backend.pod)
        call, is_reached = None, False
        try:
            call = await self._kubelets.port_forward(pb.PortForwardRequest(pod=reference, port=backend.port))
            await begun(call)
            is_reached = True
            return call
        except errors.ApiError as refused:
            if call is None and refused.code < 500:
                raise
            why = refused.message.rpartition("desc = ")[2].removeprefix("error dialing backend: ")
            raise errors.unavailable(f"error trying to reach service: {why}") from None
        finally:
            if call is not None and not is_reached:
                call.cancel()

    async def _admitted(self, path: Path, rest: str) -> None:
        kind = {"pods": "Pod", "services": "Service", "nodes": "Node"}[path.plural]
        options = {"kind": f"{kind}ProxyOptions", "apiVersion": "v1", "path": f"/{rest}"}
        target = Target(_resource("v1", kind), path.namespace, path.name, "proxy")
        await self._registry.connect(target, options)

    # -- where to --------------------------------------------------------------------------------

    async def _backend(self, path: Path) -> Backend:
        if path.plural == "pods":
            named = proxy_targets.split(path.name, "pod")
            return proxy_targets.of_pod(named, await self._object("v1", "Pod", path.namespace, named.name))
        return await self.of_service(path.namespace, proxy_targets.split(path.name, "service"))

    async def of_service(self, namespace: str, named: proxy_targets.Named) -> Backend:
        """One of the Pods behind it. ApiError (404, 503)."""
        service = await self._object("v1", "Service", namespace, named.name)
        port = proxy_targets.service_port(named, service)
        labels = f"kubernetes.io/service-name={named.name}"
        slices = Target(_resource("discovery.k8s.io/v1", "EndpointSlice"), namespace, "")
        found = await self._registry.list(slices, ListOptions(labels=labels, resource_version="0"))
        bodies = [orjson.loads(item.value) for item in found.items]
        return proxy_targets.of_service(named, port, bodies, self._random)

    async def _object(self, api_version: str, kind: str, namespace: str, name: str) -> Json:
        found = await self._registry.get(Target(_resource(api_version, kind), namespace, name))
        obj: Json = orjson.loads(found.item.value)
        return obj

    # -- what a kubelet tells --------------------------------------------------------------------

    async def _node(self, request: web.Request, path: Path, rest: str) -> web.Response:
        named = proxy_targets.split(path.name, "node")
        if request.method not in ("GET", "HEAD"):
            return web.Response(text="405: Method Not Allowed", status=405)
        match rest:
            case "healthz":
                await self._kubelets.reach(named.name)
                return web.Response(text="ok")
            case "stats/summary":
                few = request.query.get("only_cpu_and_memory", "") in TRUE
                return _json(await self._stats(named.name, only_cpu_and_memory=few))
            case "metrics/resource":
                told = await self._stats(named.name, only_cpu_and_memory=True)
                return web.Response(text=resource_metrics.text(orjson.loads(told)))
            case "pods":
                await self._kubelets.reach(named.name)
                options = ListOptions(fields=f"spec.nodeName={named.name}")
                pods = _resource("v1", "Pod")
                listing = await self._registry.list(Target(pods, "", ""), options)
                return _json(documents.list_document(pods, listing))
        await self._kubelets.reach(named.name)
        return web.Response(text="404 page not found\n", status=404)

    async def _stats(self, node: str, *, only_cpu_and_memory: bool) -> bytes:
        request = pb.StatsRequest(node=node, only_cpu_and_memory=only_cpu_and_memory)
        try:
            return (await self._kubelets.stats(request)).json
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error) from None


async def _pass_on(
    request: web.Request, call: Any, backend: Backend, where: str, prefix: str
) -> web.StreamResponse:
    query = request.rel_url.raw_query_string
    url = URL(f"http://{backend.host}{where}{'?' if query else ''}{query}", encoded=True)
    headers = [*headers_to_pass(request.headers.items()), *_forwarded(request)]
    body = request.content.iter_chunked(pod_http.CHUNK_BYTES) if request.can_read_body else None
    response: web.StreamResponse | None = None
    try:
        async with (
            pod_http.client(call, backend.tls) as client,
            client.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer,
        ):
            response = _begin(request, answer, backend, prefix)
            chunks, first = _chunks(request, answer), b""
            if "Content-Type" not in response.headers:
                first = await anext(chunks, b"")
                response.headers["Content-Type"] = sniffing.media_of(first)
            await response.prepare(request)
            if first:
                await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
            return response
    except aiohttp.ClientError as error:
        if response is not None:
            raise ConnectionResetError("the backend broke off") from error
        raise errors.unavailable(f"error trying to reach service: {error}") from None


def _begin(
    request: web.Request, answer: aiohttp.ClientResponse, backend: Backend, prefix: str
) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in headers_to_pass(answer.headers.items(), frozenset()):
        if name.lower() == "location":
            value = proxy_targets.relocated(value, backend.host, prefix)
        response.headers.add(name, value)
    bodiless = request.method == "HEAD" or answer.status in BODILESS
    if not bodiless and "Content-Length" not in response.headers:
        response.enable_chunked_encoding()
    return response


async def _chunks(request: web.Request, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    if request.method != "HEAD" and answer.status not in BODILESS:
        async for chunk in answer.content.iter_any():
            yield chunk


async def _pass_bytes(
    request: web.Request, call: Any, backend: Backend, where: str, clock: Clock
) -> web.StreamResponse:
    """The request as it came, and from then on, once the Pod has agreed, whatever either side says."""
    query = request.rel_url.raw_query_string
    headers = [("Host", backend.host), ("Connection", "Upgrade")]
    headers.append(("Upgrade", request.headers.get("Upgrade", "")))
    headers += [*headers_to_pass(request.headers.items()), *_forwarded(request)]
    head = passing.head(request.method, f"{where}{'?' if query else ''}{query}", headers)
    try:
        async with pod_http.stream(call, backend.tls) as (reader, writer):
            return await upgraded.pass_on(request, reader, writer, head, clock)
    except upgraded.Refused as refused:
        raise errors.failure(500, "", str(refused)) from None
    except OSError as error:
        raise errors.unavailable(f"error trying to reach service: {error}") from None


def _forwarded(request: web.Request) -> list[tuple[str, str]]:
    found = [("X-Forwarded-Uri", request.rel_url.raw_path), ("X-Forwarded-Proto", request.scheme)]
    if request.host:
        found.append(("X-Forwarded-Host", request.host))
    if request.remote:
        found.append(("X-Forwarded-For", request.remote))
    return found


def _split(raw_path: str, path: Path) -> tuple[str, str | None]:
    """The path up to `proxy`, and what follows as it was written; None where not even a slash does."""
    parts = raw_path.split("/", 8 if path.namespace else 6)
    count = 8 if path.namespace else 6
    return "/".join(parts[:count]), parts[count] if len(parts) > count else None


def _resource(api_version: str, kind: str) -> kinds.Resource:
    found = kinds.resource_of_kind(api_version, kind)
    assert found is not None
    return found


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
