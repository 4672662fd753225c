"""The seam through which what is a Service of the cluster is reached: webhooks, and other API servers."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
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


class NoCertificates(OSError):
    """A CA bundle that holds nothing to trust. Whoever may register something may have written anything."""


@lru_cache(maxsize=64)
def trusting(bundle: str, *, anybody: bool = False) -> ssl.SSLContext:
    """Whom to trust: whom the CA signed that was registered, else whom the machine trusts. NoCertificates.

    Kept: what a machine trusts takes long to read, and each call to a Service is a new connection. `anybody`:
    no certificate is looked at.
    """
    try:
        found = b64decode(bundle).decode("ascii")
        context = ssl.create_default_context(cadata=found if found.strip() else None)
    except (ValueError, ssl.SSLError) as error:
        why = "unable to load root certificates: unable to parse bytes as PEM block"
        raise NoCertificates(why) from error
    if anybody:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
