"""What load balancers ask a node: whether it has endpoints of a Service (healthCheckNodePort), and whether
its kube-proxy is well (port 10256, /healthz and /livez). Upstream: pkg/proxy/healthcheck.

A node whose process is stopped accepts connections and answers nothing: that too is an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import orjson

from services.api.object import ObjectKey
from services.kube_proxy.table import Table
from services.runtime.http import Request, Response
from services.runtime.kernel import Kernel
from services.runtime.network import Connection, serve_http
from services.runtime.streams import Pipe

PROXY_PORT = 10256
Answer = Callable[[Request], Response]


def of_service(table: Table, service: ObjectKey) -> Answer:
    """200 where an endpoint of the Service is on this node, 503 where none is."""

    def answer(request: Request) -> Response:
        rules = [rule for rule in table.rules() if rule.name.service == service]
        count = max((len(rule.local) for rule in rules), default=0)
        body = {
            "service": {"namespace": service.namespace, "name": service.name},
            "localEndpoints": count,
            "serviceProxyHealthy": True,
        }
        return _json(200 if count else 503, body)

    return answer


def of_proxy(now: Callable[[], datetime]) -> Answer:
    """Who answers is well; the table is never older than this moment."""

    def answer(request: Request) -> Response:
        if request.path.partition("?")[0] not in ("/healthz", "/livez"):
            return Response(404, b"404 page not found\n")
        moment = str(now())
        return _json(200, {"lastUpdated": moment, "currentTime": moment, "nodeEligible": True})

    return answer


def _json(status: int, body: object) -> Response:
    headers = (("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"))
    return Response(status, orjson.dumps(body), headers)


async def connect(kernel: Kernel, answer: Answer, source: str) -> Connection:
    """A connection to a server that gives this answer. Runs on the kernel."""

    async def handle(request: Request, client: str) -> Response:
        return answer(request)

    async def serve(connection: Connection) -> None:
        try:
            await serve_http(handle, connection)
        except BrokenPipeError:
            pass  # whoever asked has gone
        finally:
            connection.close()

    there, back = Pipe(), Pipe()
    kernel.spawn(serve(Connection(source, there, back)))
    return Connection(source, back, there)
