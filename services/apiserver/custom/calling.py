"""Asking a conversion webhook over HTTPS: at a URL, or at a Service through the nodes' Pod network.

Each call is a connection of its own, for definitions come and go and seldom ask much. The certificate must be
signed by the definition's caBundle (else by an authority that the machine trusts). What fails is told as
client-go would tell it; the converter says whose webhook it was.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol

import aiohttp
import orjson
from yarl import URL

from services.api import errors
from services.apiserver.custom.conversion import Call, NotAnswered

Json = dict[str, Any]
ANSWER_SECONDS = 30.0
ANSWER_BYTES_MAX = 32 * 1024 * 1024


class Dial(Protocol):
    """A session over one connection to a ready Pod of a Service. ApiError where there is none."""

    def __call__(
        self, namespace: str, name: str, port: int, tls: ssl.SSLContext
    ) -> AbstractAsyncContextManager[aiohttp.ClientSession]: ...


class WebhookCaller:
    """`dial` reaches a Service."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    def __call__(self, config: Json, definition: str) -> Call:
        return partial(self._ask, config)

    async def _ask(self, config: Json, review: Json) -> Json:
        url = url_of(config)
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._session(config) as session:
                return await _post(session, url, review)
        except TimeoutError:
            why = "context deadline exceeded"
        except ssl.SSLError as error:
            why = f"tls: failed to verify certificate: x509: {error.reason or error}"
        except (aiohttp.ClientError, OSError, errors.ApiError) as error:
            why = str(error)
        raise NotAnswered(f'Post "{url}": {why}')

    @asynccontextmanager
    async def _session(self, config: Json) -> AsyncIterator[aiohttp.ClientSession]:
        context = tls_of(config)
        service = config.get("service")
        if service is None:
            connector = aiohttp.TCPConnector(ssl=context, force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session:
                yield session
            return
        async with self._dial(
            service["namespace"], service["name"], int(service.get("port", 443)), context
        ) as session:
            yield session


def url_of(config: Json) -> URL:
    """Where a clientConfig points, with the time that the server would wait."""
    if config.get("url"):
        base = URL(config["url"])
    else:
        service = config["service"]
        host = f"{service['name']}.{service['namespace']}.svc"
        path = "/" + (service.get("path") or "").lstrip("/")
        base = URL(f"https://{host}:{service.get('port', 443)}{path}")
    return base.update_query(timeout=f"{ANSWER_SECONDS:.0f}s")


def tls_of(config: Json) -> ssl.SSLContext:
    bundle = b64decode(config.get("caBundle") or "").decode()
    return ssl.create_default_context(cadata=bundle if bundle.strip() else None)


async def _post(session: aiohttp.ClientSession, url: URL, review: Json) -> Json:
    headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
    async with session.post(url, data=orjson.dumps(review), headers=headers, allow_redirects=False) as answer:
        body = await answer.content.read(ANSWER_BYTES_MAX)
        while chunk := await answer.content.read(ANSWER_BYTES_MAX - len(body) + 1):
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise NotAnswered("the webhook's answer is too long")
        if answer.status >= 300:
            text = body[:200].decode("utf-8", "replace").strip()
            raise NotAnswered(f"unexpected response: {answer.status} {answer.reason} {text}".rstrip())
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotAnswered(f"couldn't get version/kind; json parse error: {error}") from None
    return found if isinstance(found, dict) else {}
