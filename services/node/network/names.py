"""Names inside the cluster: what an emulated CoreDNS answers from, and how a container asks.

A container's lookup goes the way a real one's does: along the search domains of its resolv.conf, as datagrams
to its name server's address, which kube-proxy leads to a CoreDNS Pod, on this node or another. Where none is
ready names are not known. The watches that CoreDNS answers from begin with its first query on this node, and
the DNS library is loaded beside the event loop when it is first needed.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from importlib import import_module
from random import Random
from types import ModuleType
from typing import TYPE_CHECKING, Any

from services.client.client import Client
from services.client.informer import InformerFactory
from services.client.log import Logger
from services.dns import corefile
from services.dns.corefile import BadCorefile
from services.dns.watched import WatchedCluster
from services.dns.zone import Settings, Zone
from services.machinery.clock import Clock
from services.runtime.kernel import Kernel
from services.runtime.model import Dns
from services.runtime.network import Namespace, Network

if TYPE_CHECKING:
    from services.dns.answering import Responder

PORT = 53
NDOTS = 1
TRIES = 2


class Library:
    """The modules that know DNS messages, loaded once and without holding up the event loop."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._loaded: dict[str, ModuleType] = {}

    async def module(self, name: str) -> Any:
        """For programs: runs on the kernel."""
        if name not in self._loaded:
            loading = asyncio.to_thread(import_module, name)
            self._loaded[name] = await self._kernel.outside(loading)
        return self._loaded[name]


class ClusterNames:
    """The name service of this process. `run` must be running for it to answer."""

    def __init__(
        self, kernel: Kernel, library: Library, client: Client, clock: Clock, random: Random, log: Logger
    ) -> None:
        self._kernel, self._library, self._random, self._log = kernel, library, random, log
        self._make = InformerFactory(client, clock, random, log)
        self._needed, self._ready = asyncio.Event(), asyncio.Event()
        self._cluster: WatchedCluster | None = None
        self._responders: dict[str, Responder] = {}

    async def run(self) -> None:
        """Until cancelled."""
        await self._needed.wait()
        cluster = WatchedCluster(self._make)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._make.run())
            await cluster.wait_synced()
            self._cluster = cluster
            self._ready.set()

    def fault(self, text: str) -> str:
        try:
            _settings(text)
        except BadCorefile as error:
            return str(error)
        self._needed.set()  # a CoreDNS is starting: it will be asked
        return ""

    async def answer(self, query: bytes, client: str, text: str, *, tcp: bool) -> bytes:
        self._needed.set()
        if not self._ready.is_set():
            await self._kernel.outside(self._ready.wait())
        responder = self._responders.get(text)
        if responder is None:
            responder = await self._responder(text)
        return responder.answer(query, client, tcp=tcp)

    async def _responder(self, text: str) -> Responder:
        answering = await self._library.module("services.dns.answering")
        assert self._cluster is not None
        settings = _settings(text)
        self._responders.clear()  # one Corefile is in force, or two for a moment
        made: Responder = answering.Responder(Zone(self._cluster, lambda: settings), self._random.shuffle)
        self._responders[text] = made
        return made


@lru_cache(maxsize=8)
def _settings(text: str) -> Settings:
    return corefile.parse(text)


class Resolver:
    """A container's side: what the C library does with a name."""

    def __init__(self, network: Network, library: Library) -> None:
        self._network, self._library = network, library

    async def resolve(self, source: Namespace, name: str) -> list[str]:
        """IPv4 addresses; none where the name is not known or nobody answers. Runs on the kernel."""
        dns = source.dns
        if dns is None or not dns.servers or not name or len(name) > 253:
            return []
        client = await self._library.module("services.dns.asking")
        for candidate in candidates(name, dns):
            try:
                found = await self._ask(source, dns, client, candidate)
            except OSError:
                return []
            if found is not None:
                return found
        return []

    async def _ask(self, source: Namespace, dns: Dns, client: Any, name: str) -> list[str] | None:
        """None where the name does not exist, so that the next one is worth a try. OSError: no server."""
        query = client.query(name)
        if query is None:
            return None
        failure: OSError | None = None
        for server in dns.servers:
            for _ in range(TRIES):
                try:
                    answer = await self._network.exchange(source, server, PORT, query)
                except OSError as error:
                    failure = error
                    break
                if answer:
                    addresses: list[str] | None = client.addresses(answer)
                    return addresses
        raise failure or OSError("no answer")


def candidates(name: str, dns: Dns) -> list[str]:
    """The absolute names to try, in order: few dots, and the search domains come first."""
    if name.endswith("."):
        return [name]
    searched = [f"{name}.{domain.rstrip('.')}." for domain in dns.searches]
    ndots = next((int(o[6:]) for o in dns.options if o.startswith("ndots:") and o[6:].isdigit()), NDOTS)
    return [f"{name}.", *searched] if name.count(".") >= ndots else [*searched, f"{name}."]
