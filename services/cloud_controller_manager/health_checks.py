"""Whether a node takes traffic: a load balancer asks kube-proxy's health port before it sends anybody there.

Asked only when a connection comes and the last answer is no longer fresh, so an idle cloud asks nobody. A
node that does not answer in time is passed over: one that is cut off or frozen may still accept connections
and then say nothing. A port that refuses says nothing about the node, and the node port itself decides.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from services.machinery.clock import Clock

PROXY_PORT = 10256
FRESH_SECONDS = 1.0  # of a good answer
RETRY_SECONDS = 3.0  # after a bad one; meanwhile only the connection that asks again waits
ANSWER_SECONDS_MAX = 1.0
LINE_BYTES_MAX = 1024
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"


@dataclass
class _Node:
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: float = float("-inf")
    healthy: bool = True


class HealthChecks:
    def __init__(self, clock: Clock, port: int = PROXY_PORT) -> None:
        self._clock, self._port = clock, port
        self._nodes: dict[str, _Node] = {}  # one for each address a load balancer ever led to

    async def healthy(self, ip: str) -> bool:
        """As of a moment ago."""
        node = self._nodes.setdefault(ip, _Node())
        if node.asking.locked() and not node.healthy:
            return False
        async with node.asking:
            fresh = FRESH_SECONDS if node.healthy else RETRY_SECONDS
            if self._clock.monotonic() - node.asked > fresh:
                node.healthy = await self._ask(ip)
                node.asked = self._clock.monotonic()
            return node.healthy

    async def _ask(self, ip: str) -> bool:
        writer = None
        try:
            async with self._clock.timeout(ANSWER_SECONDS_MAX):
                reader, writer = await asyncio.open_connection(ip, self._port, limit=LINE_BYTES_MAX)
                writer.write(REQUEST % ip.encode())
                line = await reader.readline()
        except TimeoutError:
            return False
        except (OSError, ValueError):
            return True  # nobody checks there
        finally:
            if writer is not None:
                writer.close()
        return not line.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5"))
