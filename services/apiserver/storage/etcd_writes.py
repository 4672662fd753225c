"""Compare-and-swap writes to etcd, those of one moment in one transaction.

A transaction costs the API server and etcd far more than an operation in it. So swaps that are asked for
at the same time go to etcd as one transaction of transactions: each keeps a condition of its own and
succeeds or fails by itself (group commit). A key stands in a transaction once at most.

What was written together has the same revision. etcd never splits a revision between two answers of a
watch; neither may anything after it, since whoever resumes at a revision has seen all of it.

Where etcd refuses the whole (a lease that ran out, a value too large, its quota), nothing of it was
done, and each swap is tried alone, so that one cannot fail another. A connection that broke leaves
all of them unknown, as it leaves a single one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import grpc
import grpc.aio

from services.api.errors import ApiError
from services.apiserver.storage.storage import Outcome, Stored
from services.client.gatherer import Gatherer
from services.pb.etcd.v3 import etcd_pb2 as pb

SWAPS_MAX = 100  # of one transaction; etcd takes 128, nested ones counted with those around them
BYTES_MAX = 512 * 1024  # likewise, where a swap does not stand alone; etcd takes 1.5 MiB
# Transactions whose answers are awaited: while so many are, further swaps gather.
ON_THEIR_WAY_MAX = 2
# With these etcd says that it did nothing.
_REFUSED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Swap(NamedTuple):
    """What is to become of a key whose last change is that revision (0: nothing was there)."""

    key: bytes
    revision: int
    operation: pb.RequestOp
    size: int


Transact = Callable[[pb.TxnRequest], Awaitable[pb.TxnResponse]]


class EtcdWrites:
    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._gatherer: Gatherer[Swap, Outcome] = Gatherer(
            self._send, _Transaction, on_their_way_max=ON_THEIR_WAY_MAX
        )

    async def run(self) -> None:
        await self._gatherer.run()

    async def put(self, key: str, value: bytes, revision: int, lease: int) -> Outcome:
        put = pb.PutRequest(key=key.encode(), value=value, lease=lease)
        swap = Swap(put.key, revision, pb.RequestOp(request_put=put), len(value) + 2 * len(key))
        return await self._gatherer.ask(swap)

    async def delete(self, key: str, revision: int) -> Outcome:
        delete = pb.DeleteRangeRequest(key=key.encode())
        swap = Swap(delete.key, revision, pb.RequestOp(request_delete_range=delete), 3 * len(key))
        return await self._gatherer.ask(swap)

    async def _send(self, swaps: list[Swap]) -> Sequence[Outcome | Exception]:
        if len(swaps) == 1:
            return [await self._alone(swaps[0])]
        nested = [pb.RequestOp(request_txn=_transaction(swap)) for swap in swaps]
        try:
            response = await self._transact(pb.TxnRequest(success=nested))
        except ApiError as error:
            if not _did_nothing(error):
                raise
            return [await self._outcome_or_error(swap) for swap in swaps]
        revision = response.header.revision
        return [_outcome(each.response_txn, revision) for each in response.responses]

    async def _alone(self, swap: Swap) -> Outcome:
        response = await self._transact(_transaction(swap))
        return _outcome(response, response.header.revision)

    async def _outcome_or_error(self, swap: Swap) -> Outcome | Exception:
        try:
            return await self._alone(swap)
        except ApiError as error:
            return error


class _Transaction:
    """Whether one more swap may go into a transaction."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()
        self._size = 0

    def takes(self, swap: Swap) -> bool:
        if swap.key in self._keys or len(self._keys) >= SWAPS_MAX or self._size + swap.size > BYTES_MAX:
            return False
        self._keys.add(swap.key)
        self._size += swap.size
        return True


def _transaction(swap: Swap) -> pb.TxnRequest:
    unchanged = pb.Compare(target=pb.Compare.MOD, key=swap.key, mod_revision=swap.revision)
    read = pb.RequestOp(request_range=pb.RangeRequest(key=swap.key))
    return pb.TxnRequest(compare=(unchanged,), success=(swap.operation,), failure=(read,))


def _outcome(response: pb.TxnResponse, revision: int) -> Outcome:
    if response.succeeded:
        return Outcome(True, revision)
    found = response.responses[0].response_range.kvs
    return Outcome(False, revision, stored(found[0]) if found else None)


def _did_nothing(error: ApiError) -> bool:
    cause = error.__cause__
    return isinstance(cause, grpc.aio.AioRpcError) and cause.code() in _REFUSED


def stored(kv: pb.KeyValue) -> Stored:
    return Stored(kv.key.decode(), kv.value, kv.mod_revision)
