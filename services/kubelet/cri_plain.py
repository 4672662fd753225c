"""`Cri` for any runtime but our own, containerd above all: no streams beside the CRI, a real machine.

What `orrery.runtime.v1` does for emulated machines a kubelet does here as upstream's: it probes
and dials over the machine's own network, and reads log files where the runtime writes them. Commands
and forwarded ports go to the runtime's streaming server as WebSockets (`cri_websocket`). Events are not
asked for: a list each second finds what changed, and only Pods that did are asked about.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from msgspec.structs import replace

from services.kubelet.cri import (
    ContainerRecord,
    CriError,
    Duplex,
    HttpAnswer,
    PodRecord,
    Removed,
    SandboxConfig,
    SandboxUsage,
    Terminal,
)
from services.kubelet.cri_grpc import GrpcCri
from services.kubelet.cri_messages import container_record
from services.kubelet.cri_websocket import SocketDuplex, SocketTerminal
from services.kubelet.log_rotation import rotated_files
from services.machinery.clock import Clock
from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1 import streaming_pb2 as stream_pb
from services.pb.runtime.v1 import streaming_pb2_grpc as stream_rpc
from services.process.log_files import LogCursor

BODY_BYTES_MAX = 10 * 1024  # of a probe's answer
LOG_LOOK_SECONDS = 0.25
CONNECT_SECONDS_MAX = 10.0

_Seen = tuple[Any, tuple[tuple[str, int], ...]]


async def speaks_streams(channel: grpc.aio.Channel) -> bool:
    """Whether the runtime is one of ours. Waits until there is a runtime at all."""
    streaming: Any = stream_rpc.StreamingServiceStub(channel)
    try:
        await streaming.Http(stream_pb.HttpRequest(), wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        return error.code() is not grpc.StatusCode.UNIMPLEMENTED
    return True


class PlainCri(GrpcCri):
    """The runtime of this real machine. Logs of Pods lie below `log_root`."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, log_root: Path) -> None:
        super().__init__(channel)
        self._clock, self._log_root = clock, log_root
        self._known: dict[str, tuple[_Seen, PodRecord]] = {}  # by sandbox: when it was asked about

    # ---- Sandboxes ---------------------------------------------------------------------------

    async def run_sandbox(self, config: SandboxConfig) -> str:
        return await super().run_sandbox(self._placed(config))

    async def create_container(self, sandbox_id: str, config: Any, sandbox: SandboxConfig) -> str:
        return await super().create_container(sandbox_id, config, self._placed(sandbox))

    def _placed(self, config: SandboxConfig) -> SandboxConfig:
        return replace(config, log_directory=str(self._log_root / Path(config.log_directory).name))

    async def pod(self, sandbox_id: str) -> PodRecord:
        record = await super().pod(sandbox_id)
        if record.containers:
            return record
        # containerd tells of containers here only from 2.0 on.
        found = await self._list_containers(sandbox_id)
        containers = [await self._container(item.id) for item in found]
        return replace(record, containers=tuple(one for one in containers if one is not None))

    async def list_pods(self) -> list[PodRecord]:
        sandboxes = (await self._call(self._runtime.ListPodSandbox, pb.ListPodSandboxRequest())).items
        states: dict[str, list[tuple[str, int]]] = {item.id: [] for item in sandboxes}
        for container in await self._list_containers():
            states.setdefault(container.pod_sandbox_id, []).append((container.id, container.state))
        known, self._known = self._known, {}
        for item in sandboxes:
            seen: _Seen = (item.state, tuple(sorted(states[item.id])))
            kept = known.get(item.id)
            record = kept[1] if kept is not None and kept[0] == seen else await self._pod_or_none(item.id)
            if record is not None:
                self._known[item.id] = (seen, record)
        return [record for _, record in self._known.values()]

    async def _pod_or_none(self, sandbox_id: str) -> PodRecord | None:
        try:
            return await self.pod(sandbox_id)
        except CriError as error:
            if error.code != "NotFound":  # removed since the list was made
                raise
            return None

    async def _list_containers(self, sandbox_id: str = "") -> Sequence[Any]:
        request = pb.ListContainersRequest(filter=pb.ContainerFilter(pod_sandbox_id=sandbox_id))
        answer = await self._call(self._runtime.ListContainers, request)
        return list(answer.containers)

    async def _container(self, container_id: str) -> ContainerRecord | None:
        request = pb.ContainerStatusRequest(container_id=container_id)
        try:
            answer = await self._call(self._runtime.ContainerStatus, request)
        except CriError as error:
            if error.code != "NotFound":
                raise
            return None
        return container_record(answer.status)

    async def events(self) -> AsyncIterator[PodRecord | Removed]:
        raise CriError("Unimplemented", "this runtime is asked for lists")
        yield Removed("")  # makes it an iterator

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        with _gone_is_fine():
            await super().stop_container(container_id, grace_seconds)

    async def remove_container(self, container_id: str) -> None:
        """With a container goes its log: a runtime leaves that to its kubelet."""
        record = await self._container(container_id)
        await super().remove_container(container_id)
        if record is not None and record.log_path:
            path = Path(record.log_path)
            for file in (path, *rotated_files(path)):
                with suppress(OSError):
                    os.unlink(file)
            with suppress(OSError):
                os.rmdir(path.parent)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        with _gone_is_fine():
            await super().stop_sandbox(sandbox_id)

    # ---- The machine's network ---------------------------------------------------------------

    async def http(
        self,
        ip: str,
        port: int,
        path: str,
        *,
        scheme: str,
        headers: Sequence[tuple[str, str]],
        timeout_seconds: float,
    ) -> HttpAnswer:
        import aiohttp

        url = f"{scheme.lower() or 'http'}://{_host(ip)}:{port}/{path.removeprefix('/')}"
        late = f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        insecure = ssl.create_default_context()
        insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE  # a probe trusts its Pod
        try:
            async with (
                self._clock.timeout(timeout_seconds or None),
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.get(url, headers=list(headers), allow_redirects=False, ssl=insecure) as answer,
            ):
                body = await answer.content.read(BODY_BYTES_MAX)
                return HttpAnswer(
                    status=answer.status, body=body, location=answer.headers.get("Location", "")
                )
        except TimeoutError as error:
            raise CriError("DeadlineExceeded", late) from error
        except aiohttp.ClientConnectorError as error:
            raise _refused(ip, port, error.os_error) from error
        except aiohttp.ClientError as error:
            raise CriError("Unavailable", f'Get "{url}": {error}') from error

    async def dial(self, ip: str, port: int, timeout_seconds: float) -> None:
        (await self._connect(ip, port, timeout_seconds)).close()

    async def connect(self, ip: str, port: int) -> PlainDuplex:
        return await self._connect(ip, port, CONNECT_SECONDS_MAX)

    async def _connect(self, ip: str, port: int, seconds: float) -> PlainDuplex:
        try:
            async with self._clock.timeout(seconds or None):
                reader, writer = await asyncio.open_connection(ip, port)
        except TimeoutError as error:
            raise CriError("DeadlineExceeded", f"dial tcp {_host(ip)}:{port}: i/o timeout") from error
        except OSError as error:
            raise _refused(ip, port, error) from error
        return PlainDuplex(reader, writer)

    # ---- The streaming server ----------------------------------------------------------------

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool, stderr: bool
    ) -> Terminal:
        request = pb.ExecRequest(
            container_id=container_id, cmd=command, stdin=stdin, tty=tty, stdout=True, stderr=stderr
        )
        return await SocketTerminal.open((await self._call(self._runtime.Exec, request)).url)

    async def attach(self, container_id: str, *, stdin: bool, tty: bool, stderr: bool) -> Terminal:
        request = pb.AttachRequest(
            container_id=container_id, stdin=stdin, tty=tty, stdout=True, stderr=stderr and not tty
        )
        return await SocketTerminal.open((await self._call(self._runtime.Attach, request)).url)

    async def forward(self, sandbox_id: str, port: int) -> Duplex:
        request = pb.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[port])
        return await SocketDuplex.open((await self._call(self._runtime.PortForward, request)).url, port)

    # ---- Usage -------------------------------------------------------------------------------

    async def sandbox_usage(self) -> list[SandboxUsage]:
        try:
            return await super().sandbox_usage()
        except CriError as error:
            if error.code not in ("Unimplemented", "Unknown"):  # so containerd 1.6 says that it cannot
                raise
            return []

    # ---- Logs --------------------------------------------------------------------------------

    async def read_log(
        self, container_id: str, *, follow: bool, tail_lines: int | None = None
    ) -> AsyncIterator[bytes]:
        request = pb.ContainerStatusRequest(container_id=container_id)
        status = (await self._call(self._runtime.ContainerStatus, request)).status
        with LogCursor(Path(status.log_path), tail_lines) as cursor:
            while True:
                over = status.state not in (pb.CONTAINER_CREATED, pb.CONTAINER_RUNNING)
                while data := cursor.read():
                    yield data
                if not follow or over:
                    return
                await self._clock.sleep(LOG_LOOK_SECONDS)
                record = await self._container(container_id)
                if record is None:
                    return
                status.state = record.state.value


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    """containerd before 1.7 refuses to stop what is gone."""
    try:
        yield
    except CriError as error:
        if error.code != "NotFound":
            raise


class PlainDuplex:
    """A TCP connection of this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise CriError("Unavailable", str(error)) from error

    async def end(self) -> None:
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def receive(self) -> AsyncIterator[bytes]:
        try:
            while data := await self._reader.read(BODY_BYTES_MAX):
                yield data
        except OSError as error:
            raise CriError("Unavailable", str(error)) from error
        finally:
            self.close()

    def close(self) -> None:
        self._writer.close()


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _refused(ip: str, port: int, error: OSError) -> CriError:
    # asyncio has words of its own in place of the system's.
    words = (os.strerror(error.errno) if error.errno else str(error)).lower()
    return CriError("Unavailable", f"dial tcp {_host(ip)}:{port}: connect: {words}")
