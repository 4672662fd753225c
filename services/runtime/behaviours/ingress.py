"""ingress-nginx' controller: takes HTTP and HTTPS on ports 80 and 443 of its Pod and leads requests on.

Where to is for the node's network to say (`Network.ingress`). Requests and answers pass whole, up to the
limits of `services.runtime.http`; what is upgraded (WebSocket) passes as bytes. Endpoints that refuse a
connection are passed over, three at most; then nginx' pages for 502, 503, 504. On a node whose
network knows no API server the program says so and ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from services.runtime.behaviours.ingress_front import Front
from services.runtime.http import Request, Response
from services.runtime.kernel import Future
from services.runtime.model import SIGTERM
from services.runtime.network import Listener
from services.runtime.processes import Process

VERSION = "v1.13.3"
HTTP, HTTPS, HEALTH = 80, 443, 10254
LINES_MAX = 1_000
BANNER = f"""-------------------------------------------------------------------------------
NGINX Ingress controller
  Release:       {VERSION}
  Build:         93851b05e61d99eea49e8b81c7e3d9a2e9b3e0b5
  Repository:    https://github.com/kubernetes/ingress-nginx
  nginx version: nginx/1.27.1

-------------------------------------------------------------------------------

"""


class _Lines:
    """What the controller tells, until the program writes it; of too much the oldest is lost."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=LINES_MAX)
        self._changed: Future[None] = Future()
        self.over = False

    def put(self, line: str) -> None:
        self._waiting.append(line)
        self._changed.set(None)

    def end(self) -> None:
        self.over = True
        self._changed.set(None)

    async def take(self) -> list[str]:
        await self._changed
        self._changed = Future()
        lines = [*self._waiting]
        self._waiting.clear()
        return lines


async def ingress_nginx(process: Process) -> int:
    service, namespace = process.container.machine.network.ingress, process.container.sandbox.namespace
    await process.write(BANNER)
    if service is None:
        await process.complain("F no API server can be reached from the network of this node")
        return 255
    lines = _Lines()
    process.handlers[SIGTERM] = lambda number: lines.end()
    rules = await service.open(flags(process.argv[1:]), lines.put)
    listeners: dict[int, Listener] = {}
    front = Front(process, rules)
    try:
        listeners[HTTP] = Listener(stream=front.plain)
        listeners[HTTPS] = Listener(stream=front.secure)
        listeners[HEALTH] = Listener(http=_health)
        for port, listener in listeners.items():
            namespace.listen(port, listener)
        while not lines.over:
            for line in await lines.take():
                await process.write(f"{_stamp(process)} controller.go:213] {line}\n")
        await process.write(f'{_stamp(process)} nginx.go:379] "Shutting down controller queues"\n')
        return 0
    finally:
        rules.close()
        for listener in listeners.values():
            namespace.stop(listener)


def flags(words: Sequence[str]) -> Mapping[str, str]:
    """`--name=value` and `--name`."""
    pairs = (word.removeprefix("--").partition("=") for word in words if word.startswith("--"))
    return {name: value if equals else "true" for name, equals, value in pairs}


def _stamp(process: Process) -> str:
    return f"I{process.container.kernel.clock.now():%m%d %H:%M:%S.%f} {process.pid:7}"


async def _health(request: Request, client: str) -> Response:
    return Response(200, b"ok") if request.path.startswith("/healthz") else Response(404)
