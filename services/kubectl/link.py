"""The transport as `ok` uses it: warnings are shown, and a server that nobody reaches is said to be so.

Everything else goes through unchanged.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager

from services.client.transport import (
    PLAIN,
    Answer,
    DeleteAnswer,
    ListAnswer,
    ListOptions,
    PatchType,
    RawEvent,
    Target,
    Transport,
    Unavailable,
    View,
    WatchOptions,
    WriteOptions,
)
from services.kubectl.errors import Refused, Verbatim

UNTRUSTED = (
    "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown"
    " authority"
)


class Link:
    def __init__(
        self, transport: Transport, address: str, warn: Callable[[str], None], *, cluster: bool = True
    ) -> None:
        """Without a `cluster` nobody is asked: whoever listens at that address is another one's."""
        self._transport = transport
        self._address, self._cluster = address, cluster
        self._warn = warn
        self._warned: set[str] = set()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        if not self._cluster:
            raise Refused(self._address)
        try:
            yield
        except Unavailable as error:
            if "CERTIFICATE_VERIFY_FAILED" in error.message:
                raise Verbatim(UNTRUSTED) from error
            raise Refused(self._address) from error

    def _show(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                self._warn(warning)

    async def get(self, target: Target, *, resource_version: str = "", view: View = PLAIN) -> Answer:
        with self._reaching():
            answer = await self._transport.get(target, resource_version=resource_version, view=view)
        self._show(answer.warnings)
        return answer

    async def list(self, target: Target, options: ListOptions) -> ListAnswer:
        with self._reaching():
            answer = await self._transport.list(target, options)
        self._show(answer.warnings)
        return answer

    async def create(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        with self._reaching():
            return await self._transport.create(target, body, options)

    async def update(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        with self._reaching():
            return await self._transport.update(target, body, options)

    async def patch(
        self, target: Target, body: bytes, patch_type: PatchType, options: WriteOptions
    ) -> Answer:
        with self._reaching():
            return await self._transport.patch(target, body, patch_type, options)

    async def delete(self, target: Target, delete_options: bytes, *, dry_run: bool = False) -> DeleteAnswer:
        with self._reaching():
            return await self._transport.delete(target, delete_options, dry_run=dry_run)

    async def delete_collection(
        self,
        target: Target,
        delete_options: bytes,
        *,
        labels: str = "",
        fields: str = "",
        dry_run: bool = False,
    ) -> ListAnswer:
        with self._reaching():
            return await self._transport.delete_collection(
                target, delete_options, labels=labels, fields=fields, dry_run=dry_run
            )

    async def watch(
        self, target: Target, options: WatchOptions
    ) -> AsyncGenerator[builtins.list[RawEvent], None]:
        with self._reaching():
            async with aclosing(self._transport.watch(target, options)) as stream:
                async for batch in stream:
                    yield batch

    async def version(self) -> bytes:
        with self._reaching():
            return await self._transport.version()

    async def resources(self) -> bytes:
        with self._reaching():
            return await self._transport.resources()

    async def openapi(self, path: str) -> bytes:
        with self._reaching():
            return await self._transport.openapi(path)
