"""Connections of the HTTPS port: bounded in headers, and in how long they may say nothing.

Who connects and does not send a whole request's head in time is cut off, and so is who keeps a connection and
asks nothing more; the time for a body is the body's reader's to bound. Requests reach one handler at once,
without a router: what a path means is not aiohttp's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

HEADER_BYTES_MAX = 64 * 1024
HEADER_SECONDS = 32.0  # as upstream's ReadHeaderTimeout
IDLE_SECONDS = 90.0  # and its IdleTimeout
SHUTDOWN_SECONDS = 2.0
TOLD = "told"  # where a request keeps the headers that its answer is to have


class Connection(web.RequestHandler):
    """One client's connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._first = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._late)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._first.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is answered as Go's server does, and nobody's log is filled with it."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        response = web.Response(status=status, text=f"{status} {HTTPStatus(status).phrase}")
        response.force_close()
        return response

    def _late(self) -> None:
        if not self._request_count:
            self.force_close()


class Server(web.Server):
    def __call__(self) -> Any:
        return Connection(self, loop=self._loop, **self._kwargs)


class Request(web.Request):
    """`begun`: its answer has begun to go out, and cannot become another any more."""

    ATTRS = web.Request.ATTRS | {"begun"}
    begun = False

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        """Headers that every answer has, streams too, or (the server's software) has not: as upstream's."""
        response.headers.popall(hdrs.SERVER, None)
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-cache, private")
        response.headers.update(self.get(TOLD, {}))
        self.begun = True


def begin(request: web.Request) -> None:
    """What goes out from now on is no longer the library's to say."""
    if isinstance(request, Request):
        request.begun = True


def has_begun(request: web.Request) -> bool:
    return isinstance(request, Request) and request.begun


def runner(handle: Callable[[Any], Awaitable[web.StreamResponse]]) -> web.ServerRunner:
    """Not set up yet."""
    loop = asyncio.get_running_loop()

    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.Request:
        return Request(message, payload, protocol, writer, task, loop, client_max_size=0)

    server = Server(
        handle,
        request_factory=request,
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=IDLE_SECONDS,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
    )
    return web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
