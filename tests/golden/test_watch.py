"""Watch streams as a real API server sent them, beside the writes that caused them.

The writes of a case are played in order, each watch is opened at its place, and its events are
compared: types, order and objects. Bookmarks that only mark time are not counted.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import grpc.aio
import orjson
import pytest

from services.pb.resource.v1 import resource_pb2 as pb
from services.pb.resource.v1 import resource_pb2_grpc
from tests.golden.normal import differences, normal
from tests.golden.requests import NotAsked, Server, ask, full, locate
from tests.golden.runner import available, cases, resolve

pytestmark = pytest.mark.slow  # needs etcd and an API server of its own

Json = dict[str, Any]
PATIENCE_SECONDS = 60.0
EOF = grpc.aio.EOF  # type: ignore[attr-defined]
TYPES = {1: "ADDED", 2: "MODIFIED", 3: "DELETED", 4: "BOOKMARK"}
END = {"k8s.io/initial-events-end": "true"}
# What is left out, and why.
LEFT_OUT = {
    "custom-resource": "custom resources are not served yet",
    "events-two-groups": "events.k8s.io is not served yet",
    "options-and-media-types": "negotiates the media type, which gRPC does not",
    "too-old-410": "recorded from a server that had been started anew",
}

LEFT_OUT_WATCHES = {
    ("send-initial-events", 5): "gRPC has no sendInitialEvents=false beside saying nothing",
    ("send-initial-events", 7): "gRPC has no resourceVersionMatch for a watch",
    ("table-watch", 0): "upstream explains the columns twice, by a race of its own",
    ("table-watch", 4): "over gRPC a bookmark is no Table",
}


class Follower:
    """One watch: collects what comes, but for bookmarks that only mark time, until all is there."""

    def __init__(self, stub: Any, watch: Json, answers: dict[int, Json], namespace: str) -> None:
        path = resolve(watch["pathTemplate"].replace("$NS", namespace), answers)
        split = urlsplit(path)
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        resource, target = locate(split.path)
        self.watch, self._resource = watch, resource
        accept = watch.get("accept") or ""
        as_table, as_partial = "as=Table" in accept, "as=PartialObjectMetadata" in accept
        self._call = stub.Watch(
            pb.WatchRequest(
                resource=target,
                label_selector=query.get("labelSelector", ""),
                field_selector=query.get("fieldSelector", ""),
                resource_version=query.get("resourceVersion", ""),
                allow_bookmarks=query.get("allowWatchBookmarks") == "true",
                send_initial_events=query.get("sendInitialEvents") == "true",
                representation=pb.REPRESENTATION_TABLE
                if as_table
                else pb.REPRESENTATION_PARTIAL_METADATA
                if as_partial
                else pb.REPRESENTATION_UNSPECIFIED,
                include_object={"None": 2, "Object": 3}.get(  # type: ignore[arg-type]
                    query.get("includeObject", ""), 0
                ),
            )
        )

    async def opened(self) -> None:
        """Returns once the server has taken the watch, or refused it."""
        await self._call.initial_metadata()

    async def events(self) -> list[Json]:
        got: list[Json] = []
        wanted = len(self.wanted())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(got) < wanted and (response := await self._call.read()) is not EOF:
                    told = [self._event(event) for event in response.events]
                    got += [event for event in told if event.get("type") != "BOOKMARK" or self.is_end(event)]
        except TimeoutError:
            pass  # what is missing shows in the comparison
        except grpc.aio.AioRpcError as error:
            trailing: Any = error.trailing_metadata()
            status = orjson.loads(dict(trailing)["kubernetes-status-bin"])
            # Upstream refuses before the stream begins, or in it.
            got.append(status if self.watch["status"] >= 400 else {"type": "ERROR", "object": status})
        self._call.cancel()
        return got

    def cancel(self) -> None:
        self._call.cancel()

    def _event(self, event: pb.WatchEvent) -> Json:
        if event.type == pb.EVENT_TYPE_BOOKMARK:
            metadata: Json = {"resourceVersion": event.object.resource_version}
            if event.initial_events_end:
                metadata["annotations"] = END
            shown = {
                "kind": self._resource.kind,
                "apiVersion": self._resource.api_version,
                "metadata": metadata,
            }
            return {"type": "BOOKMARK", "object": shown}
        return {"type": TYPES[event.type], "object": full(event.object)}

    def wanted(self) -> list[Json]:
        events: list[Json] = self.watch["events"]
        return [e for e in events if e.get("type") != "BOOKMARK" or self.is_end(e)]

    @staticmethod
    def is_end(event: Json) -> bool:
        return "annotations" in event["object"].get("metadata", {})


async def follow(address: str, case: Json) -> list[str]:
    """Plays a case. Returns what differs."""
    found = []
    async with grpc.aio.insecure_channel(address) as channel:
        server, stub = Server(channel), resource_pb2_grpc.ResourceServiceStub(channel)
        answers: dict[int, Json] = {}
        followers: list[Follower] = []
        for index in range(len(case["exchanges"]) + 1):
            for watch in case.get("watches", []):
                if watch["startedAfterExchange"] == index:
                    followers.append(Follower(stub, watch, answers, case["namespace"]))
                    await followers[-1].opened()
            if index < len(case["exchanges"]):
                request = case["exchanges"][index]["request"]
                body = orjson.dumps(resolve(request["body"], answers)) if "body" in request else b""
                try:
                    told = await server.tell(
                        ask({**request, "path": resolve(request["path"], answers)}, body)
                    )
                except NotAsked:
                    continue
                answers[index] = told.body
        for number, follower in enumerate(followers):
            if (case["name"].rpartition("/")[2], number) in LEFT_OUT_WATCHES:
                follower.cancel()
                continue
            got = await follower.events()
            wanted = normal(follower.wanted())
            found += [f"watch {number}: {each}" for each in list(differences(wanted, normal(got)))[:4]]
    return found


def recorded() -> list[Any]:
    if not available("watch"):
        return [pytest.param("", {}, marks=pytest.mark.skip("no golden data here"))]
    return [pytest.param(name, case, id=name) for name, case in cases("watch") if name not in LEFT_OUT]


@pytest.mark.parametrize(("name", "case"), recorded())
async def test_streams_as_recorded(name: str, case: Json, apiserver: str) -> None:
    found = await follow(apiserver, case)
    assert not found, "\n".join(found)
