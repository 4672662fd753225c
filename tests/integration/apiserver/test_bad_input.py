"""Whatever is sent to the port: a Status comes back, nothing changes, and the log shows no stack."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import grpc.aio
import orjson
import pytest

from services.pb.node.v1 import node_pb2
from services.pb.resource.v1 import resource_pb2 as pb
from services.process.healthcheck import check
from tests.support.apiserver import apiserver_process
from tests.support.etcd import Etcd

CONFIG_MAPS = pb.Resource(version="v1", resource="configmaps", namespace="default")
RESOURCE = "/resource.v1.ResourceService"
METHODS = ("Get", "List", "Create", "Update", "Patch", "Delete", "DeleteCollection")


@pytest.fixture(scope="module")
def server(shared_etcd: Etcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Looks through the log at the end: no input may leave a stack in it."""
    log = tmp_path_factory.mktemp("bad-input") / "log"
    with apiserver_process(shared_etcd, log) as address:
        yield address
        assert not check(address)
    text = log.read_text(errors="replace")
    assert "Traceback" not in text, text[-3000:]
    assert len(text) < 200_000


@pytest.fixture
async def channel(server: str) -> AsyncIterator[grpc.aio.Channel]:
    options = (("grpc.max_send_message_length", -1),)
    async with grpc.aio.insecure_channel(server, options=options) as made:
        yield made


async def refused(channel: grpc.aio.Channel, method: str, body: bytes) -> dict[str, Any]:
    """The Status that comes back."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary(method, None, None)(body, timeout=60)
    metadata: Any = error.value.trailing_metadata()
    trailing = dict(metadata or ())
    status: dict[str, Any] = orjson.loads(trailing["kubernetes-status-bin"])
    assert status["kind"] == "Status"
    assert status["message"]
    assert "Traceback" not in status["message"]
    return status


async def test_random_bytes_are_not_messages(channel: grpc.aio.Channel) -> None:
    chance = random.Random(7)
    for _ in range(30):
        for method in METHODS:
            body = b"\xff" + chance.randbytes(chance.randrange(1, 300))
            assert (await refused(channel, f"{RESOURCE}/{method}", body))["code"] == 400


async def test_random_bytes_on_the_socket(server: str) -> None:
    host, _, port = server.rpartition(":")
    chance = random.Random(8)
    for size in (0, 1, 10, 1000, 100_000):
        with (
            socket.create_connection((host, int(port)), 60) as connection,
            suppress(ConnectionError),  # it may have heard enough
        ):
            connection.sendall(chance.randbytes(size))
    assert not check(server)


def create(body: bytes) -> bytes:
    return pb.CreateRequest(resource=CONFIG_MAPS, json=body).SerializeToString()


def nested(depth: int, kind: str = "{}") -> bytes:
    inner = b'{"a":' * depth + b"1" + b"}" * depth if kind == "{}" else b"[" * depth + b"]" * depth
    return b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":' + inner + b"}"


BAD_BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"1",
    b'"x"',
    b"\x00",
    b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"\xff"}}',
    b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"\\ud800"}}',
    b'{"kind":"ConfigMap","apiVersion":"v1","metadata":[]}',
    b'{"kind":"ConfigMap","apiVersion":"v1","metadata":"x"}',
    b'{"kind":"ConfigMap","apiVersion":"v1"}',
    b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"}}',
    b'{"kind":1,"apiVersion":{}}',
    nested(50),
    nested(900),
    nested(5000),
    nested(200_000, "[]"),
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_bad_bodies(channel: grpc.aio.Channel, body: bytes) -> None:
    status = await refused(channel, f"{RESOURCE}/Create", create(body))
    assert 400 <= status["code"] < 500


async def test_a_body_may_not_be_larger_than_upstream_takes(channel: grpc.aio.Channel) -> None:
    status = await refused(channel, f"{RESOURCE}/Create", create(b" " * (3 * 1024 * 1024 + 1)))
    assert status["message"] == "Request entity too large: limit is 3145728"
    assert (status["code"], status["reason"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        ("application/json-patch+json", b"{}"),
        ("application/json-patch+json", b'[{"op":"add"}]'),
        ("application/json-patch+json", b'[{"op":"copy","from":"/","path":"/metadata"}]'),
        ("application/merge-patch+json", b"[]"),
        ("application/strategic-merge-patch+json", b"[]"),
        ("application/strategic-merge-patch+json", b"\xff"),
        ("application/apply-patch+yaml", b"{: : :"),
        ("application/apply-patch+yaml", b"&a [*a]"),
        ("text/plain", b"x"),
    ],
)
async def test_bad_patches(channel: grpc.aio.Channel, content_type: str, patch: bytes) -> None:
    pods = pb.Resource(version="v1", resource="namespaces", name="default")
    request = pb.PatchRequest(resource=pods, patch=patch, content_type=content_type, field_manager="m")
    status = await refused(channel, f"{RESOURCE}/Patch", request.SerializeToString())
    assert 400 <= status["code"] < 500


async def test_patches_that_grow(channel: grpc.aio.Channel) -> None:
    """Copies of copies, and moves that nest ever deeper: small patches of huge results."""
    annotations = "/metadata/annotations"
    copies = [{"op": "copy", "from": annotations, "path": f"{annotations}/a{n}"} for n in range(60)]
    deeper: list[dict[str, Any]] = [{"op": "add", "path": "/a", "value": {}}]
    for _ in range(1500):
        deeper += [{"op": "add", "path": "/b", "value": {}}, {"op": "move", "from": "/a", "path": "/b/c"}]
        deeper += [{"op": "move", "from": "/b", "path": "/a"}]
    target = pb.Resource(version="v1", resource="namespaces", name="default")
    for operations in ([{"op": "add", "path": annotations, "value": {"a": "x"}}, *copies], deeper):
        request = pb.PatchRequest(
            resource=target, patch=orjson.dumps(operations), content_type="application/json-patch+json"
        )
        status = await refused(channel, f"{RESOURCE}/Patch", request.SerializeToString())
        assert status["code"] == 422, status


async def test_names_and_selectors_are_bounded(channel: grpc.aio.Channel) -> None:
    pods = pb.Resource(version="v1", resource="pods", namespace="default", name="x" * 300_000)
    listing = pb.ListRequest(resource=CONFIG_MAPS, label_selector="a=b," * 100_000)
    for method, request in (("Get", pb.GetRequest(resource=pods)), ("List", listing)):
        status = await refused(channel, f"{RESOURCE}/{method}", request.SerializeToString())
        assert status["message"] == "Request entity too large: limit is 262144"


async def test_a_field_manager_is_bounded(channel: grpc.aio.Channel) -> None:
    body = pb.CreateRequest(resource=CONFIG_MAPS, json=b'{"metadata":{"name":"x"}}', field_manager="x" * 129)
    status = await refused(channel, f"{RESOURCE}/Create", body.SerializeToString())
    assert status["code"] == 422
    assert "fieldManager: Too long" in status["message"]


async def test_unknown_targets(channel: grpc.aio.Channel) -> None:
    for resource in (
        pb.Resource(),
        pb.Resource(version="v1", resource="nothing"),
        pb.Resource(version="v1", resource="pods", name="x"),
        pb.Resource(version="v1", resource="nodes", namespace="default", name="x"),
        pb.Resource(version="v1", resource="pods", namespace="default", name="x", subresource="nothing"),
        pb.Resource(version="v1", resource="configmaps", namespace="../x", name="../../minions/y"),
    ):
        body = pb.GetRequest(resource=resource).SerializeToString()
        assert (await refused(channel, f"{RESOURCE}/Get", body))["code"] == 404


async def test_bad_questions_about_pods(channel: grpc.aio.Channel) -> None:
    for body in (b"\xff\xff", node_pb2.LogsRequest().SerializeToString()):
        call = channel.unary_stream("/node.v1.NodeService/Logs", None, None)(body, timeout=60)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            [chunk async for chunk in call]
        assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


async def test_numbers_beyond_their_meaning(channel: grpc.aio.Channel) -> None:
    stranger = pb.CreateRequest(resource=CONFIG_MAPS, json=b"{}", field_validation=99)  # type: ignore[arg-type]
    assert (await refused(channel, f"{RESOURCE}/Create", stranger.SerializeToString()))["code"] == 422
    for version in ("-1", "9" * 19, "9" * 400, "1e3", "٣"):
        listing = pb.ListRequest(
            resource=CONFIG_MAPS,
            resource_version=version,
            resource_version_match=pb.RESOURCE_VERSION_MATCH_EXACT,
        )
        assert (await refused(channel, f"{RESOURCE}/List", listing.SerializeToString()))["code"] == 400
    made = create(b'{"metadata":{"name":"far","finalizers":["a/b"]}}')
    await channel.unary_unary(f"{RESOURCE}/Create", None, None)(made, timeout=60)
    far = pb.Resource(version="v1", resource="configmaps", namespace="default", name="far")
    for seconds in (2**63 - 1, -(2**63)):
        options = orjson.dumps({"gracePeriodSeconds": seconds})
        delete = pb.DeleteRequest(resource=far, options=options).SerializeToString()
        await channel.unary_unary(f"{RESOURCE}/Delete", None, None)(delete, timeout=60)


async def test_any_message_gets_an_answer(channel: grpc.aio.Channel) -> None:
    """Messages that parse, with whatever in them."""
    chance = random.Random(11)
    words = [
        "",
        "v1",
        "apps",
        "pods",
        "nodes",
        "default",
        "a/b",
        "..",
        "\0",
        "x" * 500,
        "scale",
        "=",
        "!(",
        "[1]",
    ]
    types = (pb.GetRequest, pb.ListRequest, pb.CreateRequest, pb.UpdateRequest, pb.PatchRequest)
    for kind in (*types, pb.DeleteRequest, pb.DeleteCollectionRequest) * 40:
        message = kind()
        for field in message.DESCRIPTOR.fields:
            fill(message, field, chance, words)
        message.resource.version = "v1"
        message.resource.resource = chance.choice(["pods", "nodes", "configmaps", "namespaces"])
        method = f"{RESOURCE}/{kind.__name__.removesuffix('Request')}"
        try:
            await channel.unary_unary(method, None, None)(message.SerializeToString(), timeout=60)
        except grpc.aio.AioRpcError as error:
            trailing: Any = error.trailing_metadata()
            status = orjson.loads(dict(trailing)["kubernetes-status-bin"])
            problem = status if status["code"] >= 500 and "fault of its own" in status["message"] else None
        else:
            problem = None
        assert problem is None, (method, message)


def fill(message: Any, field: Any, chance: random.Random, words: list[str]) -> None:
    if field.type == field.TYPE_MESSAGE:
        inner = getattr(message, field.name)
        for each in field.message_type.fields:
            fill(inner, each, chance, words)
    elif field.type == field.TYPE_STRING:
        setattr(message, field.name, chance.choice(words))
    elif field.type == field.TYPE_BYTES:
        bodies = [
            b"",
            b"{}",
            b"[]",
            b'{"metadata":{"name":"q"}}',
            b'{"metadata":{"labels":{"a":1}}}',
            b"\xff",
            b"1",
        ]
        setattr(message, field.name, chance.choice(bodies))
    elif field.type == field.TYPE_BOOL:
        setattr(message, field.name, chance.random() < 0.5)
    else:
        setattr(message, field.name, chance.choice([0, 1, 2, 3, 99]))
