"""Reads of single keys from etcd, those of one moment in one transaction.

A read has to ask etcd, since only etcd knows that nobody else wrote meanwhile; but one question serves
all who ask at the same time. Each gets what the store held after it asked, never something older: a
read that comes while a question is on its way waits for the next one. A read that comes alone is a
plain range, and waits for nothing.

Where etcd refuses or cannot be reached, everybody who asked in that message hears of it; nothing is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from services.apiserver.storage.etcd_writes import stored
from services.apiserver.storage.storage import Reading
from services.client.gatherer import Gatherer
from services.pb.etcd.v3 import etcd_pb2 as pb

READS_MAX = 64  # of one transaction; etcd takes 128
# Questions whose answers are awaited, beside that of the first who came: while so many are, further
# reads gather.
ON_THEIR_WAY_MAX = 1

Read = Callable[[pb.RangeRequest], Awaitable[pb.RangeResponse]]
Transact = Callable[[pb.TxnRequest], Awaitable[pb.TxnResponse]]


class EtcdReads:
    """Gathers while `run` runs; before that, and after, each read is sent alone."""

    def __init__(self, read: Read, transact: Transact) -> None:
        self._read, self._transact = read, transact
        self._gatherer: Gatherer[bytes, Reading] = Gatherer(
            self._send, _Question, on_their_way_max=ON_THEIR_WAY_MAX
        )
        self._first_is_on_its_way = False

    async def run(self) -> None:
        await self._gatherer.run()

    async def get(self, key: str) -> Reading:
        if self._first_is_on_its_way:
            return await self._gatherer.ask(key.encode())
        self._first_is_on_its_way = True
        try:
            return await self._alone(key.encode())
        finally:
            self._first_is_on_its_way = False

    async def _alone(self, key: bytes) -> Reading:
        response = await self._read(pb.RangeRequest(key=key))
        return _reading(response, response.header.revision)

    async def _send(self, keys: list[bytes]) -> Sequence[Reading | Exception]:
        if len(keys) == 1:
            return [await self._alone(keys[0])]
        reads = [pb.RequestOp(request_range=pb.RangeRequest(key=key)) for key in keys]
        answer = await self._transact(pb.TxnRequest(success=reads))
        revision = answer.header.revision
        return [_reading(each.response_range, revision) for each in answer.responses]


class _Question:
    """Whether one more read may go into a transaction."""

    def __init__(self) -> None:
        self._reads = 0

    def takes(self, key: bytes) -> bool:
        self._reads += 1
        return self._reads <= READS_MAX


def _reading(response: pb.RangeResponse, revision: int) -> Reading:
    return Reading(stored(response.kvs[0]) if response.kvs else None, revision)
