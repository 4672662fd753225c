"""The emulated machines of this process, made when first looked at by `orrery ssh` or a pressure test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from services.api import errors
from services.kubelet.configuration import HostUsage
from services.kubelet.node_status import Machine as Hardware
from services.machinery.clock import Clock
from services.node.shell import host as machine
from services.node.shell.console import open_console, start_daemons, stop_daemon
from services.node.shell.host import Host, Journal, Unit
from services.runtime.container import Container
from services.runtime.server import Machines


@dataclass(slots=True, kw_only=True)
class Hosts:
    names: Sequence[str]
    machines: Machines | None  # None: a runtime that is not ours
    units: dict[str, Unit]
    hardware: Hardware
    ip: str
    root: Path
    manifests: Path
    journal: Journal
    reboot: Callable[[], None]
    clock: Clock
    random: Random
    known: dict[str, Host]

    def find(self, name: str) -> Host:
        """ApiError when there is no such node here, or its runtime is not ours."""
        if not name and len(self.names) == 1:
            name = self.names[0]
        host = self.known.get(name)
        if host is not None:
            return host
        if name not in self.names:
            raise errors.failure(404, "NotFound", f'node "{name}" not found')
        if self.machines is None:
            text = (
                "the node uses a container runtime of its own process, and has no emulated machine around it"
            )
            raise errors.failure(400, "BadRequest", text)
        now = self.clock.now()
        host = Host(
            name, self.ip, self.machines(name), self.hardware, self.units, self.journal, self.manifests,
            self.root, self.reboot, now,
        )  # fmt: skip
        self.known[name] = host
        return host

    def console(self, host: Host) -> Container:
        assert self.machines is not None
        return open_console(host, self.machines, self.random)

    def units_changed(self) -> None:
        """What `ps` shows of the daemons follows their units."""
        for host in self.known.values():
            if self.machines is None or not any(host.daemons):
                continue
            for name, unit in self.units.items():
                if not unit.active:
                    stop_daemon(host, name)
            start_daemons(host, self.console(host))

    def usage(self, name: str) -> HostUsage:
        """What the machine uses beside its Pods, for its kubelet. Cheap for a machine nobody looked at."""
        host = self.known.get(name)
        taken = host.taken if host is not None else {}
        inodes = int(self.disk_gibibytes * machine.INODES_PER_GIBIBYTE)
        return HostUsage(
            memory_bytes=machine.SYSTEM_MEMORY_BYTES + taken.get("memory", 0),
            disk_bytes=machine.SYSTEM_DISK_BYTES + taken.get("disk", 0),
            inodes=machine.SYSTEM_INODES,
            inodes_capacity=inodes,
            pids=machine.SYSTEM_PIDS + taken.get("pid", 0) + (host.containers_pids() if host else 0),
            pids_capacity=machine.PIDS_MAX,
        )

    @property
    def disk_gibibytes(self) -> float:
        from services.machinery import quantity

        return quantity.value(self.hardware.storage) / 1024**3
