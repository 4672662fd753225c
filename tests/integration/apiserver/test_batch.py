"""Batch: many writes in one message, and what that must not change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio
import orjson
import pytest

from services.api.errors import ApiError
from services.apiserver.server import ApiServer
from services.pb.resource.v1 import resource_pb2 as pb
from services.pb.resource.v1 import resource_pb2_grpc as pb_grpc
from tests.support.apiserver import apiserver_here
from tests.support.etcd import Etcd

SECONDS = 60
Serving = tuple[ApiServer, Any]


@pytest.fixture
async def serving(etcd: Etcd) -> AsyncIterator[Serving]:
    async with apiserver_here(etcd) as (server, address), grpc.aio.insecure_channel(address) as channel:
        yield server, pb_grpc.ResourceServiceStub(channel)


def config_maps(name: str = "") -> pb.Resource:
    return pb.Resource(version="v1", resource="configmaps", namespace="default", name=name)


def create(name: str, data: str = "x") -> pb.Operation:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": data}}
    return pb.Operation(create=pb.CreateRequest(resource=config_maps(), json=orjson.dumps(body)))


def event(name: str) -> pb.Operation:
    involved = {"kind": "Pod", "namespace": "default", "name": "p"}
    body = {"metadata": {"name": name}, "involvedObject": involved, "reason": "R", "type": "Normal"}
    resource = pb.Resource(version="v1", resource="events", namespace="default")
    return pb.Operation(create=pb.CreateRequest(resource=resource, json=orjson.dumps(body)))


async def send(stub: Any, operations: Sequence[pb.Operation]) -> list[pb.OperationAnswer]:
    response = await stub.Batch(pb.BatchRequest(operations=operations))
    return list(response.answers)


def status(answer: pb.OperationAnswer) -> dict[str, Any]:
    assert answer.WhichOneof("answer") == "status"
    found: dict[str, Any] = orjson.loads(answer.status)
    return found


async def versions(stub: Any, after: str) -> AsyncIterator[list[tuple[str, str]]]:
    """Message by message: names and resource versions of what a watch tells."""
    call = stub.Watch(pb.WatchRequest(resource=config_maps(), resource_version=after))
    async for response in call:
        if response.events:
            yield [(each.object.name, each.object.resource_version) for each in response.events]


async def test_each_operation_has_an_answer_of_its_own(serving: Serving) -> None:
    stub = serving[1]
    await send(stub, [create("taken")])
    patch = pb.PatchRequest(
        resource=config_maps("taken"),
        patch=b'{"data":{"b":"y"}}',
        content_type="application/merge-patch+json",
    )
    answers = await send(
        stub,
        [
            create("a"),
            create("taken"),
            create("Bad_Name"),
            pb.Operation(patch=patch),
            pb.Operation(delete=pb.DeleteRequest(resource=config_maps("absent"))),
            pb.Operation(),
            pb.Operation(create=pb.CreateRequest(resource=config_maps(), json=b"[" * 20_000)),
            create("b"),
        ],
    )
    assert [answers[n].object.object.name for n in (0, 7)] == ["a", "b"]
    assert orjson.loads(answers[3].object.object.json)["data"] == {"a": "x", "b": "y"}
    refused = [status(answers[number]) for number in (1, 2, 4, 5, 6)]
    assert [each["code"] for each in refused] == [409, 422, 404, 400, 400]
    assert refused[0]["message"] == 'configmaps "taken" already exists'


def register(kind: str, plural: str, spec: dict[str, Any]) -> pb.Operation:
    group = "admissionregistration.k8s.io"
    body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "short"}, "spec": spec}
    resource = pb.Resource(group=group, version="v1", resource=plural)
    return pb.Operation(create=pb.CreateRequest(resource=resource, json=orjson.dumps(body)))


async def test_policies_judge_each_operation(serving: Serving) -> None:
    _, stub = serving
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    short = [{"expression": "size(object.data.a) < 3", "message": "too long"}]
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": short}
    binding = {"policyName": "short", "validationActions": ["Deny"]}
    made = await send(
        stub,
        [
            register("ValidatingAdmissionPolicy", "validatingadmissionpolicies", policy),
            register("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", binding),
        ],
    )
    assert [each.WhichOneof("answer") for each in made] == ["object", "object"]
    good, bad = await send(stub, [create("good"), create("bad", "xxx")])
    assert good.object.object.name == "good"
    assert status(bad)["message"].endswith("denied request: too long")


async def test_a_batch_is_bounded(serving: Serving) -> None:
    stub = serving[1]
    with pytest.raises(grpc.aio.AioRpcError) as many:
        await send(stub, [create(f"c-{number}") for number in range(257)])
    assert many.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as large:
        await send(stub, [create(f"c-{number}", "x" * 900_000) for number in range(6)])
    assert large.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    wide = create("c")
    wide.create.field_manager = "m" * 300_000
    assert status((await send(stub, [wide]))[0])["code"] == 413


async def test_a_watch_tells_a_revision_whole_and_resumes_after_it(serving: Serving) -> None:
    """Whoever resumes at a revision has seen all that was written with it."""
    stub = serving[1]
    (first,) = await send(stub, [create("first")])
    answers = await send(stub, [create(f"c-{number:02}", "x" * 30_000) for number in range(60)])
    written = {each.object.object.name: each.object.object.resource_version for each in answers}
    assert len(set(written.values())) < len(written)  # several had one transaction
    seen: list[tuple[str, str]] = []
    after = first.object.object.resource_version
    async with asyncio.timeout(SECONDS):
        while len(seen) < len(written):
            async for message in versions(stub, after):
                seen += message
                after = message[-1][1]
                break  # and resume, after each single message
    assert dict(seen) == written
    assert len(seen) == len(written)


async def test_a_lease_that_is_gone_fails_no_other_write(serving: Serving) -> None:
    server, stub = serving
    storage: Any = server.storage
    storage._shared[3600] = (12345, storage._clock.monotonic() + 60, 1000)  # etcd knows no such lease
    answers = await send(stub, [create("a"), event("e-1"), create("b"), event("e-2")])
    assert [each.WhichOneof("answer") for each in answers] == ["object", "status", "object", "status"]
    assert status(answers[1])["code"] == 503
    again = await send(stub, [event("e-1"), event("e-2")])
    assert [each.WhichOneof("answer") for each in again] == ["object", "object"]


async def test_a_batch_that_breaks_leaves_nothing_half_done(serving: Serving, etcd: Etcd) -> None:
    """etcd dies in the middle: each operation is answered or refused, and what was answered is there."""
    server, stub = serving
    names = [f"c-{number}" for number in range(100)]
    sending = [asyncio.ensure_future(send(stub, [create(name) for name in names[n::4]])) for n in range(4)]
    await asyncio.sleep(0)
    etcd.stop(kill=True)
    etcd.start()
    async with asyncio.timeout(SECONDS):
        answers = [answer for batch in await asyncio.gather(*sending) for answer in batch]
    done = {answer.object.object.name for answer in answers if answer.HasField("object")}
    refused = [status(answer) for answer in answers if answer.HasField("status")]
    assert all(each["code"] == 503 for each in refused)
    present = {stored.key.rpartition("/")[2] for stored in (await _list(server)).items}
    assert done <= present
    again = await send(stub, [create(name) for name in names])
    conflicts = [answer for answer in again if answer.HasField("status")]
    assert len(again) - len(conflicts) == len(set(names) - present)
    assert all(status(answer)["code"] == 409 for answer in conflicts)


async def _list(server: ApiServer) -> Any:
    while True:
        try:
            return await server.storage.list("/registry/configmaps/default/c-")
        except ApiError:
            continue  # etcd is not back yet


async def test_writes_that_name_no_cause_do_not_share_one(serving: Serving) -> None:
    stub = serving[1]
    told = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    named = create("told")
    named.traceparent = told
    await send(stub, [create("one"), create("two"), named])
    causes = await causes_of(stub, {"one", "two", "told"})
    assert causes["told"] == told
    assert len(set(causes.values())) == 3


async def causes_of(stub: Any, wanted: set[str]) -> dict[str, str]:
    """What a watch from the beginning says that each of the objects goes back to."""
    found: dict[str, str] = {}
    async with asyncio.timeout(SECONDS):
        async for response in stub.Watch(pb.WatchRequest(resource=config_maps(), resource_version="1")):
            found |= {each.object.name: each.cause for each in response.events}
            if wanted <= found.keys():
                break
    return found
