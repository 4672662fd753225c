"""An emulated machine as its own tools see it: containers, daemons, hardware, journal.

What `orrery ssh` shows is read from here at the moment of asking, and nothing of it is a copy. Process
numbers are given out when somebody first looks, and stay. The machine's own consumption (daemons, and
what `orrery node pressure` takes) is what the kubelet reads as the usage beside its Pods.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import structlog

from services.kubelet.node_status import Machine as Hardware
from services.machinery import quantity
from services.runtime.machine import Machine
from services.runtime.processes import Process

MEBIBYTE = 1024 * 1024
PIDS_MAX = 32768
INODES_PER_GIBIBYTE = 65536
JOURNAL_LINES_MAX = 2000
FIRST_CONTAINER_PID = 2001  # What starts in the console gets the numbers below.

# What the daemons of a machine hold, as far as anybody looks.
SYSTEM_MEMORY_BYTES = 420 * MEBIBYTE
SYSTEM_DISK_BYTES = 2 * 1024 * MEBIBYTE
SYSTEM_INODES = 90_000
SYSTEM_PIDS = 110


class Unit(Protocol):
    """A service of systemd's, as `systemctl` sees it."""

    description: str
    since: datetime

    @property
    def active(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def restart(self) -> None: ...


class Journal:
    """The last lines that the process's components logged, for `journalctl`. A processor of structlog's."""

    def __init__(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=JOURNAL_LINES_MAX)

    def __call__(self, _: Any, __: str, event: Any) -> Any:
        self.entries.append(dict(event))
        return event


def follow_logs(journal: Journal) -> None:
    """Before the first line is written: loggers keep the processors that they find then."""
    processors = structlog.get_config()["processors"]
    structlog.configure(processors=[*processors[:-1], journal, processors[-1]])


@dataclass(slots=True)
class Host:
    """One emulated machine."""

    name: str
    ip: str
    runtime: Machine
    hardware: Hardware
    units: dict[str, Unit]
    journal: Journal
    manifests: Path
    root: Path
    reboot: Callable[[], None]
    booted_at: datetime
    taken: dict[str, int] = field(default_factory=dict)  # by resource: what a pressure test holds
    daemons: dict[str, Process] = field(default_factory=dict)  # by unit
    _pids: dict[tuple[str, int], int] = field(default_factory=dict)

    def pid(self, owner: str, number: int = 0) -> int:
        """The machine's number of a container's process, or of the shim (0) of a sandbox."""
        return self._pids.setdefault((owner, number), FIRST_CONTAINER_PID + len(self._pids))

    def container_process(self, pid: int) -> Process | None:
        for container in self.runtime.running():
            for process in container.processes.alive.values():
                if self.pid(container.id, process.pid) == pid:
                    return process
        return None

    # ---- Hardware ----------------------------------------------------------------------------

    @property
    def memory_bytes(self) -> int:
        return quantity.value(self.hardware.memory)

    @property
    def disk_bytes(self) -> int:
        return quantity.value(self.hardware.storage)

    @property
    def inodes(self) -> int:
        return self.disk_bytes // 1024**3 * INODES_PER_GIBIBYTE

    def containers_memory(self) -> int:
        return sum(one.usage.memory(one.now_seconds()) for one in self.runtime.running())

    def used_memory(self) -> int:
        return SYSTEM_MEMORY_BYTES + self.taken.get("memory", 0) + self.containers_memory()

    def used_disk(self) -> int:
        return SYSTEM_DISK_BYTES + self.taken.get("disk", 0) + self.runtime.images.used_bytes()

    def containers_pids(self) -> int:
        return sum(1 + len(one.processes.alive) for one in self.runtime.running())

    def used_pids(self) -> int:
        return SYSTEM_PIDS + self.taken.get("pid", 0) + self.containers_pids()

    def events(self) -> Iterator[dict[str, Any]]:
        """Journal entries of this machine: a fleet's lines name their node."""
        return (entry for entry in list(self.journal.entries) if entry.get("node", self.name) == self.name)
