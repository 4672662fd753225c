"""Everything recorded of the API server alone, played against one of ours over HTTPS, headers included.

What only controllers, webhooks or kubelets could answer is left out, and so is what builds on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import multidict
import orjson
import pytest
from yarl import URL

from services.api import kinds
from tests.golden import accepted_rest
from tests.golden.normal import by_manager, differences, normal
from tests.golden.requests import NotAsked, locate
from tests.golden.runner import available, cases, prepare, resolve
from tests.support.apiserver import Https

pytestmark = pytest.mark.slow  # needs etcd and an API server of its own

Json = dict[str, Any]
FOLDERS = ("tables", "defaults", "patches", "errors")  # in this order: tables list what is there
ANSWER_SECONDS = 60.0
PATIENCE_SECONDS, PATIENCE_ATTEMPTS = 0.1, 200  # for what the server does by and by
END = "k8s.io/initial-events-end"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# What would be given to objects of other cases.
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"


class Session:
    """Plays requests over one connection pool."""

    def __init__(self, https: Https, session: aiohttp.ClientSession) -> None:
        self._base, self._session = https.base, session

    async def tell(self, request: Json, body: bytes) -> Json:
        """Status, headers and body, as the recordings have them."""
        async with self.open(request, body) as response:
            raw = await asyncio.wait_for(response.read(), ANSWER_SECONDS)
        return answer(response, raw)

    @asynccontextmanager
    async def open(self, request: Json, body: bytes = b"") -> AsyncIterator[aiohttp.ClientResponse]:
        headers = multidict.CIMultiDict[str]()
        for name, values in (request.get("headers") or {}).items():
            for value in values if isinstance(values, list) else [values]:
                headers.add(name, value)
        if (body or "rawBody" in request) and request.get("contentType"):
            headers["Content-Type"] = request["contentType"]
        if request.get("accept"):
            headers["Accept"] = request["accept"]
        skip = ("Accept", "User-Agent", "Accept-Encoding", "Content-Type")
        url = URL(self._base + request["path"], encoded=True)
        async with self._session.request(
            request["method"], url, data=body or None, headers=headers, skip_auto_headers=skip
        ) as response:
            yield response


def answer(response: aiohttp.ClientResponse, raw: bytes) -> Json:
    made: Json = {"status": response.status}
    if "Content-Type" in response.headers:
        made["contentType"] = response.headers["Content-Type"]
    if "Warning" in response.headers:
        made["warnings"] = response.headers.getall("Warning")
    try:
        made["body"] = orjson.loads(raw)
    except orjson.JSONDecodeError:
        made["text"] = raw.decode("utf-8", "replace")
    return made


@asynccontextmanager
async def session(https: Https) -> AsyncIterator[Session]:
    async with https.client() as each:
        yield Session(https, each)


def check_asked(request: Json) -> None:
    """NotAsked for what this server cannot know alone."""
    if request.get("anonymous"):
        raise NotAsked("another user asks")
    if is_custom(request["path"]) or is_live(request["path"]):
        return
    if request["path"].startswith(("/api/", "/apis/")):
        resource, target = locate(request["path"].partition("?")[0])
        if resource.plural in accepted_rest.OTHER_RULES or target.subresource in kinds.STREAMED:
            raise NotAsked(resource.plural)


def is_custom(path: str) -> bool:
    """Whether it is of a group that only a CustomResourceDefinition makes."""
    return path.startswith("/apis/") and path.split("/")[2].partition("?")[0].endswith("example.com")


def is_live(path: str) -> bool:
    """Whether it is answered at once, without a store."""
    plural = path.partition("?")[0].split("/")[3:]
    return any(each.plural in plural[:3] for each in kinds.LIVE)


async def settled(server: Session, request: Json, told: Json) -> Json:
    """What is told of a definition once it is served, or never will be; anything else at once."""
    path = request["path"].partition("?")[0]
    made = told["status"] == 201 and request["method"] == "POST" and "dryRun" not in request["path"]
    if not made or not path.endswith("/customresourcedefinitions"):
        return told
    named = {"method": "GET", "path": f"{path}/{told['body']['metadata']['name']}"}
    async with asyncio.timeout(ANSWER_SECONDS):
        while True:
            found = (await server.tell(named, b""))["body"]
            for condition in (found.get("status") or {}).get("conditions") or []:
                if condition["type"] == "Established" and condition["reason"] != "Installing":
                    return told
            await asyncio.sleep(0.01)  # the server's own work, of which nothing tells


async def emptied(https: Https) -> None:
    """As each folder was recorded: nobody else's definitions and classes are there."""
    async with session(https) as server, asyncio.timeout(ANSWER_SECONDS):
        await server.tell({"method": "DELETE", "path": CLASSES}, b"")
        while (await server.tell({"method": "GET", "path": DEFINITIONS}, b""))["body"]["items"]:
            await server.tell({"method": "DELETE", "path": DEFINITIONS}, b"")
            await asyncio.sleep(0.05)  # until the server has cleared up after them, of which nothing tells


async def play(https: Https, name: str, case: Json) -> list[str]:
    """What differs."""
    found = []
    async with session(https) as server:
        answers: dict[int, Json] = {}
        for index, exchange in enumerate(case["exchanges"]):
            reason = accepted_rest.reason(name, index)
            try:
                check_asked(exchange["request"])
                request, body = prepare(exchange["request"], answers)
                streams = "watch=" in request["path"] and exchange["response"]["status"] == 200
                if streams:
                    raise NotAsked("a stream")
                told = await settled(server, request, await server.tell(request, body))
                if request.get("pauseBefore") and request["method"] == "GET":
                    told = await patiently(server, exchange, request, told)
            except NotAsked:
                continue
            answers[index] = told.get("body") or {}
            found += [f"{name} #{index} {request['method']} {request['path'][-90:]}: {each}"
                      for each in compared(exchange, told, reason)]  # fmt: skip
    return found


async def patiently(server: Session, exchange: Json, request: Json, told: Json) -> Json:
    """The answer; asked again for a while where the recorder gave the server time and it needs some too."""
    for _ in range(PATIENCE_ATTEMPTS):
        if not compared(exchange, told, ""):
            break
        await asyncio.sleep(PATIENCE_SECONDS)
        told = await server.tell(request, b"")
    return told


def compared(exchange: Json, told: Json, reason: str) -> list[str]:
    response = exchange["response"]
    if exchange.get("role") != "check":
        if told["status"] >= 400 and not reason:
            return [f"set-up failed: {told}"]
        return []
    wanted = {name: each for name, each in response.items()
              if name in ("status", "warnings", "contentType", "body", "text")}  # fmt: skip
    differing = list(differences(by_manager(normal(wanted)), by_manager(normal(told))))[:4]
    if reason and not differing:
        return [] if reason in accepted_rest.SOMETIMES else [f"is as recorded, although {reason!r}"]
    return [] if reason else differing


def recorded() -> list[Any]:
    return [
        pytest.param(folder, marks=pytest.mark.skipif(not available(folder), reason="no golden data here"))
        for folder in FOLDERS
    ]


@pytest.mark.parametrize("folder", recorded())
async def test_answers_as_recorded(folder: str, https: Https) -> None:
    found = []
    await emptied(https)
    # Definitions stay for the cases that come after them.
    for name, case in sorted(cases(folder), key=lambda each: not each[0].startswith(("setup", "crd-"))):
        found += await play(https, name, case)
    assert not found, "\n".join(found)


# -- streams -------------------------------------------------------------------------------------


class Follower:
    """One watch: its lines, until as many have come that tell something as were recorded."""

    def __init__(self, watch: Json) -> None:
        self.watch = watch
        self.opened = asyncio.Event()
        self.status = 0
        self.events: list[Json] = []

    async def follow(self, server: Session, path: str, done: asyncio.Event) -> None:
        request = {"method": "GET", "path": path, "accept": self.watch.get("accept")}
        async with server.open(request) as response:
            self.status = response.status
            self.opened.set()
            if response.status >= 400:
                self.events += lines_of(await response.read())
                return
            wanted = len(telling(self.watch["events"]))
            await done.wait()
            with suppress(TimeoutError):  # what is missing shows in the comparison
                async with asyncio.timeout(ANSWER_SECONDS):
                    while len(telling(self.events)) < wanted and (line := await response.content.readline()):
                        self.events.append(orjson.loads(line))


def lines_of(body: bytes) -> list[Json]:
    """Of a refusal, as the recorder kept them."""
    if body.startswith(b"{"):
        return [orjson.loads(body)]
    return [{"raw": line} for line in body.decode().splitlines(keepends=True)]


def telling(events: list[Json]) -> list[Json]:
    """Without the bookmarks that only mark time."""

    def marks_time(event: Json) -> bool:
        annotations = event.get("object", {}).get("metadata", {}).get("annotations", {})
        return event.get("type") == "BOOKMARK" and END not in annotations

    return [event for event in events if not marks_time(event)]


async def stream(https: Https, case: Json) -> list[str]:
    found = []
    async with session(https) as server, asyncio.TaskGroup() as group:
        answers: dict[int, Json] = {}
        done, followers = asyncio.Event(), []
        for index in range(len(case["exchanges"]) + 1):
            for watch in case.get("watches", []):
                if watch["startedAfterExchange"] == index:
                    path = resolve(watch["pathTemplate"].replace("$NS", case["namespace"]), answers)
                    followers.append(Follower(watch))
                    group.create_task(followers[-1].follow(server, path, done))
                    await asyncio.wait_for(followers[-1].opened.wait(), ANSWER_SECONDS)
            if index < len(case["exchanges"]):
                request, body = prepare(case["exchanges"][index]["request"], answers)
                told = await settled(server, request, await server.tell(request, body))
                answers[index] = told.get("body") or {}
        done.set()
    for number, follower in enumerate(followers):
        if (case["name"].rpartition("/")[2], number) in accepted_rest.WATCHES:
            continue
        wanted, got = follower.watch["events"], follower.events
        if follower.status < 400:
            wanted, got = telling(wanted), telling(got)
        if follower.status != follower.watch["status"]:
            found.append(f"watch {number}: status {follower.status}, wanted {follower.watch['status']}")
        differing = list(differences(by_manager(normal(wanted)), by_manager(normal(got))))[:4]
        found += [f"watch {number} {follower.watch['path']}: {each}" for each in differing]
    return found


def recorded_streams() -> list[Any]:
    if not available("watch"):
        return [pytest.param("", {}, marks=pytest.mark.skip("no golden data here"))]
    return [pytest.param(name, case, id=name) for name, case in cases("watch")
            if name not in accepted_rest.STREAMS]  # fmt: skip


@pytest.mark.parametrize(("name", "case"), recorded_streams())
async def test_streams_as_recorded(name: str, case: Json, https: Https) -> None:
    found = await stream(https, case)
    assert not found, "\n".join(found)
