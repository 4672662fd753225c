"""Calls over gRPC, and how writes of one moment share one.

Many parts of a process write at the same time: a controller its Pods, a kubelet the statuses of many. What
they ask for together goes out as one Batch; what is asked for alone, as the call that it is.
A batch that breaks leaves all its operations as a broken call leaves one: nobody knows whether the
server acted. Updates (PUT) are never gathered: a Lease is renewed by one, and must not wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
import orjson

from services.api.errors import ApiError
from services.client.gatherer import Gatherer
from services.client.transport import Unavailable
from services.pb.resource.v1 import resource_pb2 as pb
from services.pb.resource.v1 import resource_pb2_grpc as pb_grpc

STATUS_KEY = "kubernetes-status-bin"
CALL_SECONDS_MAX = 60  # Upstream's server ends a request after this long, too.
OPERATIONS_MAX = 128
BYTES_MAX = 1024 * 1024  # of a batch; what is larger goes alone
# Batches whose answers are awaited: while so many are, further writes gather.
ON_THEIR_WAY_MAX = 2


class GrpcWrites:
    """Creations, patches and deletions. `ask` answers as the unary call would, or raises ApiError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stub: Any = pb_grpc.ResourceServiceStub(channel)
        self._batch = stub.Batch
        self._methods = {"create": stub.Create, "patch": stub.Patch, "delete": stub.Delete}
        self._gatherer: Gatherer[pb.Operation, Any] = Gatherer(
            self._send, _Batch, on_their_way_max=ON_THEIR_WAY_MAX
        )

    async def run(self) -> None:
        await self._gatherer.run()

    async def ask(self, operation: pb.Operation) -> Any:
        return await self._gatherer.ask(operation)

    async def _send(self, operations: list[pb.Operation]) -> Sequence[Any]:
        if len(operations) == 1:
            operation = operations[0]
            verb = operation.WhichOneof("request") or ""
            return [await call(self._methods[verb], getattr(operation, verb), operation.traceparent)]
        response = await call(self._batch, pb.BatchRequest(operations=operations), "")
        if len(response.answers) != len(operations):
            raise Unavailable("the API server did not answer each operation of a batch")
        return [_answer(each) for each in response.answers]


class _Batch:
    """Whether one more operation may go into a batch."""

    def __init__(self) -> None:
        self._count = self._size = 0

    def takes(self, operation: pb.Operation) -> bool:
        size = operation.ByteSize()
        if self._count >= OPERATIONS_MAX or self._size + size > BYTES_MAX:
            return False
        self._count += 1
        self._size += size
        return True


def _answer(given: pb.OperationAnswer) -> Any:
    if given.HasField("status"):
        return ApiError(orjson.loads(given.status))
    return given.deleted if given.HasField("deleted") else given.object


async def call(method: Any, request: Any, cause: str) -> Any:
    """One unary call. ApiError for a refusal, Unavailable where there was no answer."""
    try:
        return await method(request, metadata=metadata_of(cause), timeout=CALL_SECONDS_MAX)
    except grpc.aio.AioRpcError as error:
        raise translate(error) from error


def metadata_of(cause: str) -> Sequence[tuple[str, str]]:
    return (("traceparent", cause),) if cause else ()


def translate(error: grpc.aio.AioRpcError) -> ApiError:
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key == STATUS_KEY:
            return ApiError(orjson.loads(value))
    details = error.details() or error.code().name
    return Unavailable(f"the API server did not answer: {details}")
