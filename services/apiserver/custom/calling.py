"""The seam through which what is a Service of the cluster is reached: webhooks, and other API servers."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import aiohttp

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Dial(Protocol):
    """Connections to a ready Pod of a Service. ApiError where there is none."""

    def __call__(
        self, namespace: str, name: str, port: int, tls: ssl.SSLContext
    ) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
        """A session, for one request."""
        ...

    def stream(
        self, namespace: str, name: str, port: int, tls: ssl.SSLContext
    ) -> AbstractAsyncContextManager[Stream]:
        """The bytes themselves. OSError where the other side is not who it should be."""
        ...
