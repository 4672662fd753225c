"""What all calls of the runtime's services share: which machine is meant, and how a refusal leaves.

A refused call answers with a status that is set, not with an exception that is raised: what grpc.aio
catches it keeps, frames and all, until the garbage collector comes round.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import grpc.aio

from services.runtime.machine import Machine
from services.runtime.model import RuntimeFault

NODE_METADATA = "orrery-node"
DETAILS_BYTES_MAX = 2_000  # a client takes 8 KiB of trailing metadata, in which a byte may take three

Context = grpc.aio.ServicerContext[Any, Any]
Machines = Callable[[str], Machine]
S = TypeVar("S")
Q = TypeVar("Q")
A = TypeVar("A")


async def refuse(context: Context, fault: RuntimeFault) -> NoReturn:
    """For streams; calls with one answer raise RuntimeFault, which `answers` turns into a status."""
    await context.abort(status_code(fault), fitting(str(fault)))


def fitting(words: str) -> str:
    """As much of a refusal as a client can be told."""
    return words.encode(errors="replace")[:DETAILS_BYTES_MAX].decode(errors="ignore")


def status_code(fault: RuntimeFault) -> grpc.StatusCode:
    code: grpc.StatusCode = getattr(grpc.StatusCode, fault.code)
    return code


def answers(
    answer: Callable[[], A],
) -> Callable[[Callable[[S, Q, Context], Awaitable[A]]], Callable[[S, Q, Context], Awaitable[A]]]:
    """Makes a method that raises RuntimeFault one that refuses; nobody sees what `answer` makes."""

    def around(method: Callable[[S, Q, Context], Awaitable[A]]) -> Callable[[S, Q, Context], Awaitable[A]]:
        @wraps(method)
        async def call(self: S, request: Q, context: Context) -> A:
            try:
                return await method(self, request, context)
            except RuntimeFault as fault:
                context.set_code(status_code(fault))
                context.set_details(fitting(str(fault)))
                return answer()

        return call

    return around


def node_of(context: Context) -> str:
    return _metadata(context, NODE_METADATA)


def cause_of(context: Context) -> str:
    """The traceparent of the call: what the kubelet does this for."""
    return _metadata(context, "traceparent")


def _metadata(context: Context, wanted: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == wanted:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""
