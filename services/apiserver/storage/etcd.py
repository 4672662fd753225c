"""etcd behind the `Storage` seam: ranges, leases, and whose fault a refusal is.

The only part of the cluster that talks to etcd, with `etcd_reads` (single keys), `etcd_writes`
(compare-and-swap), `etcd_watch` (the one watch stream) and `compaction` beside it. While etcd is away,
calls wait a few seconds for it to return, then are refused with 503; a call that broke in the middle may or
may not have happened, and the 503 says nothing about which. A database at its quota is refused with 500 and
asks for space to be made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from services.api import errors
from services.apiserver.storage.etcd_reads import EtcdReads
from services.apiserver.storage.etcd_watch import EtcdWatches
from services.apiserver.storage.etcd_writes import EtcdWrites, stored
from services.apiserver.storage.storage import Batch, Compacted, Outcome, Page, Reading, Stored
from services.machinery.clock import Clock
from services.pb.etcd.v3 import etcd_pb2 as pb
from services.pb.etcd.v3 import etcd_pb2_grpc
from services.process.logging import Logger

T = TypeVar("T")

CALL_SECONDS = 8.0  # as long as a restart of etcd may take before callers hear of it
OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # pages bound what a read may bring
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
# One lease serves the writes of a minute, so that a flood of Events does not become one of leases.
LEASE_SHARED_SECONDS = 60
LEASE_WRITES_MAX = 1000
PAGE_KEYS = 500
RETRY_SECONDS = 0.5


class EtcdStorage:
    """`endpoints` is "host:port,host:port"; the members of one cluster."""

    def __init__(self, endpoints: str, clock: Clock, log: Logger) -> None:
        self._clock, self._log = clock, log
        self.channel = grpc.aio.insecure_channel(target(endpoints), options=OPTIONS)
        self._kv = etcd_pb2_grpc.KVStub(self.channel)
        self._leases = etcd_pb2_grpc.LeaseStub(self.channel)
        self.maintenance = etcd_pb2_grpc.MaintenanceStub(self.channel)
        self._watches = EtcdWatches(self.channel, clock, log)
        self._reads = EtcdReads(self._range, self._transact)
        self._writes = EtcdWrites(self._transact)
        self._shared: dict[int, tuple[int, float, int]] = {}  # seconds → lease, until when, writes left
        self._exact = False
        self.full = asyncio.Event()  # set when a write met the quota; compaction answers it

    async def run(self) -> None:
        """Keeps the watch stream, and lets reads and writes gather; never returns."""
        self._exact = exact_progress(await self._version())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reads.run())
            group.create_task(self._writes.run())
            await self._watches.run()

    @property
    def progress_is_exact(self) -> bool:
        return self._exact

    async def _version(self) -> str:
        while True:
            try:
                return await self.version()
            except errors.ApiError as error:
                self._log.warning("Waiting for etcd", reason=error.message)
                await self._clock.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        await self.channel.close(None)

    async def version(self) -> str:
        response = await self.call(self.maintenance.Status, pb.StatusRequest())
        return str(response.version)

    async def get(self, key: str) -> Reading:
        return await self._reads.get(key)

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Reads in pages of its own, so that no answer grows with the cluster."""
        items: list[Stored] = []
        begin, end = (start or prefix).encode(), range_end(prefix)
        while True:
            wanted = min(limit - len(items), PAGE_KEYS) if limit else PAGE_KEYS
            request = pb.RangeRequest(key=begin, range_end=end, limit=wanted, revision=revision)
            response = await self.call(self._kv.Range, request)
            items += [stored(kv) for kv in response.kvs]
            revision = revision or response.header.revision
            remaining = response.count - len(response.kvs)
            if not response.more or (limit and len(items) >= limit):
                return Page(items, revision, remaining)
            begin = response.kvs[-1].key + b"\0"

    async def revision(self) -> int:
        request = pb.RangeRequest(key=b"\0", count_only=True)
        return int((await self.call(self._kv.Range, request)).header.revision)

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> Outcome:
        return await self._put(key, value, 0, ttl_seconds)

    async def update(self, key: str, value: bytes, revision: int, *, ttl_seconds: int = 0) -> Outcome:
        return await self._put(key, value, revision, ttl_seconds)

    async def _put(self, key: str, value: bytes, revision: int, ttl_seconds: int) -> Outcome:
        lease = await self._lease(ttl_seconds) if ttl_seconds else 0
        return await self._writes.put(key, value, revision, lease)

    async def delete(self, key: str, revision: int) -> Outcome:
        return await self._writes.delete(key, revision)

    async def _range(self, request: pb.RangeRequest) -> pb.RangeResponse:
        return await self.call(self._kv.Range, request)

    async def _transact(self, request: pb.TxnRequest) -> pb.TxnResponse:
        return await self.call(self._kv.Txn, request)

    async def compare_and_put_version(self, key: str, version: int, value: bytes) -> tuple[bool, int, bytes]:
        """Writes where `key` was written `version` times; else says how often it was, and what it holds."""
        name = key.encode()
        unchanged = pb.Compare(target=pb.Compare.VERSION, key=name, version=version)
        put = pb.RequestOp(request_put=pb.PutRequest(key=name, value=value))
        read = pb.RequestOp(request_range=pb.RangeRequest(key=name))
        request = pb.TxnRequest(compare=(unchanged,), success=(put,), failure=(read,))
        response = await self.call(self._kv.Txn, request)
        if response.succeeded:
            return True, version + 1, value
        found = response.responses[0].response_range.kvs
        return False, found[0].version if found else 0, found[0].value if found else b""

    async def compact(self, revision: int, *, wait: bool = False) -> None:
        """Forgets what was overwritten before that revision. Fine when somebody was faster."""
        try:
            request = pb.CompactionRequest(revision=revision, physical=wait)
            await self.call(self._kv.Compact, request, seconds=60)
        except Compacted:
            return

    async def _lease(self, seconds: int) -> int:
        now = self._clock.monotonic()
        lease, until, left = self._shared.get(seconds, (0, 0.0, 0))
        if now >= until or left <= 0:
            if now < until + LEASE_SHARED_SECONDS:  # who comes meanwhile goes on with the old one
                self._shared[seconds] = (lease, until + LEASE_SHARED_SECONDS, LEASE_WRITES_MAX)
            request = pb.LeaseGrantRequest(TTL=seconds + 2 * LEASE_SHARED_SECONDS)
            response = await self.call(self._leases.LeaseGrant, request)
            lease, until, left = response.ID, now + LEASE_SHARED_SECONDS, LEASE_WRITES_MAX
        self._shared[seconds] = (lease, until, left - 1)
        return lease

    def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        return self._watches.watch(prefix.encode(), range_end(prefix), after)

    def ask_progress(self) -> None:
        self._watches.ask_progress()

    async def call(
        self, method: Callable[..., Awaitable[T]], request: Any, seconds: float = CALL_SECONDS
    ) -> T:
        """One unary call. ApiError where etcd is away or full, Compacted where the past is gone."""
        try:
            return await method(request, timeout=seconds, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            self._refuse(error)
            raise

    def _refuse(self, error: grpc.aio.AioRpcError) -> None:
        code, details = error.code(), error.details() or ""
        match code:
            case grpc.StatusCode.OUT_OF_RANGE if "compacted" in details:
                raise Compacted from error
            case grpc.StatusCode.OUT_OF_RANGE:
                raise errors.timeout(f"Too large resource version: {details}") from error
            case grpc.StatusCode.RESOURCE_EXHAUSTED if "space exceeded" in details:
                self.full.set()
                self._log.warning("etcd is at its quota: nothing can be written until space is made")
                raise errors.internal(details) from error
            case grpc.StatusCode.INVALID_ARGUMENT if "too large" in details:
                raise errors.too_large(f"etcdserver: request is too large: {details}") from error
            case grpc.StatusCode.NOT_FOUND if "lease" in details:
                self._shared.clear()  # the lease ran out, or etcd lost it; the next write gets another
                raise errors.unavailable(details) from error
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED:
                raise errors.unavailable(f"etcd cannot be reached: {details}") from error
            case _:
                raise errors.internal(f"etcd: {code.name}: {details}") from error


def exact_progress(version: str) -> bool:
    """Older members may tell of progress before they have sent all events up to it (etcd#15220)."""
    parts = tuple(int(part) for part in version.split("-")[0].split("."))
    return parts >= (3, 5, 8) or (3, 4, 25) <= parts < (3, 5)


def target(endpoints: str) -> str:
    """The gRPC target for one or more members; several must be addresses, not names."""
    members = [member.removeprefix("http://").strip("/ ") for member in endpoints.split(",") if member]
    if len(members) == 1:
        return members[0]
    return "ipv4:" + ",".join(members)


def range_end(prefix: str) -> bytes:
    """The first key after all that begin with `prefix`."""
    raw = prefix.encode()
    return raw[:-1] + bytes((raw[-1] + 1,))
