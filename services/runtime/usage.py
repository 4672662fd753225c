"""What a container uses, computed when asked: no sampling, nothing that runs.

Memory is a straight line that its program declared; CPU is what it declared as its steady load
plus what was charged to it piece by piece, limited by its quota.
"""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024
DEFAULT_MEMORY_BYTES = 1 * MEBIBYTE


@dataclass(slots=True)
class Usage:
    since: float = 0.0
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    growth_bytes: float = 0.0
    cpu_nanocores: int = 0
    cpu_nanoseconds: float = 0.0
    cpu_since: float = 0.0

    def set_memory(self, now: float, memory_bytes: int, growth_bytes: float) -> None:
        self.since, self.memory_bytes, self.growth_bytes = now, memory_bytes, growth_bytes

    def set_cpu(self, now: float, nanocores: int) -> None:
        self.cpu_nanoseconds = self.cpu_time(now)
        self.cpu_since, self.cpu_nanocores = now, nanocores

    def charge_cpu(self, nanoseconds: float) -> None:
        self.cpu_nanoseconds += nanoseconds

    def memory(self, now: float) -> int:
        return self.memory_bytes + int(max(now - self.since, 0.0) * self.growth_bytes)

    def cpu_time(self, now: float) -> float:
        return self.cpu_nanoseconds + max(now - self.cpu_since, 0.0) * self.cpu_nanocores

    def seconds_until(self, limit: int, now: float) -> float | None:
        """When memory reaches the limit; None for never."""
        missing = limit - self.memory(now)
        if missing <= 0:
            return 0.0
        return missing / self.growth_bytes if self.growth_bytes > 0 else None

    def freeze(self, now: float) -> None:
        self.cpu_nanoseconds = self.cpu_time(now)
        self.cpu_nanocores, self.memory_bytes, self.growth_bytes = 0, 0, 0.0
