"""CoreDNS: listens on port 53 and hands every query to the name service of the node's network.

Reads its Corefile as the real one does (`-conf`), refuses to start with a bad one, and takes a changed one
into use when the mounted ConfigMap has it; a bad change is told and the old one stays in force. On a node
without a name service (a runtime alone) every query gets no answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.runtime.http import Request, Response
from services.runtime.kernel import Future
from services.runtime.model import SIGTERM
from services.runtime.network import Connection, HttpHandler, Listener
from services.runtime.processes import Process

VERSION = "1.13.1"
DEFAULT_COREFILE = ".:53 {\n    whoami\n    log\n}\n"
BANNER = f".:53\nCoreDNS-{VERSION}\nlinux/amd64, go1.25.2, 1db4568\n"
MESSAGE_BYTES_MAX = 65535
HEALTH_PORT, READY_PORT, METRICS_PORT, PORT = 8080, 8181, 9153, 53


class Corefile:
    """The settings in force, and whether the file says something else by now."""

    def __init__(self, process: Process) -> None:
        self._process = process
        words = list(process.argv)
        self._path = words[words.index("-conf") + 1] if "-conf" in words[:-1] else "Corefile"
        self._seen = self.text = self._read()

    def _read(self) -> str:
        filesystem = self._process.container.filesystem
        if not filesystem.exists(self._path):
            return DEFAULT_COREFILE
        return filesystem.read(self._path).decode(errors="replace")

    async def refresh(self) -> None:
        """Looks again. A mounted file is swapped at once, so that it is never seen half."""
        found = self._read()
        if found == self._seen:
            return
        self._seen = found
        await self._process.write("[INFO] Reloading\n")
        if fault := self.fault(found):
            await self._process.write(f"[ERROR] Restart failed: {fault}\n")
            return
        self.text = found
        await self._process.write("[INFO] Reloading complete\n")

    def fault(self, text: str) -> str:
        names = self._process.container.machine.network.name_service
        return names.fault(text) if names is not None else ""


async def coredns(process: Process) -> int:
    corefile = Corefile(process)
    if fault := corefile.fault(corefile.text):
        await process.complain(fault)
        return 1
    over: Future[int] = Future()
    process.handlers[SIGTERM] = lambda number: over.set(0)
    namespace = process.container.sandbox.namespace
    names = process.container.machine.network

    async def answer(query: bytes, client: str, *, tcp: bool = False) -> bytes:
        await corefile.refresh()
        if names.name_service is None:
            return b""
        return await names.name_service.answer(query, client, corefile.text, tcp=tcp)

    async def converse(connection: Connection) -> None:
        await _converse(connection, lambda query: answer(query, connection.peer, tcp=True))

    listeners = {
        PORT: Listener(stream=converse),
        HEALTH_PORT: Listener(http=_page({"/health": "OK"})),
        READY_PORT: Listener(http=_page({"/ready": "OK"})),
        METRICS_PORT: Listener(http=_page({"/metrics": f'coredns_build_info{{version="{VERSION}"}} 1\n'})),
    }
    for port, listener in listeners.items():
        namespace.listen(port, listener)
    namespace.datagrams[PORT] = answer
    try:
        await process.write(BANNER)
        return await over
    finally:
        namespace.datagrams.pop(PORT, None)
        for listener in listeners.values():
            namespace.stop(listener)


async def _converse(connection: Connection, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
    """Queries over TCP: each behind its length."""
    buffer = bytearray()
    while data := await connection.incoming.read(MESSAGE_BYTES_MAX):
        buffer += data
        while len(buffer) >= 2 and len(buffer) >= 2 + (length := int.from_bytes(buffer[:2], "big")):
            query = bytes(buffer[2 : 2 + length])
            del buffer[: 2 + length]
            reply = await answer(query)
            if not reply:
                return
            await connection.outgoing.write(len(reply).to_bytes(2, "big") + reply)


def _page(pages: dict[str, str]) -> HttpHandler:
    async def handle(request: Request, client: str) -> Response:
        body = pages.get(request.path.partition("?")[0])
        return Response(404) if body is None else Response(200, body.encode())

    return handle
