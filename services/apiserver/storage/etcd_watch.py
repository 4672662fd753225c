"""All watches of the process on ONE stream to etcd.

Twenty watches on one stream cost a seventh of twenty streams. The stream is opened again
whenever it breaks, and each watch goes on after the last revision that it saw, so that a consumer
notices nothing of a restart of etcd. A revision that etcd has forgotten, or (after a restore) has
not reached again, ends that watch with `Compacted`: its owner reads anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc.aio

from services.apiserver.storage.storage import Batch, Change, Compacted
from services.machinery.clock import Clock
from services.pb.etcd.v3 import etcd_pb2 as pb
from services.pb.etcd.v3 import etcd_pb2_grpc
from services.process.logging import Logger

RECONNECT_SECONDS = 0.2
PROGRESS_WATCH_ID = -1  # etcd's answer to a progress request speaks for all watches
QUEUE_BATCHES_MAX = 100_000  # the consumer is our own cache; beyond this it must be stuck


@dataclass(eq=False)
class _Watch:
    key: bytes
    end: bytes
    seen: int
    created: bool = False  # etcd has said so on the present stream
    queue: asyncio.Queue[Batch | Compacted] = field(default_factory=lambda: asyncio.Queue(QUEUE_BATCHES_MAX))


class EtcdWatches:
    def __init__(self, channel: grpc.aio.Channel, clock: Clock, log: Logger) -> None:
        self._stub = etcd_pb2_grpc.WatchStub(channel)
        self._clock, self._log = clock, log
        self._watches: dict[int, _Watch] = {}
        self._next_id = 1
        self._wishes: asyncio.Queue[pb.WatchRequest] = asyncio.Queue()
        self._connected = False

    async def watch(self, key: bytes, end: bytes, after: int) -> AsyncIterator[Batch]:
        identifier, self._next_id = self._next_id, self._next_id + 1
        watch = self._watches[identifier] = _Watch(key, end, after)
        if self._connected:
            self._wishes.put_nowait(_create(identifier, watch))
        try:
            while True:
                item = await watch.queue.get()
                if isinstance(item, Compacted):
                    raise item
                yield item
        finally:
            self._watches.pop(identifier, None)
            if self._connected:
                cancel = pb.WatchCancelRequest(watch_id=identifier)
                self._wishes.put_nowait(pb.WatchRequest(cancel_request=cancel))

    def ask_progress(self) -> None:
        if self._connected:
            self._wishes.put_nowait(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))

    async def run(self) -> None:
        """Keeps the stream open until cancelled."""
        while True:
            reason = "etcd ended it"
            try:
                await self._stream()
            except* grpc.aio.AioRpcError as group:
                reason = _reason(group)
            self._connected = False
            self._log.warning("Lost the watch stream to etcd; opening it again", reason=reason)
            await self._clock.sleep(RECONNECT_SECONDS)

    async def _stream(self) -> None:
        call = self._stub.Watch(wait_for_ready=True)  # type: ignore[call-arg]
        try:
            await call.wait_for_connection()
            self._wishes = asyncio.Queue()
            for identifier, watch in self._watches.items():
                watch.created = False
                self._wishes.put_nowait(_create(identifier, watch))
            self._connected = True
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(call))
                async for response in call:
                    self._take(response)
                writer.cancel()
        finally:
            call.cancel()

    async def _write(self, call: grpc.aio.StreamStreamCall[pb.WatchRequest, pb.WatchResponse]) -> None:
        while True:
            wish = await self._wishes.get()
            try:
                await call.write(wish)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the reader meets the same fault, and opens the stream again

    def _take(self, response: pb.WatchResponse) -> None:
        if response.watch_id == PROGRESS_WATCH_ID:
            for watch in self._watches.values():
                if watch.created:  # until then etcd holds its events back, and this overtakes them
                    self._deliver(watch, Batch([], response.header.revision))
            return
        found = self._watches.get(response.watch_id)
        if found is not None:
            self._take_for(found, response)

    def _take_for(self, watch: _Watch, response: pb.WatchResponse) -> None:
        watch.created = watch.created or response.created
        if response.canceled:
            watch.queue.put_nowait(Compacted(response.compact_revision))
        elif response.created and response.header.revision < watch.seen:
            watch.queue.put_nowait(Compacted())  # another history than the one we saw
        elif response.events:
            changes = [_change(event) for event in response.events if event.kv.mod_revision > watch.seen]
            if changes:
                self._deliver(watch, Batch(changes, changes[-1].revision))

    @staticmethod
    def _deliver(watch: _Watch, batch: Batch) -> None:
        if batch.changes or batch.revision > watch.seen:
            watch.seen = batch.revision
            watch.queue.put_nowait(batch)


def _reason(group: BaseExceptionGroup[grpc.aio.AioRpcError]) -> str:
    first = group.exceptions[0]
    if isinstance(first, grpc.aio.AioRpcError):
        return first.details() or first.code().name
    return str(first)


def _create(identifier: int, watch: _Watch) -> pb.WatchRequest:
    create = pb.WatchCreateRequest(
        key=watch.key, range_end=watch.end, start_revision=watch.seen + 1, watch_id=identifier
    )
    return pb.WatchRequest(create_request=create)


def _change(event: pb.Event) -> Change:
    kv = event.kv
    return Change(kv.key.decode(), None if event.type == pb.Event.DELETE else kv.value, kv.mod_revision)
