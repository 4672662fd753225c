"""Whatever comes over the CRI's socket, the answer is a status and the runtime goes on."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.pb.runtime.v1 import api_pb2 as pb
from tests.contract.cri_bench import Cri, cri

SERVICES = ("RuntimeService", "ImageService")
ROUNDS = 12
NEVER_ENDS = "GetContainerEvents"
# What a caller may be told. INTERNAL is gRPC's own, for bytes that are no message.
CODES = {
    grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
WORDS = (
    "", "a", "x" * 300, "../../../etc/passwd", "/", "\0", "a\0b", "ü" * 2000, "%s %n {0}", " ", "-", "\n",
    "sha256:zz", "BAD/Name::", "1.2.3.4/99", "f" * 64, "$(reboot)", "/proc/../..//", "busybox",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 2**62, -(2**62), 80)


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Cri]:
    async with cri(tmp_path) as one:
        yield one


def calls() -> list[tuple[str, type[Message], str]]:
    found = []
    for name in SERVICES:
        service = pb.DESCRIPTOR.services_by_name[name]
        for method in service.methods:
            if method.name != NEVER_ENDS:
                request = getattr(pb, method.input_type.name)
                found.append((f"/{service.full_name}/{method.name}", request, method.name))
    return found


def fill(message: Message, chance: random.Random, ids: list[str], depth: int = 0) -> Message:
    """Anything that the message may hold, half of it left out."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.4 or depth > 4:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(message, field.name)[chance.choice(WORDS)] = chance.choice(WORDS)
        elif field.message_type is not None:
            target = getattr(message, field.name)
            fill(target.add() if field.is_repeated else target, chance, ids, depth + 1)
            if not field.is_repeated:
                target.SetInParent()
        elif field.is_repeated:
            getattr(message, field.name).extend(value(field, chance, ids) for _ in range(chance.randrange(3)))
        else:
            setattr(message, field.name, value(field, chance, ids))
    return message


def value(field: Any, chance: random.Random, ids: list[str]) -> Any:
    kinds = FieldDescriptor
    if field.type == kinds.TYPE_STRING:
        return chance.choice(ids if "id" in field.name and chance.random() < 0.5 else WORDS)
    if field.type == kinds.TYPE_BYTES:
        return chance.choice((b"", b"\xff\xfe", b"x" * 1000, b"\0"))
    if field.type == kinds.TYPE_BOOL:
        return chance.random() < 0.5
    number = chance.choice(NUMBERS)
    if field.name == "timeout":
        return chance.choice((0, -1, 1))  # or the test would take as long as it says
    if field.type in (kinds.TYPE_UINT32, kinds.TYPE_UINT64):
        return abs(number) % 2**32
    return number if field.type == kinds.TYPE_INT64 else max(-(2**31), min(number, 2**31 - 1))


async def answer_to(call: Any) -> tuple[grpc.StatusCode, str]:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def test_any_message_gets_an_answer_or_a_status(
    endpoint: Cri, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(7)
    sandbox = await endpoint.sandbox("steady")
    ids = [sandbox, await endpoint.start(sandbox, "busybox", "sleep", "10000")]
    channel: Any  # which takes and gives bytes, when it is not told of messages
    async with grpc.aio.insecure_channel(f"unix:{endpoint.socket}") as channel:
        for _ in range(ROUNDS):
            for path, request, name in calls():
                call = channel.unary_unary(path)
                message = fill(request(), chance, ids)
                code, said = await answer_to(call(message.SerializeToString()))
                assert code in CODES, (name, message, said)
                assert not said.startswith("Unexpected <class"), (name, message, said)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    # It still works.
    other = await endpoint.sandbox("after")
    container = await endpoint.start(other, "busybox", "sleep", "100", name="after")
    assert (await endpoint.exec(container, "echo", "fine")).stdout == b"fine\n"


async def test_bytes_that_are_no_message(endpoint: Cri) -> None:
    channel: Any  # which takes and gives bytes, when it is not told of messages
    async with grpc.aio.insecure_channel(f"unix:{endpoint.socket}") as channel:
        for path, _, name in calls():
            for data in (b"\xff\xff\xff", b"\x0a\x7f", b"\x08"):
                code, _ = await answer_to(channel.unary_unary(path)(data))
                assert code in CODES | {grpc.StatusCode.INTERNAL}, name
    await endpoint.sandbox("after")
