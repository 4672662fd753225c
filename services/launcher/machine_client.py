"""The launcher's door to an emulated machine: MachineService at the node's port.

Where a node listens stands in cluster.json; where there is none (under docker compose) its Node says
it. The only part of the launcher that knows `node.v1`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import orjson

from services.api import errors
from services.api.core_v1 import Node
from services.api.errors import ApiError
from services.client.client import connect
from services.client.credentials import KUBELET_SERVER_NAME, of_administrator, open_channel
from services.client.transport import Unavailable
from services.launcher.addresses import Addresses
from services.launcher.home import Home
from services.launcher.plan import Options
from services.pb.node.v1 import machine_pb2 as pb
from services.pb.node.v1 import machine_pb2_grpc as rpc

STATUS_KEY = "kubernetes-status-bin"
ANSWER_BYTES_MAX = 64 * 1024 * 1024  # the rules of thousands of Services
DEFAULT_APISERVER = "127.0.0.1:6444"


def apiserver_of(home: Home) -> str:
    return os.environ.get("ORRERY_SERVER") or str(home.read().get("apiserver") or DEFAULT_APISERVER)


@asynccontextmanager
async def machine(home: Home, name: str) -> AsyncIterator[MachineClient]:
    """Calls to one node. ApiError `node "x" not found`, or Unavailable when nobody answers there."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", ANSWER_BYTES_MAX)]
    address, mine = await _address(home, name), of_administrator(home.path)
    async with open_channel(address, mine, options, server_name=KUBELET_SERVER_NAME) as channel:
        yield MachineClient(channel, name)


async def _address(home: Home, name: str) -> str:
    record = home.read()
    if record and "ORRERY_SERVER" not in os.environ:
        options = Options.from_json(record["options"])
        if name not in options.node_names():
            raise errors.failure(404, "NotFound", f'node "{name}" not found')
        process = name if name in record["ports"] else "nodes"  # where the hollow ones are
        address = Addresses.from_json(record.get("addresses", {})).node(process)
        return f"{address}:{record['ports'][process]}"
    mine = of_administrator(home.path)
    async with connect(apiserver_of(home), user_agent="orrery", credentials=mine) as client:
        try:
            node = await client.get(Node, name)
        except ApiError as error:
            if errors.is_not_found(error):
                raise errors.failure(404, "NotFound", f'node "{name}" not found') from error
            raise
    endpoints = node.status.daemon_endpoints
    port = endpoints.kubelet_endpoint.port if endpoints and endpoints.kubelet_endpoint else 10250
    address = next((a.address for a in node.status.addresses if a.type == "InternalIP"), "127.0.0.1")
    return f"{address}:{port}"


class MachineClient:
    def __init__(self, channel: grpc.aio.Channel, name: str) -> None:
        self._stub: Any = rpc.MachineServiceStub(channel)
        self._name = name

    async def pressure(self, resource: str, leave: str, *, clear: bool) -> pb.PressureResponse:
        request = pb.PressureRequest(node=self._name, resource=resource, leave=leave, clear=clear)
        answer: pb.PressureResponse = await self._call(self._stub.Pressure, request)
        return answer

    async def shut_down(self, grace_seconds: int, critical_grace_seconds: int) -> None:
        request = pb.ShutdownRequest(
            node=self._name, grace_seconds=grace_seconds, critical_grace_seconds=critical_grace_seconds
        )
        await self._call(self._stub.Shutdown, request)

    async def proxy_rules(self) -> str:
        answer: pb.ProxyRulesResponse = await self._call(
            self._stub.ProxyRules, pb.ProxyRulesRequest(node=self._name)
        )
        return answer.text

    def shell(self) -> ShellStream:
        return ShellStream(self._stub.Shell(), self._name)

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request)
        except grpc.aio.AioRpcError as error:
            raise _translate(error, self._name) from error


class ShellStream:
    """One command or shell on the node: `start` first, then input and output in any order."""

    def __init__(self, call: Any, name: str) -> None:
        self._call, self._name = call, name

    async def start(self, command: Sequence[str], *, stdin: bool, tty: bool) -> None:
        start = pb.ShellStart(node=self._name, command=command, stdin=stdin, tty=tty)
        await self._write(pb.ShellRequest(start=start))

    async def send(self, data: bytes) -> None:
        await self._write(pb.ShellRequest(stdin=data))

    async def close_stdin(self) -> None:
        await self._write(pb.ShellRequest(stdin_closed=True))

    async def resize(self, columns: int, rows: int) -> None:
        await self._write(pb.ShellRequest(resize=pb.ShellSize(columns=columns, rows=rows)))

    async def _write(self, message: Any) -> None:
        try:
            await self._call.write(message)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return  # The command has ended, or nobody is there: reading tells which.

    async def output(self) -> AsyncIterator[tuple[str, Any]]:
        """`("stdout", bytes)`, `("stderr", bytes)`, and at last `("exit", code)`."""
        try:
            async for message in self._call:
                which = message.WhichOneof("message")
                if which == "exit_code":
                    yield "exit", message.exit_code
                    return
                elif which:
                    yield which, getattr(message, which)
        except grpc.aio.AioRpcError as error:
            raise _translate(error, self._name) from error
        finally:
            self._call.cancel()


def _translate(error: grpc.aio.AioRpcError, name: str) -> ApiError:
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key == STATUS_KEY:
            return ApiError(orjson.loads(value))
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(f'node "{name}" does not answer: is it stopped? `orrery node list` tells')
    return Unavailable(error.details() or error.code().name)
