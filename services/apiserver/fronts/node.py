"""NodeService as clients see it: each call goes on to the kubelet of the node that is meant.

Only the first message is read, to learn where to; all others pass as bytes. A kubelet's refusal
is handed on as it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

import grpc
import grpc.aio

from services.api import errors
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fronts.calls import Caller, Calls, Context, parse
from services.apiserver.fronts.kubelets import SERVICE, Call, Kubelets
from services.machinery.clock import Clock
from services.pb.node.v1 import node_pb2 as pb

LINGER_SECONDS = 10.0  # for a caller to hang up after the last message
EXIT_BYTES_MAX = 16  # of a message that says how a command ended: only short ones are looked into


class NodeFront:
    def __init__(self, kubelets: Kubelets, clock: Clock, calls: Calls) -> None:
        self._kubelets, self._clock = kubelets, clock
        self._calls = calls

    def add_to(self, server: grpc.aio.Server) -> None:
        calls = self._calls
        handlers = {
            "Logs": calls.stream(pb.LogsRequest, self._logs),
            "Exec": calls.duplex(self._exec),
            "Attach": calls.duplex(self._attach),
            "PortForward": calls.duplex(self._port_forward),
            "Stats": calls.unary(pb.StatsRequest, self._stats),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def _logs(self, request: pb.LogsRequest, caller: Caller, context: Context) -> None:
        with self._let_in(caller, "get", "log", request.container):
            call = await self._kubelets.logs(request)
            if call is not None:
                await _pass_on(call, context)

    def _let_in(
        self, caller: Caller, verb: str, part: str, of: pb.ContainerReference
    ) -> AbstractContextManager[None]:
        asked = Attributes(caller.user, verb, of.namespace, "", "v1", "pods", part, of.pod)
        return self._calls.let_in(asked, caller)

    async def _exec(self, messages: AsyncIterator[bytes], caller: Caller, context: Context) -> None:
        await self._command("Exec", messages, caller, context)

    async def _attach(self, messages: AsyncIterator[bytes], caller: Caller, context: Context) -> None:
        await self._command("Attach", messages, caller, context)

    async def _command(
        self, method: str, messages: AsyncIterator[bytes], caller: Caller, context: Context
    ) -> None:
        first = parse(pb.ExecRequest, await _first(messages))
        if first.WhichOneof("message") != "start":
            raise errors.bad_request("the first message must say what to start")
        interactive, said_all = first.start.stdin or first.start.tty, asyncio.Event()
        with self._let_in(caller, "create", method.lower(), first.start.container):
            rest = _until_all_is_said(messages, said_all)
            call = await self._kubelets.command(method, first.start, rest)
            if await _pass_on(call, context, _says_exit) and interactive and not said_all.is_set():
                # The client hangs up. If we did, what it still types would break its call, and with it the
                # answers that it has not read yet.
                await self._clock.sleep(LINGER_SECONDS)

    async def _port_forward(self, messages: AsyncIterator[bytes], caller: Caller, context: Context) -> None:
        first = parse(pb.PortForwardRequest, await _first(messages))
        with self._let_in(caller, "create", "portforward", first.pod):
            await self._kubelets.check_port_forward(first.pod.namespace, first.pod.pod)
            await _pass_on(await self._kubelets.port_forward(first, messages), context)

    async def _stats(self, request: pb.StatsRequest, caller: Caller) -> pb.StatsResponse:
        asked = Attributes(caller.user, "get", "", "", "v1", "nodes", "stats", request.node)
        self._calls.gate.require(asked)
        return await self._kubelets.stats(request)


async def _pass_on(call: Call, context: Context, ends: Callable[[bytes], bool] = lambda _: False) -> bool:
    """Until the kubelet has ended the call, or with a message that `ends` it: whether there was one."""
    try:
        async for message in call:
            await context.write(message)
            if ends(message):
                return True
        return False
    finally:
        call.cancel()


def _says_exit(message: bytes) -> bool:
    return len(message) <= EXIT_BYTES_MAX and pb.ExecResponse.FromString(message).HasField("exit_code")


async def _until_all_is_said(messages: AsyncIterator[bytes], said_all: asyncio.Event) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message
    said_all.set()


async def _first(messages: AsyncIterator[bytes]) -> bytes:
    async for message in messages:
        return message
    raise errors.bad_request("the call ended before it said what to do")
