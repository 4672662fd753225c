"""What every gRPC call to the API server has in common, whichever service it belongs to.

A call's bytes are parsed here and not by the library, so that random bytes get a `Status` like any
other bad request. A refusal becomes a `Status`; what nobody foresaw is our fault: it is logged
once with its stack, and the caller gets a 500 that says nothing of the inside.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import grpc
import grpc.aio
import orjson
from google.protobuf.message import DecodeError, Message

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.audit.audit import Audit, Record
from services.apiserver.authentication.acting import acting_as
from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fairness.fairness import Fairness
from services.apiserver.fronts.callers import Callers
from services.apiserver.fronts.status import hand_on, metadata_of, refuse
from services.machinery import trace
from services.process.logging import Logger

BODY_BYTES_MAX = 3 * 1024 * 1024
BATCH_BYTES_MAX = 4 * 1024 * 1024
_BODIES = ("json", "patch", "options")
REST_BYTES_MAX = 256 * 1024  # all else in a request: names, selectors; upstream bounds a URL's length


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and with what."""

    user_agent: str
    user: User
    impersonator: User | None = None  # who asks in the name of that user

    @property
    def field_manager(self) -> str:
        return self.user_agent.partition("/")[0] or "unknown"


Context = grpc.aio.ServicerContext[bytes, bytes]
Handle = Callable[[Any, Caller], Awaitable[Message]]
HandleStream = Callable[[Any, Caller, Context], Awaitable[None]]
HandleDuplex = Callable[[AsyncIterator[bytes], Caller, Context], Awaitable[None]]
T = TypeVar("T")


class Calls:
    """Makes gRPC method handlers out of functions of the registry's world."""

    def __init__(
        self,
        callers: Callers,
        chance: random.Random,
        log: Logger,
        fairness: Fairness,
        audit: Audit | None,
    ) -> None:
        self.gate, self._fairness, self._audit = callers.gate, fairness, audit
        self._callers, self._random, self._log = callers, chance, log

    def unary(self, request_type: Any, handle: Handle) -> grpc.RpcMethodHandler[bytes, bytes]:
        verb, named = _verb(request_type), "resource" in request_type.DESCRIPTOR.fields_by_name

        async def work(raw: bytes, context: Context) -> bytes:
            request = parse(request_type, raw)
            caller, cause = await self._enter(context)
            flow = _flow(verb, request.resource if named else None, caller.user)
            with trace.scope(cause), acting_as(caller.user):
                async with self._fairness.seat(flow):
                    return (await self.handled(verb, request, caller, handle)).SerializeToString()

        async def call(raw: bytes, context: Context) -> bytes:
            return await self._guard(work(raw, context), context) or b""

        return grpc.unary_unary_rpc_method_handler(call)

    def stream(self, request_type: Any, handle: HandleStream) -> grpc.RpcMethodHandler[bytes, bytes]:
        """`handle` writes bytes that are encoded already."""

        async def work(raw: bytes, context: Context) -> None:
            request = parse(request_type, raw)
            caller, cause = await self._enter(context)
            with trace.scope(cause), acting_as(caller.user):
                await handle(request, caller, context)

        async def call(raw: bytes, context: Context) -> None:
            await self._guard(work(raw, context), context)

        return grpc.unary_stream_rpc_method_handler(call)

    def duplex(self, handle: HandleDuplex) -> grpc.RpcMethodHandler[bytes, bytes]:
        """`handle` reads and writes bytes."""

        async def work(messages: AsyncIterator[bytes], context: Context) -> None:
            caller, cause = await self._enter(context)
            with trace.scope(cause), acting_as(caller.user):
                await handle(messages, caller, context)

        async def call(messages: AsyncIterator[bytes], context: Context) -> None:
            await self._guard(work(messages, context), context)

        return grpc.stream_stream_rpc_method_handler(call)

    async def handled(self, verb: str, request: Any, caller: Caller, handle: Handle) -> Message:
        """The answer; with a line in the audit log, where there is one and the request is for a resource."""
        record = self._begin(verb, request, caller) if self._audit is not None else None
        if record is None:
            return await handle(request, caller)
        code, answered = 500, b""
        try:
            with record.current():
                made = await handle(request, caller)
            code, answered = 201 if verb == "create" else 200, _json_of(made)
            return made
        except ApiError as error:
            code, answered = error.code, orjson.dumps(error.status)
            raise
        finally:
            record.complete(code, _sent(request), answered)

    def _begin(self, verb: str, request: Any, caller: Caller) -> Record | None:
        if self._audit is None or "resource" not in request.DESCRIPTOR.fields_by_name:
            return None
        named = request.resource
        asked = Attributes(
            caller.user, verb, named.namespace, named.group, named.version, named.resource, named.subresource,
            named.name,
        )  # fmt: skip
        return _recorded(self._audit, asked, named, caller)

    @contextmanager
    def let_in(self, asked: Attributes, caller: Caller) -> Iterator[None]:
        """A stream to a Pod, while the block runs, of one who may; it is put on record. ApiError (403)."""
        record = None
        if self._audit is not None:
            record = _recorded(self._audit, asked, asked, caller)
        code, answered = 500, b""
        try:
            with record.current() if record is not None else nullcontext():
                self.gate.require(asked)
            if record is not None:
                record.stage("ResponseStarted")
            code = 200
            yield
        except ApiError as error:
            code, answered = error.code, orjson.dumps(error.status)
            raise
        except Exception:
            code = 500
            raise
        finally:
            if record is not None:
                record.complete(code, b"", answered)

    async def _guard(self, work: Awaitable[T], context: Context) -> T | None:
        """The one place where what went wrong becomes an answer; None then."""
        try:
            return await work
        except grpc.aio.AioRpcError as error:
            hand_on(context, error)
        except Exception as error:  # the edge: whatever happened, the caller gets a Status
            refuse(context, self.refusal(error))
        return None

    def refusal(self, error: Exception) -> ApiError:
        """What to answer where a request met that error."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, RecursionError):
            return errors.bad_request("the object is nested too deeply")
        self._log.error("A request met a fault of ours", exc_info=error)
        return errors.internal("the server met a fault of its own; its log says more")

    async def _enter(self, context: Context) -> tuple[Caller, str]:
        """Who asks, and because of what."""
        entries = context.invocation_metadata()
        metadata = metadata_of(entries)
        user, impersonator = await self._callers.of(context, metadata, entries)
        caller = Caller(str(metadata.get("user-agent", "")), user, impersonator)
        return caller, self.cause_of(metadata.get("traceparent", ""))

    def cause_of(self, given: object) -> str:
        """A request that names no cause begins a story of its own."""
        return given if isinstance(given, str) and trace.valid(given) else trace.start(self._random)


def parse(request_type: Any, raw: bytes) -> Any:
    """ApiError (400) where the bytes are not such a message, (413) where they are more than any needs."""
    body_bytes_max = _body_bytes_max(request_type)
    if len(raw) > body_bytes_max + REST_BYTES_MAX:
        raise _too_large(body_bytes_max or REST_BYTES_MAX)
    try:
        return request_type.FromString(raw)
    except DecodeError:
        raise errors.bad_request("the request cannot be read: it is not a message of this method") from None


def _verb(request_type: Any) -> str:
    """`DeleteCollectionRequest` is a `deletecollection`."""
    return str(request_type.DESCRIPTOR.name).removesuffix("Request").lower()


def _recorded(audit: Audit, asked: Attributes, named: Any, caller: Caller) -> Record | None:
    return audit.begin(asked, uri=_uri(named), user_agent=caller.user_agent, impersonator=caller.impersonator)


def _uri(named: Any) -> str:
    """The path that the same would have over HTTP."""
    root = f"/apis/{named.group}/{named.version}" if named.group else f"/api/{named.version}"
    within = f"/namespaces/{named.namespace}" if named.namespace else ""
    tail = "".join(f"/{part}" for part in (named.resource, named.name, named.subresource) if part)
    return f"{root}{within}{tail}"


def _sent(request: Any) -> bytes:
    return next((bytes(getattr(request, name)) for name in _BODIES if hasattr(request, name)), b"")


def _json_of(made: Message) -> bytes:
    """The object that is answered; a list is not written down."""
    shown = getattr(made, "object", None)
    return bytes(shown.json) if shown is not None else b""


def _flow(verb: str, named: Any, user: User) -> Attributes:
    """As much of what is asked as says which flow it is of. A batch is of its caller's, whatever is in it."""
    if named is None:
        return Attributes(user, verb, resource="*")
    return Attributes(user, verb, named.namespace, named.group, "", named.resource, named.subresource)


@cache
def _body_bytes_max(request_type: Any) -> int:
    """0 for a request that carries no object, patch or options."""
    fields = {*request_type.DESCRIPTOR.fields_by_name}
    if "operations" in fields:
        return BATCH_BYTES_MAX
    return BODY_BYTES_MAX if {*_BODIES} & fields else 0


def check_size(body: bytes) -> bytes:
    if len(body) > BODY_BYTES_MAX:
        raise _too_large(BODY_BYTES_MAX)
    return body


def _too_large(bytes_max: int) -> ApiError:
    return errors.too_large(f"Request entity too large: limit is {bytes_max}")
