"""An answer that has begun becomes no other: what goes wrong then ends the connection."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from aiohttp import web

from services.api import errors
from services.apiserver.fronts.rest import connections
from services.apiserver.fronts.rest.server import RestFront
from services.process.logging import get_logger


class Front(RestFront):
    """Only what happens to faults."""

    def __init__(self, fault: Exception) -> None:
        self._fault, self._random, self._log = fault, Random(1), get_logger("test")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        if "begins" in request.path:
            await response.prepare(request)
            await response.write(b"half")
        raise self._fault


@pytest.mark.parametrize("fault", [RuntimeError("ours"), errors.bad_request("theirs")])
async def test_half_an_answer_is_followed_by_nothing(fault: Exception) -> None:
    runner = connections.runner(Front(fault)._handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0]
        for path, ended in ((b"/begins", b"4\r\nhalf\r\n"), (b"/at-once", b"}")):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
            assert said.count(b"HTTP/1.1 ") == 1
            assert said.endswith(ended)
    finally:
        await runner.cleanup()
