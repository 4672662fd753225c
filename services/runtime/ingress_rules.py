"""What an emulated ingress controller asks the network of its node: the seam behind `Network.ingress`.

The program in the Pod listens, speaks HTTP and TLS and carries bytes. Which request goes where, and what the
cluster is told, whoever implements this knows. Everything here runs on the kernel.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Decision(Protocol):
    """`status` answers at once (a page, or a redirect to `location`); else `backend` is asked for `path`."""

    @property
    def status(self) -> int: ...
    @property
    def location(self) -> str: ...
    @property
    def backend(self) -> Any: ...
    @property
    def path(self) -> str: ...


class IngressRules(Protocol):
    def decide(self, host: str, target: str, *, secure: bool) -> Decision: ...

    def endpoints(self, backend: Any) -> list[tuple[str, int]]:
        """In the order in which they are to be tried."""
        ...

    async def context(self) -> ssl.SSLContext:
        """Shows the certificate that fits the name a client asks for."""
        ...

    def close(self) -> None:
        """The program has ended."""
        ...


class IngressService(Protocol):
    async def open(self, flags: Mapping[str, str], tell: Callable[[str], None]) -> IngressRules:
        """Returns once requests can be answered. `tell` hears lines for the program's log."""
        ...
