"""The seam through which a webhook that is a Service of the cluster is reached."""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import aiohttp


class Dial(Protocol):
    """A session over one connection to a ready Pod of a Service. ApiError where there is none."""

    def __call__(
        self, namespace: str, name: str, port: int, tls: ssl.SSLContext
    ) -> AbstractAsyncContextManager[aiohttp.ClientSession]: ...
