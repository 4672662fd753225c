"""Asking a webhook over HTTPS: at a URL, or at a Service through the nodes' Pod network.

Connections to a URL are kept, a few for each webhook, as long as what it is registered with stays the same;
those to a Service are one for each call, as its Pods come and go. An answer's size and the time until it is
there are bounded. What fails is told as client-go and Go's net would tell it.
"""

from __future__ import annotations

import errno
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from yarl import URL

from services.api import errors
from services.apiserver.admission.reviews import NotAnswered
from services.apiserver.custom.calling import Dial, trusting
from services.machinery.clock import Clock

Json = dict[str, Any]
ANSWER_BYTES_MAX = 3 * 1024 * 1024
CONNECTIONS_MAX = 25  # to one webhook; more calls wait for one to come free
IDLE_SECONDS = 30.0
SESSIONS_MAX = 64
_CODES = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    403: "forbidden",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    406: "the server was unable to respond with a content type that the client supports",
    409: "the server reported a conflict",
    415: "the body of the request was in an unknown format - accepted media types include: application/json",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the"
    " request",
}


class Caller:
    """`dial` makes what reaches Services; it is made when first needed."""

    def __init__(self, dial: Callable[[], Dial], clock: Clock) -> None:
        self._make_dial, self._clock = dial, clock
        self._dial: Dial | None = None
        self._sessions: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    async def ask(self, config: Json, review: Json, seconds: int) -> Json:
        """The webhook's answer. NotAnswered."""
        url = url_of(config, seconds)
        try:
            async with self._clock.timeout(seconds), self._session(config) as session:
                return await _post(session, url, review)
        except TimeoutError:
            why = "context deadline exceeded"
        except (ValueError, aiohttp.ClientError, OSError, errors.ApiError) as error:
            why = _in_go_words(error)
        raise NotAnswered(f'Post "{url}": {why}')

    async def close(self) -> None:
        while self._sessions:
            await self._sessions.popitem()[1].session.close()

    @asynccontextmanager
    async def _session(self, config: Json) -> AsyncIterator[aiohttp.ClientSession]:
        service = config.get("service")
        if service is None:
            async with self._kept(config) as session:
                yield session
            return
        if self._dial is None:
            self._dial = self._make_dial()
        port = int(service.get("port", 443))
        async with self._dial(
            service["namespace"], service["name"], port, trusting(config.get("caBundle") or "")
        ) as session:
            yield session

    @asynccontextmanager
    async def _kept(self, config: Json) -> AsyncIterator[aiohttp.ClientSession]:
        key = config["url"], config.get("caBundle") or ""
        kept = self._sessions.pop(key, None)
        if kept is None:
            kept = _Kept(_new_session(config))
        self._sessions[key] = kept
        kept.calls += 1
        try:
            yield kept.session
        finally:
            kept.calls -= 1
            await self._let_go()

    async def _let_go(self) -> None:
        """Of what is too much, the longest unused. What is at work stays: there may be that many at once."""
        idle = [key for key, kept in self._sessions.items() if not kept.calls]
        for key in idle[: max(0, len(self._sessions) - SESSIONS_MAX)]:
            await self._sessions.pop(key).session.close()


@dataclass(slots=True)
class _Kept:
    session: aiohttp.ClientSession
    calls: int = 0  # at the moment


def _new_session(config: Json) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        ssl=trusting(config.get("caBundle") or ""), limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_SECONDS
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )


def url_of(config: Json, seconds: int) -> str:
    """Where a clientConfig points, with the time that the server will wait."""
    if config.get("url"):
        return str(URL(config["url"]).update_query(timeout=f"{seconds}s"))
    service = config["service"]
    path = "/" + (service.get("path") or "").lstrip("/")
    # With its port even where that is the usual one, as upstream writes it.
    host = f"{service['name']}.{service['namespace']}.svc:{service.get('port', 443)}"
    return f"https://{host}{path}?timeout={seconds}s"


async def _post(session: aiohttp.ClientSession, url: str, review: Json) -> Json:
    headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
    headers["User-Agent"] = "kube-apiserver-admission"
    headers["Host"] = url.split("/", 3)[2]  # with its port, as Go writes it
    body = orjson.dumps(review)
    async with session.post(URL(url), data=body, headers=headers, allow_redirects=False) as answer:
        body = await _read(answer)
        if not 200 <= answer.status < 300:
            raise NotAnswered(_refusal(answer.status, body))
    try:
        found: Json = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotAnswered(f"couldn't get version/kind; json parse error: {error}") from None
    return found


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """NotAnswered where it is too long, or ends before its end."""
    body = bytearray()
    try:
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                answer.close()
                raise NotAnswered(f"the webhook's answer is longer than {ANSWER_BYTES_MAX} bytes")
    except aiohttp.ClientPayloadError as error:
        why = "unexpected error when reading response body. Please retry. Original error: unexpected EOF"
        raise NotAnswered(why) from error
    return bytes(body)


def _refusal(code: int, body: bytes) -> str:
    if 300 <= code < 400:
        return f"the server responded with the status code {code} but did not return more information"
    if code in _CODES:
        return _CODES[code]
    if code >= 500:
        text = body[:2048].decode("utf-8", "replace").strip()
        return f'an error on the server ("{text or "unknown"}") has prevented the request from succeeding'
    return f"the server responded with the status code {code} but did not return more information"


def _in_go_words(error: Exception) -> str:
    if isinstance(error, errors.ApiError):
        details = error.status.get("details") or {}
        if errors.is_not_found(error) and details.get("kind") == "services":
            return f'service "{details.get("name", "")}" not found'
        return error.message
    if (fault := _of_tls(error)) is not None:
        return _in_tls_words(fault)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientConnectorError):
        where, code = f"dial tcp {error.host}:{error.port}: connect", error.os_error.errno
        return f"{where}: {_SOCKET.get(code or 0, str(error.os_error))}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(error, ConnectionResetError):
        return "read: connection reset by peer"
    return str(error) or type(error).__name__


def _of_tls(error: Exception) -> ssl.SSLError | None:
    """What went wrong with TLS, inside of what the library says."""
    found: BaseException | None = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        found = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorSSLError):
        found = error.os_error
    elif isinstance(error, aiohttp.ClientConnectionError):
        found = error.__cause__
    return found if isinstance(found, ssl.SSLError) else None


def _in_tls_words(fault: ssl.SSLError) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: x509: {_untrusted(fault)}"
    if fault.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return "http: server gave HTTP response to HTTPS client"
    return f"tls: {fault}"


_SOCKET = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ETIMEDOUT: "connection timed out",
}


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    text = error.verify_message or str(error)
    if "self-signed" in text or "self signed" in text or "unable to get local issuer" in text:
        return "certificate signed by unknown authority"
    if "expired" in text:
        return "certificate has expired or is not yet valid"
    if "match" in text or "not valid for" in text:
        return f"certificate is valid for other names: {text}"
    return text
