"""Which requests are for streams, and who answers them."""

from __future__ import annotations

import random

from aiohttp import web

from services.apiserver.fronts.kubelets import Kubelets
from services.apiserver.fronts.rest.paths import Path
from services.apiserver.fronts.rest.streams import logs
from services.apiserver.fronts.rest.streams.commands import Commands
from services.apiserver.fronts.rest.streams.forwarding import Forwarding
from services.apiserver.fronts.rest.streams.proxy import Proxy
from services.apiserver.fronts.rest.streams.upgrades import PlainRefusal
from services.apiserver.registry.registry import Registry
from services.machinery.clock import Clock


class Streams:
    def __init__(self, kubelets: Kubelets, registry: Registry, clock: Clock, chance: random.Random) -> None:
        self._kubelets = kubelets
        self._proxy = Proxy(kubelets, registry, chance)
        self._commands, self._forwarding = Commands(kubelets, clock), Forwarding(kubelets, clock)

    async def handle(self, request: web.Request, path: Path) -> web.StreamResponse | None:
        """None for what is no stream. ApiError."""
        try:
            return await self._handle(request, path)
        except PlainRefusal as refusal:
            return web.Response(text=refusal.text, status=refusal.code)

    async def _handle(self, request: web.Request, path: Path) -> web.StreamResponse | None:
        if (path.group, path.version) != ("", "v1") or not path.name:
            return None
        if path.subresource == "proxy" and path.plural in ("pods", "services", "nodes"):
            return await self._proxy.handle(request, path)
        if path.plural != "pods":
            return None
        match path.subresource:
            case "log":
                return await logs.handle(request, self._kubelets, path.namespace, path.name)
            case "exec" | "attach" if request.method in ("GET", "POST"):
                return await self._commands.handle(request, path.namespace, path.name, path.subresource)
            case "portforward" if request.method in ("GET", "POST"):
                return await self._forwarding.handle(request, path.namespace, path.name)
        return None
