"""The one way out of the emulated network: from Pods to the API server, which runs on real machines.

Only the endpoints of the Service `default/kubernetes` lead out: what a Pod can reach is what the cluster says
of itself. Where the API server is known only by the emulated address of its control plane, it is dialled at
the one where this node itself found it. Programs that open connections speak TLS themselves; for those that
only ask for pages (curl, wget), whose requests are not bytes before they get here, it is spoken here, and
nobody's certificate is checked.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING

from services.api.discovery_v1 import EndpointSlice
from services.client.informer import InformerFactory
from services.kube_proxy.table import SERVICE_NAME
from services.machinery.control_plane import CONTROL_PLANE_IP
from services.node.network.bridge import Bridge
from services.runtime.filesystem import fault
from services.runtime.kernel import Kernel
from services.runtime.network import Connection
from services.runtime.streams import Pipe

if TYPE_CHECKING:
    import ssl

NAMESPACE, NAME = "default", "kubernetes"
CONNECT_SECONDS_MAX = 10.0
CONNECTIONS_MAX = 5_000


class ApiGateway:
    """`host` is where this process found the API server."""

    def __init__(self, kernel: Kernel, informers: InformerFactory, host: str) -> None:
        self._kernel, self._host = kernel, host
        self._slices: dict[str, frozenset[tuple[str, int]]] = {}
        self._open: set[Bridge] = set()
        informers.informer(EndpointSlice).add_handler(
            lambda slice_, _: self._see(slice_),
            lambda _, slice_, __: self._see(slice_),
            lambda slice_, _: self._forget(slice_),
        )

    def _see(self, slice_: EndpointSlice) -> None:
        meta = slice_.metadata
        if meta.namespace == NAMESPACE and meta.labels.get(SERVICE_NAME) == NAME:
            ports = [port.port for port in slice_.ports if port.port]
            self._slices[slice_.key.name] = frozenset(
                (ip, port) for endpoint in slice_.endpoints for ip in endpoint.addresses for port in ports
            )

    def _forget(self, slice_: EndpointSlice) -> None:
        if slice_.metadata.namespace == NAMESPACE:
            self._slices.pop(slice_.key.name, None)

    def dial(self, ip: str, port: int) -> Callable[[bool], Awaitable[Connection]] | None:
        """How to, on the event loop; None for what is not an endpoint of the API."""
        if not any((ip, port) in known for known in self._slices.values()):
            return None
        host = self._host if ip == CONTROL_PLANE_IP and self._host else ip
        return lambda tls: self._dial(host, ip, port, tls)

    async def _dial(self, host: str, ip: str, port: int, tls: bool) -> Connection:
        if len(self._open) >= CONNECTIONS_MAX:
            raise fault(errno.ENFILE)
        there, back = Pipe(), Pipe()
        far = Connection(f"{ip}:{port}", there, back)

        async def lead(_: str) -> Connection:
            return far

        bridge = Bridge(self._kernel, lead, self._open.discard)
        self._open.add(bridge)
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await asyncio.get_running_loop().create_connection(
                    lambda: bridge, host, port, ssl=_unchecked() if tls else None
                )
        except TimeoutError:
            self._open.discard(bridge)
            raise fault(errno.ETIMEDOUT) from None
        except OSError as error:
            self._open.discard(bridge)
            raise fault(error.errno or errno.ECONNREFUSED) from None
        return Connection(f"{ip}:{port}", back, there)


@cache
def _unchecked() -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
