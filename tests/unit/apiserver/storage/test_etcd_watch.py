"""Watches on one stream: what etcd says of all of them overtakes the events that it still holds back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from services.apiserver.storage.etcd_watch import PROGRESS_WATCH_ID, EtcdWatches
from services.pb.etcd.v3 import etcd_pb2 as pb
from services.pb.etcd.v3 import etcd_pb2_grpc
from services.process.clock import SystemClock
from services.process.logging import get_logger

PATIENCE_SECONDS = 60.0


class Member(etcd_pb2_grpc.WatchServicer):
    """Tells of progress up to revision 10 first, and only then of a watch and of its event at 9."""

    async def Watch(self, requests: AsyncIterator[pb.WatchRequest], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            if request.HasField("create_request"):
                here = pb.ResponseHeader(revision=10)
                identifier = request.create_request.watch_id
                yield pb.WatchResponse(header=here, watch_id=PROGRESS_WATCH_ID)
                yield pb.WatchResponse(header=here, watch_id=identifier, created=True)
                event = pb.Event(kv=pb.KeyValue(key=b"/a", value=b"1", mod_revision=9))
                yield pb.WatchResponse(header=here, watch_id=identifier, events=[event])
                yield pb.WatchResponse(header=here, watch_id=PROGRESS_WATCH_ID)


@asynccontextmanager
async def watches() -> AsyncIterator[EtcdWatches]:
    server = grpc.aio.server()
    etcd_pb2_grpc.add_WatchServicer_to_server(Member(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        made = EtcdWatches(channel, SystemClock(), get_logger("test"))
        running = asyncio.ensure_future(made.run())
        yield made
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await server.stop(None)


async def test_progress_counts_only_for_watches_that_etcd_has_told_of() -> None:
    async with watches() as made, asyncio.timeout(PATIENCE_SECONDS):
        told = made.watch(b"/", b"0", 5)
        first, second = await anext(told), await anext(told)
        assert [(change.key, change.revision) for change in first.changes] == [("/a", 9)]
        assert (second.changes, second.revision) == ([], 10)
