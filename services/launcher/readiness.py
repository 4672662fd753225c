"""Waits until a starting cluster can be used: its controllers are at work and its nodes are Ready.

    python -m services.launcher.readiness --apiserver 127.0.0.1:6444 --nodes 3

A cluster that is started again has nodes that were Ready when it stopped, and the store remembers
that. So a node counts once its kubelet has renewed the node's Lease since this wait began.
A process of its own, so that the supervisor, which lives as long as the cluster, stays small.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from services.api.coordination_v1 import Lease
from services.api.core_v1 import Node, ServiceAccount
from services.api.errors import ApiError
from services.client.client import Client, connect
from services.client.credentials import ADMIN, Credentials
from services.machinery.clock import Clock, parse_time
from services.process.clock import SystemClock

RETRY_SECONDS = 0.1
LEASES = "kube-node-lease"


def is_ready(node: Node) -> bool:
    return any(
        condition.type == "Ready" and condition.status == "True" for condition in node.status.conditions
    )


@dataclass
class Wait:
    """What has been seen of the nodes so far. `names`: only these count; empty: all do."""

    since: datetime
    count: int
    names: Collection[str] = ()
    ready: set[str] = field(default_factory=set)
    alive: set[str] = field(default_factory=set)

    @property
    def over(self) -> bool:
        usable = self.ready & self.alive
        return len(usable & {*self.names} if self.names else usable) >= self.count

    def see_lease(self, lease: Lease) -> None:
        renewed = lease.spec.renew_time
        if renewed and parse_time(renewed) >= self.since:
            self.alive.add(lease.metadata.name or "")

    def see_node(self, node: Node, *, gone: bool) -> None:
        name = node.metadata.name or ""
        self.ready.discard(name)
        if not gone and is_ready(node):
            self.ready.add(name)


async def wait_for_nodes(client: Client, wait: Wait) -> None:
    """Returns when enough nodes are Ready at the same time. Raises ApiError when the server goes away."""

    async def nodes() -> None:
        async for events in client.watch(Node):
            for event in events:
                if event.object is not None:
                    wait.see_node(event.object, gone=event.type == "DELETED")
            if wait.over:
                return

    async def leases() -> None:
        async for events in client.watch(Lease, LEASES):
            for event in events:
                if event.object is not None and event.type != "DELETED":
                    wait.see_lease(event.object)
            if wait.over:
                return

    watches = [asyncio.ensure_future(nodes()), asyncio.ensure_future(leases())]
    try:
        done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
        for watch in done:
            watch.result()
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)


async def wait_for_controllers(client: Client, clock: Clock) -> None:
    """Returns when there is what a Pod needs and a controller makes: also where there are no nodes."""
    while True:
        try:
            await client.get(ServiceAccount, "default", "default")
        except ApiError:
            await clock.sleep(RETRY_SECONDS)  # the server is not up yet, or the controllers are not
        else:
            return


async def wait_until_ready(
    apiserver: str, wait: Wait, timeout_seconds: float, credentials: Credentials | None = None
) -> None:
    """Raises TimeoutError when it takes longer than that."""
    clock = SystemClock()
    connecting = connect(apiserver, user_agent="orrery", credentials=credentials)
    async with clock.timeout(timeout_seconds), connecting as client:
        await wait_for_controllers(client, clock)
        while not wait.over:
            try:
                await wait_for_nodes(client, wait)
            except ApiError:
                wait.ready.clear()
            if not wait.over:
                await clock.sleep(RETRY_SECONDS)  # the server is not up yet


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.launcher.readiness")
    parser.add_argument("--apiserver", required=True, metavar="HOST:PORT")
    parser.add_argument("--nodes", type=int, required=True, help="how many must be Ready")
    parser.add_argument("--since", type=parse_time, default=None, metavar="TIME", help="default: now")
    parser.add_argument("--cert-dir", type=Path, default=None, help="folder of the cluster's keys")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS")
    flags = parser.parse_args()
    credentials = Credentials.of(flags.cert_dir, ADMIN) if flags.cert_dir else None
    wait = Wait(flags.since or SystemClock().now(), flags.nodes)
    try:
        asyncio.run(wait_until_ready(flags.apiserver, wait, flags.timeout, credentials))
    except TimeoutError:
        print(f"{flags.nodes} nodes were not Ready within {flags.timeout:g}s", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
