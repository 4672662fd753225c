"""What the REST API costs: CPU of a GET and of a long LIST, memory of a watch, events to many watchers,
how long a write takes while two hundred come each second.

One API server of its own over a bare etcd, TLS as users have it. CPU is the server process's, as the kernel
counts it, divided by what was asked; the client's does not count.
    python -m bench --only rest
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import orjson

from bench.machine import pod
from bench.scenarios import Figure
from tests.support.apiserver import Https, https_apiserver

PODS, GETS, LISTS = 1000, 1500, 10
GETS_IN_FLIGHT = 32
WATCHES = 1000
WATCHERS, EVENTS = 100, 640
WRITES_IN_FLIGHT = 64
WRITES, WRITES_PER_SECOND = 2000, 200
PATIENCE_SECONDS = 120.0
COLLECTION = "/api/v1/namespaces/default/pods"
MARKS = "/api/v1/namespaces/default/configmaps"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def rest() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="orrery-bench-") as folder, https_apiserver(Path(folder)) as server:
        yield from asyncio.run(measured(server))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def resident_mib(pid: int) -> float:
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in each)
    return int(line.split()[1]) / 1024


def session(server: Https) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=server.context(), limit=0)
    return aiohttp.ClientSession(server.base, connector=connector, auto_decompress=False,
                                 headers={"Accept-Encoding": "identity"})  # fmt: skip


async def measured(server: Https) -> list[Figure]:
    async with session(server) as client:
        await prepare(client)
        return [
            await gets(server, client, 1),
            await gets(server, client, GETS_IN_FLIGHT),
            await writes(client),
            await lists(server, client),
            await watches(server, client),
            await fan_out(server, client),
        ]


async def prepare(client: aiohttp.ClientSession) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await post(client, "/api/v1/namespaces/default/serviceaccounts", account)
    body = orjson.loads(pod())
    for number in range(PODS):
        await post(client, COLLECTION, {**body, "metadata": {"name": f"p-{number}", "namespace": "default"}})


async def post(client: aiohttp.ClientSession, path: str, body: object) -> None:
    headers = {"Content-Type": "application/json"}
    async with client.post(path, data=orjson.dumps(body), headers=headers) as answer:
        text = await answer.read()
        if answer.status not in (201, 409):
            raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")


async def gets(server: Https, client: aiohttp.ClientSession, in_flight: int) -> Figure:
    """One after another each asks etcd; those of one moment share a question."""
    numbers = iter(range(GETS))

    async def ask() -> None:
        for number in numbers:
            async with client.get(f"{COLLECTION}/p-{number % PODS}") as answer:
                await answer.read()

    before = cpu_seconds(server.pid)
    await asyncio.gather(*(ask() for _ in range(in_flight)))
    used = (cpu_seconds(server.pid) - before) / GETS
    return Figure(f"REST: CPU of a GET of one Pod, {in_flight} in flight", used * 1000, "ms", 0.4)


async def writes(client: aiohttp.ClientSession) -> Figure:
    """How long one in a hundred takes at least, from the moment at which it was due, waiting included."""
    loop, places = asyncio.get_running_loop(), asyncio.Semaphore(WRITES_IN_FLIGHT)
    began, took = loop.time(), []

    async def write(number: int) -> None:
        due = began + number / WRITES_PER_SECOND
        await asyncio.sleep(max(0.0, due - loop.time()))
        body = orjson.dumps({"metadata": {"labels": {"written": str(number)}}})
        headers = {"Content-Type": "application/merge-patch+json"}
        path = f"{COLLECTION}/p-{number % PODS}"
        async with places, client.patch(path, data=body, headers=headers) as answer:
            await answer.read()
            answer.raise_for_status()
        took.append(loop.time() - due)

    await asyncio.gather(*(write(number) for number in range(WRITES)))
    p99 = sorted(took)[len(took) * 99 // 100]
    return Figure(f"REST: p99 of a write at {WRITES_PER_SECOND} each second", p99 * 1000, "ms", 50)


async def lists(server: Https, client: aiohttp.ClientSession) -> Figure:
    before = cpu_seconds(server.pid)
    for _ in range(LISTS):
        async with client.get(COLLECTION) as answer:
            await answer.read()
    used = (cpu_seconds(server.pid) - before) / LISTS
    return Figure(f"REST: CPU of a LIST of {PODS} Pods", used * 1000, "ms", 25)


async def watches(server: Https, client: aiohttp.ClientSession) -> Figure:
    """Memory of watches that have nothing to tell, each on a connection of its own."""
    before = resident_mib(server.pid)
    params = {"watch": "1", "resourceVersion": await version(client)}
    opened = []
    for _ in range(WATCHES):
        opened.append(await client.get(MARKS, params=params))
    used = resident_mib(server.pid) - before
    for each in opened:
        each.close()
    return Figure(f"REST: memory of {WATCHES} watches", used, "MB", 60)


async def version(client: aiohttp.ClientSession) -> str:
    async with client.get(MARKS) as answer:
        return str(orjson.loads(await answer.read())["metadata"]["resourceVersion"])


async def fan_out(server: Https, client: aiohttp.ClientSession) -> Figure:
    """CPU of the server for each event that reaches a watcher."""
    params = {"watch": "1", "resourceVersion": await version(client)}
    before = cpu_seconds(server.pid)
    async with asyncio.TaskGroup() as group:
        for _ in range(WATCHERS):
            group.create_task(follow(client, params))
        for begin in range(0, EVENTS, WRITES_IN_FLIGHT):
            bodies = [mark(number) for number in range(begin, min(begin + WRITES_IN_FLIGHT, EVENTS))]
            await asyncio.gather(*(post(client, MARKS, body) for body in bodies))
    used = cpu_seconds(server.pid) - before
    each = used * 1e6 / (WATCHERS * EVENTS)
    return Figure(f"REST: CPU of an event to one of {WATCHERS} watchers, its write included", each, "µs", 20)


def mark(number: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"m-{number}", "namespace": "default"},
    }


async def follow(client: aiohttp.ClientSession, params: dict[str, str]) -> None:
    async with client.get(MARKS, params=params) as answer:
        left = EVENTS
        while left:
            left -= (await asyncio.wait_for(answer.content.readany(), PATIENCE_SECONDS)).count(b"\n")


__all__ = ["rest"]
