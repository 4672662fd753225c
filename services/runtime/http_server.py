"""HTTP servers inside containers, told as data (the `http` entries of a behaviour).

    port: 8080 | fromPod: true      body: "…${hostname}…"     status: 200      headers: {Server: nginx}
    root: /usr/share/nginx/html     files of the container's own tree, so that a mounted ConfigMap shows
    routes: [{path: /healthz, status: 200, body: ok}, {path: /api/, prefix: true, proxy: http://host/}]
    failsAfter: {requests: 5, status: 500, body: "…"}        delaySeconds: 0.1      (or: seconds: 30)
    hangsAfter: {requests: 5}       answers nothing from then on           hangs: true: never did
    cpuMillisecondsPerRequest: 3    leakKibibytesPerRequest: 100
    log: 'line per request'         errors: {404: "…"}

The first route that matches answers; then `root`; then the body of the server itself; then 404.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from services.runtime.filesystem import DIRECTORY, normal
from services.runtime.http import Headers, Request, Response, header
from services.runtime.kernel import Future
from services.runtime.network import HttpHandler
from services.runtime.processes import Process
from services.runtime.templates import fill

Table = Mapping[str, Any]
NEVER = float("inf")
QUERY_LENGTH_MAX = 4096


def handler(process: Process, server: Table) -> HttpHandler:
    count = 0
    started = process.container.kernel.clock.monotonic()

    def past(limit: Table | None) -> bool:
        """Whether so many requests came, or so many seconds went by; whichever is given."""
        if limit is None:
            return False
        age = process.container.kernel.clock.monotonic() - started
        return count > float(limit.get("requests", NEVER)) or age > float(limit.get("seconds", NEVER))

    async def handle(request: Request, client: str) -> Response:
        nonlocal count
        count += 1
        values = _values(process, request, client, count)
        if server.get("delaySeconds"):
            await process.sleep(float(server["delaySeconds"]))
        if server.get("hangs") or past(server.get("hangsAfter")):
            await Future[None]()  # until whoever asked has lost patience
        response = await _answer(process, server, request, values, past(server.get("failsAfter")))
        _account(process, server)
        if "log" in server:
            values |= {"status": str(response.status), "bytes": str(len(response.body))}
            await process.write(fill(server["log"], process, values) + "\n")
        if request.method == "HEAD":
            length = ("Content-Length", str(len(response.body)))
            return Response(response.status, b"", (*response.headers, length))
        return response

    async def guarded(request: Request, client: str) -> Response:
        try:
            return await handle(request, client)
        except OSError:
            raise
        except Exception as error:  # the edge of a program of ours: its fault is a 500, and is told
            process.container.report(process, error)
            return Response(500, b"Internal Server Error\n")

    return guarded


def _account(process: Process, server: Table) -> None:
    """What a request costs, where that is told."""
    if "cpuMillisecondsPerRequest" in server:
        process.container.usage.charge_cpu(float(server["cpuMillisecondsPerRequest"]) * 1e6)
    if "leakKibibytesPerRequest" in server:
        process.hold(process.held + int(float(server["leakKibibytesPerRequest"]) * 1024))


def _values(process: Process, request: Request, client: str, count: int) -> dict[str, str]:
    _, _, query = request.path.partition("?")
    return {
        **{f"query.{name}": value for name, value in parse_qsl(query[:QUERY_LENGTH_MAX])},
        "client": client or "127.0.0.1",
        "method": request.method,
        "path": request.path,
        "agent": header(request.headers, "user-agent", "-"),
        "host": header(request.headers, "host"),
        "requests": str(count),
        "requestHeaders": "".join(f"{name}: {value}\n" for name, value in request.headers),
        "requestBody": request.body.decode("utf-8", "replace"),
        "random": str(process.container.machine.random.randrange(100)),
    }


async def _answer(
    process: Process, server: Table, request: Request, values: Mapping[str, str], failing: bool
) -> Response:
    if failing:
        return _text(process, {"status": 500, **server["failsAfter"]}, values, server)
    path = request.path.partition("?")[0]
    for route in server.get("routes", ()):
        if _matches(route, request.method, path):
            if "proxy" in route:
                return await _proxy(process, route, server, values)
            return _text(process, route, values, server)
    if "root" in server and request.method not in ("GET", "HEAD"):
        return _error(process, server, 405, values)
    if "root" in server:
        return _file(process, server, request, unquote(path), values)
    if "body" in server:
        return _text(process, server, values, server)
    return _error(process, server, 404, values)


def _matches(route: Table, method: str, path: str) -> bool:
    if "method" in route and route["method"] != method:
        return False
    wanted = str(route.get("path", "/"))
    return path.startswith(wanted) if route.get("prefix") else path == wanted


def _text(process: Process, table: Table, values: Mapping[str, str], server: Table) -> Response:
    body = fill(str(table.get("body", "")), process, values).encode("utf-8", "replace")
    merged = {**server.get("headers", {}), **table.get("headers", {})}
    headers = [(str(name), fill(str(value), process, values)) for name, value in merged.items()]
    return Response(int(table.get("status", 200)), body, tuple(headers))


def _headers(server: Table) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in server.get("headers", {}).items()]


def _error(process: Process, server: Table, status: int, values: Mapping[str, str]) -> Response:
    page = server.get("errors", {}).get(str(status), f"{status} page not found\n")
    return _text(
        process, {"status": status, "body": page, "headers": {"Content-Type": "text/html"}}, values, server
    )


async def _proxy(process: Process, route: Table, server: Table, values: Mapping[str, str]) -> Response:
    """Asks another server, as an app asks its back end; `failure` is what it shows when that fails."""
    url = urlsplit(fill(str(route["proxy"]), process, values))
    network, source = process.container.machine.network, process.container.sandbox.namespace
    request = Request("GET", url.path or "/", (("Host", url.netloc),))
    try:
        addresses = await network.resolve(source, url.hostname or "")
        if not addresses:
            raise OSError(f"{url.hostname}: name not known")
        answer = await network.http(source, addresses[0], url.port or 80, request)
    except OSError as error:
        failure = {"status": 500, "body": "", **route.get("failure", {})}
        for line in failure.get("log", ()):
            await process.write(fill(line, process, {**values, "reason": str(error)}) + "\n")
        return _text(process, failure, {**values, "reason": str(error)}, server)
    back = answer.body.decode("utf-8", "replace").strip()
    return _text(process, route, {**values, "answer": back}, server)


def _file(
    process: Process, server: Table, request: Request, path: str, values: Mapping[str, str]
) -> Response:
    filesystem = process.container.filesystem
    full = normal(f"{server['root']}/{normal(path).lstrip('/')}")
    try:
        if filesystem.lookup(full).kind == DIRECTORY:
            if not path.endswith("/"):
                return Response(301, b"", (*_headers(server), ("Location", f"{path}/")))
            full = normal(f"{full}/{server.get('index', 'index.html')}")
            if not filesystem.exists(full):
                return _error(process, server, 403 if path != "/" or "errors" in server else 404, values)
        data = filesystem.read(full)
    except OSError:
        return _error(process, server, 404, values)
    kind = mimetypes.guess_type(full)[0] or "application/octet-stream"
    headers: Headers = (*_headers(server), ("Content-Type", kind))
    return Response(200, data, headers)
