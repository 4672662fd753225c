"""Listens on the HTTP port and routes to Api, Uploads and Auth.

What is no HTTP at all is answered with 400 by the library, and is nobody's news.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from services.machinery.clock import Clock
from services.process.logging import Logger
from services.process.run import Fatal
from services.registry.http.api import Api
from services.registry.http.auth import Auth
from services.registry.http.errors import answered
from services.registry.http.uploads import Uploads
from services.registry.hub import Hub
from services.registry.pushing import Pushing

FORM_BYTES_MAX = 64 * 1024
SHUTDOWN_SECONDS = 1.0


class _Voice(logging.Logger):
    """The library's voice: broken requests are for those who look, our own faults keep their stack."""

    def __init__(self, log: Logger) -> None:
        super().__init__("registry.http")
        self._ours = log

    def exception(self, msg: object, *args: object, exc_info: Any = True, **options: Any) -> None:
        if isinstance(exc_info, HttpProcessingError | ConnectionError):
            self._ours.debug("Refused what is no request", reason=str(exc_info)[:200])
        else:
            self._ours.error("Could not answer a request", exc_info=exc_info)


@asynccontextmanager
async def http_server(
    address: str,
    port: int,
    *,
    hub: Hub,
    pushing: Pushing,
    clock: Clock,
    log: Logger,
    bytes_per_second: float,
) -> AsyncIterator[int]:
    """Serves while the block runs; yields the port. Raises Fatal when it is taken."""
    auth = Auth(hub.accounts, clock)
    app = web.Application(
        middlewares=[answered(log, auth.challenge)],  # type: ignore[list-item]
        client_max_size=FORM_BYTES_MAX,
    )
    api = Api(hub, pushing, auth, clock, log, bytes_per_second)
    _route(app.router, api, Uploads(hub, pushing, auth, clock), auth)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_Voice(log),
        handle_signals=False,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, port)
        try:
            await site.start()
        except OSError as error:
            raise Fatal(f"cannot listen on {address}:{port}: is another process using the port?") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _route(router: web.UrlDispatcher, api: Api, uploads: Uploads, auth: Auth) -> None:
    name = "/v2/{name:.+}"
    router.add_get("/v2/", auth.base)
    router.add_get("/v2", auth.base)
    router.add_get("/token", auth.token)
    router.add_post("/token", auth.token)
    router.add_get("/v2/_catalog", api.catalog)
    router.add_get(name + "/tags/list", api.tags)
    router.add_get(name + "/referrers/{digest}", api.referrers)
    router.add_get(name + "/manifests/{reference}", api.get_manifest)
    router.add_put(name + "/manifests/{reference}", api.put_manifest)
    router.add_delete(name + "/manifests/{reference}", api.delete_manifest)
    router.add_post(name + "/blobs/uploads", uploads.begin)
    router.add_post(name + "/blobs/uploads/", uploads.begin)
    router.add_get(name + "/blobs/uploads/{upload}", uploads.status)
    router.add_patch(name + "/blobs/uploads/{upload}", uploads.add)
    router.add_put(name + "/blobs/uploads/{upload}", uploads.end)
    router.add_delete(name + "/blobs/uploads/{upload}", uploads.cancel)
    router.add_get(name + "/blobs/{digest}", api.get_blob)
    router.add_delete(name + "/blobs/{digest}", api.delete_blob)
