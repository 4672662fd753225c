"""The services of a machine as systemd would run them: a kubelet that may stop, a runtime that lives on.

The kubelet of this process is a `Fleet`; stopping the unit cancels it and leaves the runtime, and so every
container, alone. A new one takes over what runs, as after `systemctl restart kubelet`. An error that
ends the fleet ends the process, as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from services.api import errors
from services.kubelet.fleet import Fleet
from services.machinery.clock import Clock


class KubeletUnit:
    description = "kubelet: The Kubernetes Node Agent"

    def __init__(self, make: Callable[[], Fleet], clock: Clock, *, switchable: bool) -> None:
        self._make, self._clock, self._switchable = make, clock, switchable
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._running: asyncio.Task[None] | None = None
        self._fleet: Fleet | None = None
        self.since: datetime = clock.now()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def active(self) -> bool:
        return self._wanted.is_set()

    def fleet(self) -> Fleet:
        """ApiError while the unit is stopped: nobody answers at the kubelet's port then."""
        if self._fleet is None:
            raise errors.failure(503, "ServiceUnavailable", "the kubelet of this node is stopped")
        return self._fleet

    async def run(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            self._fleet = self._make()
            self._running = asyncio.ensure_future(self._fleet.run(on_ready))
            try:
                await asyncio.wait([self._running])
            finally:
                self._running.cancel()
                await asyncio.gather(self._running, return_exceptions=True)
                self._fleet = None
            if not self._running.cancelled():
                self._running.result()  # It broke: so does the process.

    def start(self) -> None:
        self._require_switch()
        if not self._wanted.is_set():
            self._wanted.set()
            self._changed()

    def stop(self) -> None:
        self._require_switch()
        if self._wanted.is_set():
            self._wanted.clear()
            if self._running is not None:
                self._running.cancel()
            self._changed()

    def restart(self) -> None:
        self._require_switch()
        self._wanted.set()
        if self._running is not None:
            self._running.cancel()
        self._changed()

    def _changed(self) -> None:
        self.since = self._clock.now()
        self.on_change()

    def _require_switch(self) -> None:
        if not self._switchable:
            raise PermissionError("hollow nodes share one kubelet process, which none of them can switch")


class ProxyUnit:
    """kube-proxy is a part of the node's process, and ends with it."""

    description = "kube-proxy: Kubernetes network proxy"
    active = True

    def __init__(self, clock: Clock) -> None:
        self.since: datetime = clock.now()

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        raise PermissionError("kube-proxy ends with its machine: `orrery node stop` does that")

    def restart(self) -> None:
        raise PermissionError("kube-proxy ends with its machine: `orrery node reboot` does that")


class RuntimeUnit:
    """It lives as long as the machine does: with it would go all containers."""

    description = "containerd container runtime"
    active = True

    def __init__(self, clock: Clock) -> None:
        self.since: datetime = clock.now()

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        raise PermissionError("the emulated runtime ends with its machine: `orrery node stop` does that")

    def restart(self) -> None:
        raise PermissionError("the emulated runtime ends with its machine: `orrery node reboot` does that")
