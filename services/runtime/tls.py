"""A server's TLS over an emulated connection: through OpenSSL's memory, no sockets. Runs on the kernel."""

from __future__ import annotations

import ssl
from contextlib import suppress

from services.runtime.network import Connection

READ_BYTES = 64 * 1024
RECORD_BYTES = 16 * 1024


class TlsStream:
    """`handshake` comes first. What breaks TLS ends the stream: nothing more to read, nobody to write to."""

    def __init__(self, connection: Connection, context: ssl.SSLContext, received: bytes = b"") -> None:
        self._connection = connection
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._in.write(received)
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._flushing = False

    async def handshake(self) -> bool:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._receive():
                    return False
            except ssl.SSLError:
                await self._flush()  # the alert that says why
                return False
            else:
                await self._flush()
                return True

    async def read(self, size: int) -> bytes:
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except ssl.SSLError:
                return b""

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._tls.write(view[:RECORD_BYTES]) :]
            except ssl.SSLError as error:
                raise BrokenPipeError from error
            if self._out.pending >= READ_BYTES or not view:
                await self._flush()

    async def close(self) -> None:
        with suppress(ssl.SSLError):  # the other side has not said goodbye yet, and need not
            self._tls.unwrap()
        await self._flush()

    async def _receive(self) -> bool:
        data = await self._connection.incoming.read(READ_BYTES)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()
        return bool(data)

    async def _flush(self) -> None:
        """Records leave in the order in which they were made, whoever else is at it."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while data := self._out.read():
                await self._connection.outgoing.write(data)
        finally:
            self._flushing = False
