"""A Batch: many writes in one message, each handled as the call of its own that it stands for.

They run beside each other, as separate calls would, so that their writes reach the store together. Each
has its own cause and its own refusal; nothing that one of them meets touches another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from google.protobuf.message import Message

from services.api import errors
from services.apiserver.fronts.calls import REST_BYTES_MAX, Caller, Calls, Handle
from services.apiserver.fronts.status import status_bytes
from services.machinery import trace
from services.pb.resource.v1 import resource_pb2 as pb

OPERATIONS_MAX = 256
_BODY = {"create": "json", "patch": "patch", "delete": "options"}


class BatchFront:
    """`verbs` handle the calls, by the names that an operation has for them."""

    def __init__(self, calls: Calls, verbs: Mapping[str, Handle]) -> None:
        self._calls, self._verbs = calls, verbs

    async def handle(self, request: pb.BatchRequest, caller: Caller) -> pb.BatchResponse:
        if len(request.operations) > OPERATIONS_MAX:
            raise errors.bad_request(f"a batch has at most {OPERATIONS_MAX} operations")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(operation, caller)) for operation in request.operations]
        return pb.BatchResponse(answers=[task.result() for task in tasks])

    async def _one(self, operation: pb.Operation, caller: Caller) -> pb.OperationAnswer:
        try:
            with trace.scope(self._calls.cause_of(operation.traceparent)):
                return _answer(await self._handled(operation, caller))
        except Exception as error:  # the edge: whatever happened, the caller gets a Status
            return pb.OperationAnswer(status=status_bytes(self._calls.refusal(error)))

    async def _handled(self, operation: pb.Operation, caller: Caller) -> Message:
        verb = operation.WhichOneof("request")
        if verb is None:
            raise errors.bad_request("an operation of a batch must be a create, a patch or a delete")
        request = getattr(operation, verb)
        if request.ByteSize() - len(getattr(request, _BODY[verb])) > REST_BYTES_MAX:
            raise errors.too_large(f"Request entity too large: limit is {REST_BYTES_MAX}")
        return await self._calls.handled(verb, request, caller, self._verbs[verb])


def _answer(made: Message) -> pb.OperationAnswer:
    if isinstance(made, pb.DeleteResponse):
        return pb.OperationAnswer(deleted=made)
    assert isinstance(made, pb.ObjectResponse)
    return pb.OperationAnswer(object=made)
