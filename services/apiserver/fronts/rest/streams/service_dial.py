"""HTTPS from the API server itself to a Service: to webhooks and other API servers inside of the cluster.

Goes where the `proxy` subresource goes, through the kubelet of a ready Pod, but checks the certificate.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from services.apiserver.custom.calling import Stream
from services.apiserver.fronts.kubelets import Call, Kubelets
from services.apiserver.fronts.rest.streams import pod_http
from services.apiserver.fronts.rest.streams.proxy import Proxy
from services.apiserver.fronts.rest.streams.proxy_targets import Named
from services.apiserver.registry.registry import Registry


class ServiceDial:
    def __init__(self, kubelets: Kubelets, registry: Registry, chance: random.Random) -> None:
        self._proxy = Proxy(kubelets, registry, chance)

    @asynccontextmanager
    async def __call__(
        self, namespace: str, name: str, port: int, tls: ssl.SSLContext
    ) -> AsyncIterator[aiohttp.ClientSession]:
        """For one request. ApiError (404, 503) where nobody is behind it."""
        async with (
            self._reached(namespace, name, port) as call,
            pod_http.client(call, tls, f"{name}.{namespace}.svc") as session,
        ):
            yield session

    @asynccontextmanager
    async def stream(
        self, namespace: str, name: str, port: int, tls: ssl.SSLContext
    ) -> AsyncIterator[Stream]:
        """The bytes themselves. ApiError (404, 503), OSError."""
        async with (
            self._reached(namespace, name, port) as call,
            pod_http.stream(call, tls, f"{name}.{namespace}.svc") as ends,
        ):
            yield ends

    @asynccontextmanager
    async def _reached(self, namespace: str, name: str, port: int) -> AsyncIterator[Call]:
        backend = await self._proxy.of_service(namespace, Named("https", name, str(port)))
        call = await self._proxy.reached(namespace, backend)
        try:
            yield call
        finally:
            call.cancel()
