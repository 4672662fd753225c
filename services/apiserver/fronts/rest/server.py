"""The HTTPS server: from a request's path to whoever answers it, and whatever goes wrong to a Status.

Serves while its block runs. A client that goes away ends what was done for it; at shutdown watches are ended
before connections are. What nobody foresaw is logged once with its stack, and tells the caller nothing of the
inside.
"""

from __future__ import annotations

import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from services.api import errors, kinds
from services.api.errors import ApiError
from services.api.kinds import Resource
from services.apiserver.aggregation.remote import Aggregated
from services.apiserver.audit.audit import AUDIT_ID, Audit, Record, new_id
from services.apiserver.authentication.acting import acting_as
from services.apiserver.authentication.users import User
from services.apiserver.authorization import escalation
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fairness.fairness import LEVEL_HEADER, SCHEMA_HEADER, Fairness
from services.apiserver.fronts.gate import Gate
from services.apiserver.fronts.kubelets import Kubelets
from services.apiserver.fronts.rest import bodies, connections, reviews
from services.apiserver.fronts.rest.about import About
from services.apiserver.fronts.rest.identity import ASKER, IMPERSONATOR, HttpGate, what_is_asked
from services.apiserver.fronts.rest.live import Live
from services.apiserver.fronts.rest.metrics import Metrics
from services.apiserver.fronts.rest.negotiation import Written, negotiate
from services.apiserver.fronts.rest.paths import Path, parse, watched
from services.apiserver.fronts.rest.streams.front import Streams
from services.apiserver.fronts.rest.verbs import Verbs, encode
from services.apiserver.fronts.rest.warning_headers import headers_of
from services.apiserver.fronts.rest.watching import Watching
from services.apiserver.fronts.reviews import Reviews
from services.apiserver.openapi.documents import Documents
from services.apiserver.registry.registry import Registry, deprecation
from services.apiserver.registry.request import Target
from services.machinery import trace
from services.machinery.clock import Clock
from services.process.logging import Logger
from services.process.run import Fatal

BACKLOG = 512
RECORD = "record"
NOBODY = User("")  # for the record of who could not say who he is
NOT_RECORDED = contextlib.nullcontext()


class RestFront:
    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        chance: random.Random,
        log: Logger,
        is_ready: Callable[[], bool],
        kubelets: Kubelets,
        gate: Gate,
        documents: Documents,
        fairness: Fairness,
        aggregated: Aggregated,
        audit: Audit | None,
    ) -> None:
        self._aggregated = aggregated
        self._fairness, self._audit = fairness, audit
        self._random, self._log, self._clock = chance, log, clock
        self._registry = registry
        self._gate, self._http_gate = gate, HttpGate(gate)
        self._reviews = Reviews(gate.authorizer, gate.tokens, clock)
        self._verbs = Verbs(registry, clock)
        self._live = Live(registry, clock)
        self._watching = Watching(registry, clock, chance)
        self._streams = Streams(kubelets, registry, clock, chance)
        self._metrics = Metrics(registry.catalog, fairness)
        self._about = About(is_ready, self._metrics, registry.catalog, documents, aggregated)
        self._about.issuer = gate.tokens.issuer

    @asynccontextmanager
    async def listen(self, address: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
        """Yields the bound port. Fatal when it is taken."""
        runner = connections.runner(self._counted)
        await runner.setup()
        site = web.TCPSite(runner, address, port, ssl_context=tls, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise Fatal(f"cannot listen on {address}:{port}: {error.strerror}") from error
        server: Any = site._server
        bound = int(server.sockets[0].getsockname()[1])
        self._about.address = f"{address}:{bound}"
        try:
            yield bound
        finally:
            await runner.cleanup()

    async def _counted(self, request: web.Request) -> web.StreamResponse:
        """Every answer leaves its numbers behind."""
        began, path = self._clock.monotonic(), parse(request.rel_url.raw_path)
        request[connections.TOLD] = {AUDIT_ID: request.headers.get(AUDIT_ID) or new_id(self._random)}
        self._metrics.in_flight += 1
        code, response = 499, None  # where the client left before the answer
        try:
            response = await self._handle(request)
            code = response.status
            return response
        finally:
            self._metrics.in_flight -= 1
            if (record := request.get(RECORD)) is not None:
                record.complete(code, bodies.as_read(request), body_of(response))
            watches = is_watch(request, path)
            seconds = self._clock.monotonic() - began
            self._metrics.note(request.method, path, code, seconds, watches=watches)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """The one place where what went wrong becomes an answer."""
        cause = request.headers.get("traceparent", "")
        if not trace.valid(cause):
            cause = trace.start(self._random)
        try:
            with trace.scope(cause):
                return await self._answer(request)
        except ApiError as error:
            refused = error
        except RecursionError:
            refused = errors.bad_request("the object is nested too deeply")
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as error:  # the edge: whatever happened, the caller gets a Status
            self._log.error("A request met a fault of ours", exc_info=error, path=request.path)
            refused = errors.internal("the server met a fault of its own; its log says more")
        if connections.has_begun(request):  # a second head within the first answer would pass for its body
            raise ConnectionResetError(refused.message)
        return refusal(request, refused)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw_path = request.rel_url.raw_path
        if request.method == "CONNECT":  # its target is a host and no path: it is not for us to tunnel
            raise errors.method_not_allowed()
        path = parse(raw_path)
        try:
            asked = await self._http_gate.asked(request, raw_path, path)
        except ApiError:
            self._recorded(request, what_is_asked(request.get(ASKER, NOBODY), request, raw_path, path))
            raise
        with acting_as(asked.user), self._recorded(request, asked) as record:
            self._http_gate.require(asked)
            seat = self._fairness.seat(asked)
            request[connections.TOLD] |= {
                SCHEMA_HEADER: seat.place.schema.uid,
                LEVEL_HEADER: seat.place.level.shape.uid,
            }
            if is_long(asked):  # it takes its seat only while it begins
                async with seat:
                    pass
                if record is not None:
                    record.stage("ResponseStarted")
                self._metrics.long_running += 1
                try:
                    return await self._admitted(request, raw_path, path, asked.user)
                finally:
                    self._metrics.long_running -= 1
            if path is not None and request.method != "GET" and self._is_served_here(path):
                await bodies.read_ahead(request)
            async with seat:
                return await self._admitted(request, raw_path, path, asked.user)

    def _recorded(self, request: web.Request, asked: Attributes) -> AbstractContextManager[Record | None]:
        """Begins a request's record, where there is an audit log that wants it."""
        if self._audit is None:
            return NOT_RECORDED
        record = request[RECORD] = self._audit.begin(
            asked,
            uri=request.path_qs,
            user_agent=request.headers.get("User-Agent", ""),
            source=request.remote or "",
            impersonator=request.get(IMPERSONATOR),
            audit_id=request[connections.TOLD][AUDIT_ID],
        )
        return record.current() if record is not None else NOT_RECORDED

    def _is_served_here(self, path: Path) -> bool:
        """And not passed on, body and all, to who serves its group."""
        review = kinds.review_named(path.group, path.version, path.plural)
        return review is not None or path.resource(self._registry.catalog) is not None

    async def _admitted(
        self, request: web.Request, raw_path: str, path: Path | None, user: User
    ) -> web.StreamResponse:
        if raw_path.startswith("//"):  # no path of anybody's, though others might take it for one
            return web.Response(text="404 page not found\n", status=404)
        if (answered := await self._aggregated.handle(request, raw_path, user)) is not None:
            return answered
        described = await self._about.answer(request, raw_path)
        if described is not None:
            return described
        if path is not None and (review := kinds.review_named(path.group, path.version, path.plural)):
            return await reviews.handle(self._reviews, request, path, review)
        if path is not None and (live := kinds.live_named(path.group, path.version, path.plural)):
            return await self._live.handle(request, path, live)
        resource = path.resource(self._registry.catalog) if path else None
        if path is None or resource is None:
            return web.Response(text="404 page not found\n", status=404)
        if (streamed := await self._streams.handle(request, path)) is not None:
            return streamed
        try:
            return await self._of_resource(request, path, resource, user)
        except ApiError as error:
            error.warnings[:0] = deprecation(resource)
            raise

    async def _of_resource(
        self, request: web.Request, path: Path, resource: Resource, user: User
    ) -> web.StreamResponse:
        target = Target(resource, path.namespace, path.name, path.subresource)
        if is_watch(request, path):
            written = negotiate(request.headers.get("Accept", ""))
            return await self._watching.handle(request, target, written)
        if request.method != "GET":
            request["guard"] = self._gate.guard(user, resource, path.subresource)
        response = await self._verbs.handle(request, path, target)
        if resource.group != escalation.GROUP or request.method == "GET":
            return response
        # Who was granted something may use it from now on: the next request already knows.
        with contextlib.suppress(TimeoutError, ApiError):  # the write itself is done
            await self._registry.store(resource).cache.catch_up()
        return response


def body_of(response: web.StreamResponse | None) -> bytes:
    """What was answered in one piece."""
    body = response.body if isinstance(response, web.Response) else None
    return body if isinstance(body, bytes) else b""


def is_long(asked: Attributes) -> bool:
    """Whether it lasts as long as the caller likes."""
    return asked.verb == "watch" or (asked.resource != "" and asked.subresource in kinds.STREAMED)


def is_watch(request: web.Request, path: Path | None) -> bool:
    """Whether changes are to be streamed."""
    return path is not None and request.method == "GET" and watched(path, request.query)


def refusal(request: web.Request, error: ApiError) -> web.Response:
    try:
        written = negotiate(request.headers.get("Accept", ""))
    except ApiError:
        written = Written()
    written = Written(written.media, pretty=written.pretty)
    headers = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds else {}
    body = encode(orjson.dumps(error.status), written)
    response = web.Response(body=body, status=error.code, content_type=written.media, headers=headers)
    for header in headers_of(error.warnings):
        response.headers.add("Warning", header)
    return response
