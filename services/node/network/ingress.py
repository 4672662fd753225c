"""Ingress for this process' nodes: an emulated controller's knowledge lives as long as its program.

Nothing is watched where no controller's Pod runs. Settings are the flags of the real controller.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from random import Random

from services.api.object import ObjectKey
from services.client.client import Client
from services.client.log import Logger
from services.ingress.controller import IngressController, Settings
from services.ingress.routing import Backend, Decision, Pattern
from services.machinery.clock import Clock
from services.runtime.kernel import Kernel
from services.runtime.programs import patterns


class Opened:
    """One program's share."""

    def __init__(self, kernel: Kernel, controller: IngressController, task: asyncio.Task[None]) -> None:
        self._kernel, self._controller, self._task = kernel, controller, task

    def decide(self, host: str, target: str, *, secure: bool) -> Decision:
        return self._controller.decide(host, target, secure=secure)

    def endpoints(self, backend: Backend) -> list[tuple[str, int]]:
        return self._controller.endpoints(backend)

    async def context(self) -> ssl.SSLContext:
        certificates = self._controller.certificates
        if certificates is None:  # the first who comes with TLS waits for the library that makes one
            certificates = await self._kernel.outside(self._controller.make_certificates())
        return certificates.context

    def close(self) -> None:
        self._task.cancel()


class ClusterIngress:
    """`run` must be running."""

    def __init__(self, kernel: Kernel, client: Client, clock: Clock, random: Random, log: Logger) -> None:
        self._kernel, self._client = kernel, client
        self._clock, self._random, self._log = clock, random, log
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    async def open(self, flags: Mapping[str, str], tell: Callable[[str], None]) -> Opened:
        if self._group is None:
            raise OSError("the node's network is not up")
        controller = IngressController(
            self._client, self._clock, self._random, self._log, settings(flags), compiled, tell
        )
        opened = Opened(
            self._kernel, controller, self._group.create_task(controller.run(), name="ingress controller")
        )
        try:
            await self._kernel.outside(controller.ready.wait())
        except BaseException:
            opened.close()
            raise
        return opened


def settings(flags: Mapping[str, str]) -> Settings:
    namespace, _, name = flags.get("publish-service", "").partition("/")
    defaults = Settings()
    return Settings(
        class_name=flags.get("ingress-class") or defaults.class_name,
        controller=flags.get("controller-class") or defaults.controller,
        publish=ObjectKey(namespace, name) if name else None,
        without_class=flags.get("watch-ingress-without-class", "false") != "false",
    )


def compiled(path: str) -> Pattern:
    """As nginx has it in a location: from the start, whatever the case; in time that no path can stretch."""
    return patterns.extended(f"^{path}", ignore_case=True)
