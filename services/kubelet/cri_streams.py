"""The streams of `orrery.runtime.v1`, as the kubelet uses them: a connection and a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from grpc.aio import EOF  # type: ignore[attr-defined]

from services.kubelet.cri import CriError
from services.pb.runtime.v1 import streaming_pb2 as pb


def _error(error: grpc.aio.AioRpcError) -> CriError:
    code = "".join(word.capitalize() for word in error.code().name.split("_"))
    return CriError(code, error.details() or "")


class GrpcDuplex:
    """A connection to a port of a Pod; made once the first, empty message has come."""

    def __init__(self, call: Any) -> None:
        self._call = call

    @classmethod
    async def open(cls, call: Any, first: pb.ConnectRequest) -> GrpcDuplex:
        try:
            await call.write(first)
            if await call.read() is EOF:
                raise CriError(
                    "".join(w.capitalize() for w in (await call.code()).name.split("_")),
                    await call.details() or "the connection was closed",
                )
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error
        return cls(call)

    async def send(self, data: bytes) -> None:
        await self._call.write(pb.ConnectRequest(data=data))

    async def end(self) -> None:
        await self._call.write(pb.ConnectRequest(end=True))

    async def receive(self) -> AsyncIterator[bytes]:
        try:
            # `open` has read already, and a call that is read is not iterated over.
            while (message := await self._call.read()) is not EOF:
                if message.data:
                    yield message.data
                if message.end:
                    return
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error
        finally:
            self.close()

    def close(self) -> None:
        self._call.cancel()


class GrpcTerminal:
    """A command or an attachment: what it prints, and in the end how it ended."""

    def __init__(self, call: Any) -> None:
        self._call = call

    @classmethod
    async def open(cls, call: Any, token: str) -> GrpcTerminal:
        try:
            await call.write(pb.StreamRequest(token=token))
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error
        return cls(call)

    async def stdin(self, data: bytes) -> None:
        await self._call.write(pb.StreamRequest(stdin=data))

    async def close_stdin(self) -> None:
        await self._call.write(pb.StreamRequest(stdin_closed=True))

    async def resize(self, columns: int, rows: int) -> None:
        await self._call.write(pb.StreamRequest(resize=pb.WindowSize(columns=columns, rows=rows)))

    async def output(self) -> AsyncIterator[tuple[str, bytes, int]]:
        try:
            async for message in self._call:
                match message.WhichOneof("message"):
                    case "stdout":
                        yield "stdout", message.stdout, 0
                    case "stderr":
                        yield "stderr", message.stderr, 0
                    case "exit_code":
                        yield "exit", b"", message.exit_code
                        return
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error
        finally:
            self.close()

    def close(self) -> None:
        self._call.cancel()
