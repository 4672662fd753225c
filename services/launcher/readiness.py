"""Waits until a starting cluster can be used: its API server answers and its nodes are Ready.

    python -m services.launcher.readiness --apiserver 127.0.0.1:6444 --nodes 3

A process of its own, so that the supervisor, which lives as long as the cluster, stays small.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from services.api.core_v1 import Node
from services.api.errors import ApiError
from services.client.client import Client, connect
from services.process.clock import SystemClock

RETRY_SECONDS = 0.1


def is_ready(node: Node) -> bool:
    return any(
        condition.type == "Ready" and condition.status == "True" for condition in node.status.conditions
    )


async def wait_for_nodes(client: Client, count: int) -> None:
    """Returns when that many nodes are Ready at the same time. Raises ApiError when the server goes away."""
    ready: set[str] = set()
    async for events in client.watch(Node):
        for event in events:
            if event.object is None:
                continue
            name = event.object.metadata.name or ""
            if event.type != "DELETED" and is_ready(event.object):
                ready.add(name)
            else:
                ready.discard(name)
        if len(ready) >= count:
            return


async def wait_until_ready(apiserver: str, nodes: int, timeout_seconds: float) -> None:
    """Raises TimeoutError when it takes longer than that."""
    clock = SystemClock()
    async with clock.timeout(timeout_seconds), connect(apiserver, user_agent="orrery") as client:
        while True:
            try:
                await wait_for_nodes(client, nodes)
            except ApiError:
                await clock.sleep(RETRY_SECONDS)  # it is not up yet
            else:
                return


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.launcher.readiness")
    parser.add_argument("--apiserver", required=True, metavar="HOST:PORT")
    parser.add_argument("--nodes", type=int, required=True, help="how many must be Ready")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS")
    flags = parser.parse_args()
    try:
        asyncio.run(wait_until_ready(flags.apiserver, flags.nodes, flags.timeout))
    except TimeoutError:
        print(f"{flags.nodes} nodes were not Ready within {flags.timeout:g}s", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
