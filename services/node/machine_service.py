"""MachineService: the emulated machine's shell, its pressure tests, its graceful shutdown.

`orrery` is the caller. The shell is a stream to the runtime's console container, over the CRI as any
other exec. Refusals carry a Kubernetes `Status`; the only part of this package that knows `node.v1`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
import orjson

from services.api import errors
from services.api.errors import ApiError
from services.kubelet.cri import Cri, CriError, Terminal
from services.kubelet.fleet import Fleet
from services.machinery import quantity
from services.node.hosts import Hosts
from services.node.shell.console import console_name
from services.node.shell.host import Host
from services.pb.node.v1 import machine_pb2 as pb
from services.pb.node.v1.machine_pb2_grpc import MachineServiceServicer

NAME = "node.v1.MachineService"
STATUS_KEY = "kubernetes-status-bin"
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
}
Context = grpc.aio.ServicerContext[Any, Any]
LINGER_SECONDS = 10.0  # for a caller to hang up after the last message
MEBIBYTE = 1024 * 1024
MEMORY_LEFT_BELOW_THRESHOLD = 5 * MEBIBYTE  # so that the end of one Pod is enough
PERCENT_LEFT = 5  # of disk and process numbers: below every default threshold


async def _refuse(context: Context, error: ApiError) -> NoReturn:
    code = _CODES.get(error.code, grpc.StatusCode.INTERNAL)
    await context.abort(code, error.message, ((STATUS_KEY, orjson.dumps(error.status)),))
    raise AssertionError("abort returned")


class MachineService(MachineServiceServicer):
    def __init__(
        self,
        hosts: Hosts,
        cri_of: Callable[[str], Cri],
        fleet: Callable[[], Fleet],
        proxy_rules: Callable[[str], str],
    ) -> None:
        """`proxy_rules` gives the text of kube-proxy's table on a node of this process."""
        self._hosts, self._cri_of, self._fleet, self._proxy_rules = hosts, cri_of, fleet, proxy_rules

    # ---- Shell -------------------------------------------------------------------------------

    async def Shell(
        self, requests: AsyncIterator[pb.ShellRequest], context: Context
    ) -> AsyncIterator[pb.ShellResponse]:
        try:
            first = await anext(requests, None)
            if first is None or first.WhichOneof("message") != "start":
                raise errors.bad_request("the first message must say what to run")
            start = first.start
            host = self._hosts.find(start.node)
            container = self._hosts.console(host)
            words = ["/bin/sh", "-c", " ".join(start.command)] if start.command else ["/bin/bash"]
            cri = self._cri_of(console_name(host.name))
            terminal = await cri.exec(
                container.id, words, stdin=start.stdin, tty=start.tty, stderr=not start.tty
            )
            feeding = asyncio.ensure_future(_feed(requests, terminal))
            try:
                async for stream, data, code in terminal.output():
                    if stream == "exit":
                        yield pb.ShellResponse(exit_code=code)
                        await self._hosts.clock.sleep(LINGER_SECONDS)  # The caller hangs up before.
                    elif stream == "stdout":
                        yield pb.ShellResponse(stdout=data)
                    else:
                        yield pb.ShellResponse(stderr=data)
            finally:
                feeding.cancel()
                # The caller's side may break at any time; the block has seen the end that counts.
                await asyncio.gather(feeding, return_exceptions=True)
        except ApiError as error:
            await _refuse(context, error)
        except CriError as error:
            await _refuse(context, errors.internal(str(error)))

    # ---- kube-proxy --------------------------------------------------------------------------

    async def ProxyRules(self, request: pb.ProxyRulesRequest, context: Context) -> pb.ProxyRulesResponse:
        try:
            host = self._hosts.find(request.node)
        except ApiError as error:
            await _refuse(context, error)
        return pb.ProxyRulesResponse(text=self._proxy_rules(host.name))

    # ---- Pressure ----------------------------------------------------------------------------

    async def Pressure(self, request: pb.PressureRequest, context: Context) -> pb.PressureResponse:
        try:
            host = self._hosts.find(request.node)
            name = request.resource
            if name not in _CAPACITY:
                raise errors.bad_request(f'there is no pressure of "{name}": memory, disk or pid')
            threshold = _threshold(host, name)
            host.taken[name] = 0
            if not request.clear:
                left = _wanted(request.leave) if request.leave else _default_left(host, name)
                host.taken[name] = max(0, _CAPACITY[name](host) - _USED[name](host) - left)
            await self._tell_kubelet(host.name)
        except ApiError as error:
            await _refuse(context, error)
        return pb.PressureResponse(
            consumed=_text(name, host.taken[name]),
            available=_text(name, _CAPACITY[name](host) - _USED[name](host)),
            threshold=_text(name, threshold),
        )

    async def _tell_kubelet(self, name: str) -> None:
        """As the kernel's notifications do upstream: it need not wait for its next look."""
        try:
            self._fleet().members[name].eviction.poke()
        except ApiError:
            return  # It is stopped, and will see when it starts.

    # ---- Shutdown ----------------------------------------------------------------------------

    async def Shutdown(self, request: pb.ShutdownRequest, context: Context) -> pb.ShutdownResponse:
        try:
            host = self._hosts.find(request.node)
            member = self._fleet().members[host.name]
            await member.shutdown.run(request.grace_seconds, request.critical_grace_seconds)
        except ApiError as error:
            await _refuse(context, error)
        return pb.ShutdownResponse()


async def _feed(requests: AsyncIterator[pb.ShellRequest], terminal: Terminal) -> None:
    async for request in requests:
        match request.WhichOneof("message"):
            case "stdin":
                await terminal.stdin(request.stdin)
            case "stdin_closed":
                await terminal.close_stdin()
            case "resize":
                await terminal.resize(request.resize.columns, request.resize.rows)


_CAPACITY: dict[str, Callable[[Host], int]] = {
    "memory": lambda host: host.memory_bytes,
    "disk": lambda host: host.disk_bytes,
    "pid": lambda host: 32768,
}
_USED: dict[str, Callable[[Host], int]] = {
    "memory": lambda host: host.used_memory(),
    "disk": lambda host: host.used_disk(),
    "pid": lambda host: host.used_pids(),
}


def _threshold(host: Host, name: str) -> int:
    if name == "memory":
        return 100 * MEBIBYTE
    return _CAPACITY[name](host) * (15 if name == "disk" else 10) // 100


def _default_left(host: Host, name: str) -> int:
    if name == "memory":
        return _threshold(host, name) - MEMORY_LEFT_BELOW_THRESHOLD
    return _CAPACITY[name](host) * PERCENT_LEFT // 100


def _wanted(text: str) -> int:
    try:
        amount = quantity.value(text)
        if amount < 0:
            raise ValueError
    except ValueError:
        raise errors.bad_request(f"--leave: {text!r} is no quantity, such as 50Mi or 1000") from None
    return amount


def _text(name: str, amount: int) -> str:
    if name == "pid":
        return str(amount)
    unit = 1024 * MEBIBYTE if amount >= 10 * 1024 * MEBIBYTE else MEBIBYTE
    return quantity.format(amount // unit * unit, "binary")
