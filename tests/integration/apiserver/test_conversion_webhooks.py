"""Custom resources whose versions a webhook converts: a small HTTPS server, asked, failing, and away."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import orjson
import pytest
from aiohttp import web

from services.api import core_v1, discovery_v1, errors, meta_v1
from services.apiserver.registry.request import Target, WatchOptions
from services.client.client import Client, connect
from services.pb.node.v1 import node_pb2 as pb
from services.pb.node.v1 import node_pb2_grpc
from services.process.clock import SystemClock
from services.process.keys import Issuer, make_missing
from tests.integration.apiserver.test_node_front import fill
from tests.support.apiserver import apiserver_here
from tests.support.custom import Custom, definition, version, widget
from tests.support.etcd import Etcd

Json = dict[str, Any]
OPEN: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@dataclass
class Webhook:
    """Says `colour` in v1 and `color` in v2. `answer` may spoil what it says."""

    port: int = 0
    asked: list[Json] = field(default_factory=list)
    spoil: Callable[[Json], Json] = lambda review: review

    async def convert(self, request: web.Request) -> web.Response:
        review = orjson.loads(await request.read())
        asked = review["request"]
        self.asked.append(asked)
        objects = [converted(obj, asked["desiredAPIVersion"]) for obj in asked["objects"]]
        response = {"uid": asked["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
        header = {"apiVersion": review["apiVersion"], "kind": review["kind"]}
        return web.json_response(self.spoil({**header, "response": response}))


def converted(obj: Json, api_version: str) -> Json:
    old, new = ("colour", "color") if api_version.endswith("v2") else ("color", "colour")
    spec = {new if name == old else name: value for name, value in obj.get("spec", {}).items()}
    return {**obj, "apiVersion": api_version, "spec": spec}


@pytest.fixture
async def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    make_missing(folder, SystemClock().now())
    names = ("hook.default.svc", "localhost")
    Issuer(folder, SystemClock().now()).issue("hook", "hook", "", names=names, addresses=("127.0.0.1",))
    return folder


@pytest.fixture
async def webhook(keys: Path) -> AsyncIterator[Webhook]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(str(keys / "hook.crt"), str(keys / "hook.key"))
    hook, application = Webhook(), web.Application()
    application.router.add_post("/convert", hook.convert)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server: Any = site._server
    hook.port = server.sockets[0].getsockname()[1]
    yield hook
    await runner.cleanup()


@pytest.fixture
async def custom(etcd: Etcd, webhook: Webhook, keys: Path) -> AsyncIterator[Custom]:
    async with apiserver_here(etcd) as (server, _):
        found = Custom(server.registry)
        await found.define(converting(webhook.port, (keys / "ca.crt").read_bytes()))
        yield found


def converting(port: int, authority: bytes) -> Json:
    config = {"url": f"https://127.0.0.1:{port}/convert", "caBundle": b64encode(authority).decode()}
    conversion = {
        "strategy": "Webhook",
        "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]},
    }
    versions = (version("v1", storage=True, schema=OPEN), version("v2", schema=OPEN))
    return definition("widgets", "Widget", *versions, conversion=conversion)


async def test_versions_differ_in_shape(custom: Custom, webhook: Webhook) -> None:
    made = await custom.create(widget("a", "v2", color="red"))
    assert (made["apiVersion"], made["spec"]) == ("example.com/v2", {"color": "red"})
    assert (await custom.get("a"))["spec"] == {"colour": "red"}
    assert (await custom.get("a", "v2"))["spec"] == {"color": "red"}
    changed = await custom.merge("a", {"spec": {"color": "blue"}}, "v2")
    assert changed["spec"] == {"color": "blue"}
    assert (await custom.get("a"))["spec"] == {"colour": "blue"}


async def test_a_list_is_converted_in_one_question(custom: Custom, webhook: Webhook) -> None:
    for number in range(5):
        await custom.create(widget(f"w-{number}", colour="red"))
    webhook.asked.clear()
    found = await custom.list("v2")
    assert [each["spec"] for each in found] == [{"color": "red"}] * 5
    assert [len(each["objects"]) for each in webhook.asked] == [5]
    await custom.list("v2")
    assert len(webhook.asked) == 1  # what was converted is kept with the object


async def test_watches_show_the_version(custom: Custom) -> None:
    target = Target(custom.resource("v2"), "default")
    watcher = await custom.registry.watch(target, WatchOptions())
    await custom.create(widget("a", colour="red"))
    (delivery,) = await watcher.next()
    assert delivery.entry is not None
    assert orjson.loads(delivery.entry.value)["spec"] == {"color": "red"}
    custom.registry.leave(target, watcher)


def refusing(response: Json) -> Json:
    return {**response, "response": {**response["response"], "result": {"status": "Failed", "message": "no"}}}


def renaming(response: Json) -> Json:
    (obj,) = response["response"]["convertedObjects"]
    spoilt = {**obj, "metadata": {**obj["metadata"], "name": "other"}}
    return {**response, "response": {**response["response"], "convertedObjects": [spoilt]}}


def losing(response: Json) -> Json:
    return {**response, "response": {**response["response"], "convertedObjects": []}}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (refusing, "conversion webhook for example.com/v1, Kind=Widget failed: no"),
        (losing, "conversion webhook for example.com/v1, Kind=Widget returned 0 objects, expected 1"),
        (
            renaming,
            "conversion webhook for example.com/v1, Kind=Widget returned invalid object:"
            " must have the same name: a != other",
        ),
    ],
)
async def test_what_a_webhook_does_wrong_is_told(
    custom: Custom, webhook: Webhook, spoil: Callable[[Json], Json], message: str
) -> None:
    await custom.create(widget("a", colour="red"))
    webhook.spoil = spoil
    with pytest.raises(errors.ApiError) as refusal:
        await custom.get("a", "v2")
    assert (refusal.value.code, refusal.value.message) == (500, message)
    assert (await custom.get("a"))["spec"] == {"colour": "red"}  # the stored version needs nobody


async def test_a_webhook_that_is_away(etcd: Etcd, keys: Path) -> None:
    authority = (keys / "ca.crt").read_bytes()
    async with apiserver_here(etcd) as (server, _):
        custom = Custom(server.registry)
        await custom.define(converting(1, authority))
        await custom.create(widget("a", colour="red"))
        with pytest.raises(errors.ApiError) as refusal:
            await custom.get("a", "v2")
        assert refusal.value.message == (
            "conversion webhook for example.com/v1, Kind=Widget failed: Post"
            ' "https://127.0.0.1:1/convert?timeout=30s": dial tcp 127.0.0.1:1: connect: connection refused'
        )
        with pytest.raises(errors.ApiError):
            await custom.list("v2")
        with pytest.raises(errors.ApiError):
            await custom.create(widget("b", "v2", color="red"))
        assert [each["metadata"]["name"] for each in await custom.list()] == ["a"]


class Kubelet(node_pb2_grpc.NodeServiceServicer):
    """Every port of every Pod is the webhook's."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def PortForward(
        self, requests: AsyncIterator[pb.PortForwardRequest], context: Any
    ) -> AsyncIterator[pb.PortForwardResponse]:
        await context.send_initial_metadata(())
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def upward() -> None:
            async for request in requests:
                writer.write(request.data)
                await writer.drain()

        up = asyncio.create_task(upward())
        try:
            while data := await reader.read(65536):
                yield pb.PortForwardResponse(data=data)
        finally:
            up.cancel()
            writer.close()


async def test_a_webhook_that_is_a_service(etcd: Etcd, webhook: Webhook, keys: Path) -> None:
    kubelet = grpc.aio.server()
    servicer = Kubelet(webhook.port)  # type: ignore[abstract]
    node_pb2_grpc.add_NodeServiceServicer_to_server(servicer, kubelet)
    port = kubelet.add_insecure_port("127.0.0.1:0")
    await kubelet.start()
    body = converting(1, (keys / "ca.crt").read_bytes())
    config = body["spec"]["conversion"]["webhook"]["clientConfig"]
    del config["url"]
    config["service"] = {"namespace": "default", "name": "hook", "path": "/convert"}
    async with apiserver_here(etcd) as (server, address):
        custom = Custom(server.registry)
        await custom.define(body)
        await custom.create(widget("a", colour="red"))
        with pytest.raises(errors.ApiError, match='service "hook" not found'):
            await custom.get("a", "v2")
        async with connect(address, user_agent="test/1") as client:
            await fill(client, port)
            await serve(client)
        assert (await custom.get("a", "v2"))["spec"] == {"color": "red"}
    await kubelet.stop(None)


async def serve(client: Client) -> None:
    """The Pod `p` of the node that answers stands behind the Service `hook`."""
    ports = [core_v1.ServicePort(name="https", port=443)]
    spec = core_v1.ServiceSpec(ports=ports, selector={"app": "hook"})
    await client.create(
        core_v1.Service(metadata=meta_v1.ObjectMeta(name="hook", namespace="default"), spec=spec)
    )
    target = core_v1.ObjectReference(kind="Pod", name="p", namespace="default")
    endpoint = discovery_v1.Endpoint(
        addresses=["10.0.0.1"],
        conditions=discovery_v1.EndpointConditions(ready=True),
        target_ref=target,
    )
    labels = {"kubernetes.io/service-name": "hook"}
    await client.create(
        discovery_v1.EndpointSlice(
            metadata=meta_v1.ObjectMeta(name="hook", namespace="default", labels=labels),
            address_type="IPv4",
            endpoints=[endpoint],
            ports=[discovery_v1.EndpointPort(name="https", port=8443, protocol="TCP")],
        )
    )


async def test_a_stranger_is_not_asked(etcd: Etcd, webhook: Webhook, tmp_path: Path) -> None:
    make_missing(tmp_path / "others", SystemClock().now())
    async with apiserver_here(etcd) as (server, _):
        custom = Custom(server.registry)
        await custom.define(converting(webhook.port, (tmp_path / "others" / "ca.crt").read_bytes()))
        await custom.create(widget("a", colour="red"))
        with pytest.raises(errors.ApiError, match="certificate signed by unknown authority"):
            await custom.get("a", "v2")
    assert not webhook.asked
