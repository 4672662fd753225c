"""Reads of one moment share a question to etcd, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.storage.etcd_reads import READS_MAX, EtcdReads
from services.pb.etcd.v3 import etcd_pb2 as pb


class Etcd:
    """Answers a question only when told to; the revision counts the answers."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.revision = 0
        self.answers = asyncio.Semaphore(0)
        self.fault: ApiError | None = None

    async def read(self, request: pb.RangeRequest) -> pb.RangeResponse:
        await self._turn([request.key.decode()])
        return self._found(request.key)

    async def transact(self, request: pb.TxnRequest) -> pb.TxnResponse:
        keys = [each.request_range.key for each in request.success]
        await self._turn([key.decode() for key in keys])
        found = [pb.ResponseOp(response_range=self._found(key)) for key in keys]
        header = pb.ResponseHeader(revision=self.revision)
        return pb.TxnResponse(header=header, succeeded=True, responses=found)

    async def _turn(self, keys: list[str]) -> None:
        self.asked.append(keys)
        await self.answers.acquire()
        if self.fault is not None:
            raise self.fault
        self.revision += 1

    def _found(self, key: bytes) -> pb.RangeResponse:
        header = pb.ResponseHeader(revision=self.revision)
        if key == b"absent":
            return pb.RangeResponse(header=header)
        return pb.RangeResponse(header=header, kvs=[pb.KeyValue(key=key, value=b"of " + key, mod_revision=7)])


@pytest.fixture
async def world() -> AsyncIterator[tuple[Etcd, EtcdReads]]:
    etcd = Etcd()
    reads = EtcdReads(etcd.read, etcd.transact)
    running = asyncio.create_task(reads.run())
    await asyncio.sleep(0)
    yield etcd, reads
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_alone_waits_for_nobody(world: tuple[Etcd, EtcdReads]) -> None:
    etcd, reads = world
    etcd.answers.release()
    reading = await reads.get("a")
    assert reading.stored is not None
    assert (reading.stored.value, reading.stored.revision, reading.revision) == (b"of a", 7, 1)
    assert etcd.asked == [["a"]]


async def test_those_who_come_meanwhile_share_the_next_question(world: tuple[Etcd, EtcdReads]) -> None:
    etcd, reads = world
    names = ["first", "second", *(f"n-{number}" for number in range(READS_MAX)), "absent"]
    tasks = [asyncio.create_task(reads.get(name)) for name in names]
    await settled()
    late = asyncio.create_task(reads.get("first"))
    for _ in range(10):
        etcd.answers.release()
    found = await asyncio.gather(*tasks)
    assert [len(keys) for keys in etcd.asked] == [1, READS_MAX, 3]
    values = [reading.stored.value if reading.stored else None for reading in found]
    assert values == [f"of {name}".encode() for name in names[:-1]] + [None]
    assert (await late).revision == 3, "an answer is never older than the asking"


async def test_a_refusal_reaches_those_who_asked_and_is_not_kept(world: tuple[Etcd, EtcdReads]) -> None:
    etcd, reads = world
    etcd.fault = errors.unavailable("etcd cannot be reached")
    tasks = [asyncio.create_task(reads.get(name)) for name in ("a", "b", "c")]
    await settled()
    etcd.answers.release()
    etcd.answers.release()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ApiError] * 3
    etcd.fault = None
    etcd.answers.release()
    assert (await reads.get("a")).stored is not None


async def test_a_caller_who_gives_up_holds_nobody_back(world: tuple[Etcd, EtcdReads]) -> None:
    etcd, reads = world
    first = asyncio.create_task(reads.get("a"))
    await settled()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    etcd.answers.release()
    assert (await reads.get("b")).stored is not None
