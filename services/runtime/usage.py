"""What a container uses, computed when asked: no sampling, nothing that runs. Its cgroup, in short.

Memory is a straight line that its first program declared, plus what single processes hold and
what lies in its memory-backed volumes. CPU is the steady load it declared, plus what was charged piece
by piece; a quota caps the steady load, and what it would have used beyond counts as throttled, as
`cpu.stat` tells it. Upstream: control groups v2, `memory.*` and `cpu.*`.
"""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024
DEFAULT_MEMORY_BYTES = 1 * MEBIBYTE
PERIOD_SECONDS = 0.1  # of the scheduler's quota
CORE = 1_000_000_000  # in nanocores


@dataclass(frozen=True, slots=True)
class Throttling:
    """As in cpu.stat. Time is that which runnable threads spent waiting for the next period."""

    periods: int
    throttled_periods: int
    throttled_nanoseconds: int


@dataclass(slots=True)
class Usage:
    since: float = 0.0
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    growth_bytes: float = 0.0
    held_bytes: int = 0  # by single processes and in memory-backed files
    peak_bytes: int = 0
    disk_since: float = 0.0
    disk_bytes: int = 0  # that its program says it wrote, beyond the files that are really there
    disk_growth_bytes: float = 0.0
    cpu_wanted: int = 0  # nanocores that the program would use if it might
    cpu_limit: int = 0  # nanocores; 0 is none
    cpu_nanoseconds: float = 0.0
    cpu_since: float = 0.0
    limited_seconds: float = 0.0  # under a quota, with something to do
    throttled_seconds: float = 0.0  # of these, those in which the quota did not suffice
    waited_nanoseconds: float = 0.0

    # -- memory -------------------------------------------------------------------------------

    def set_memory(self, now: float, memory_bytes: int, growth_bytes: float) -> None:
        self.since, self.memory_bytes, self.growth_bytes = now, memory_bytes, growth_bytes

    def hold(self, change_bytes: int) -> None:
        """A process or a file in memory takes more, or gives some back."""
        self.held_bytes = max(self.held_bytes + change_bytes, 0)

    def memory(self, now: float) -> int:
        used = self.memory_bytes + int(max(now - self.since, 0.0) * self.growth_bytes) + self.held_bytes
        self.peak_bytes = max(self.peak_bytes, used)
        return used

    def seconds_until(self, limit: int, now: float) -> float | None:
        """When memory reaches the limit; None for never."""
        missing = limit - self.memory(now)
        if missing <= 0:
            return 0.0
        return missing / self.growth_bytes if self.growth_bytes > 0 else None

    # -- disk ---------------------------------------------------------------------------------

    def set_disk(self, now: float, disk_bytes: int, growth_bytes: float) -> None:
        self.disk_since, self.disk_bytes, self.disk_growth_bytes = now, disk_bytes, growth_bytes

    def disk(self, now: float) -> int:
        return self.disk_bytes + int(max(now - self.disk_since, 0.0) * self.disk_growth_bytes)

    # -- processor ----------------------------------------------------------------------------

    @property
    def cpu_nanocores(self) -> int:
        """The steady load, as far as the quota allows it."""
        return min(self.cpu_wanted, self.cpu_limit) if self.cpu_limit else self.cpu_wanted

    def set_cpu(self, now: float, nanocores: int) -> None:
        self._settle(now)
        self.cpu_wanted = nanocores

    def set_cpu_limit(self, now: float, nanocores: int) -> None:
        self._settle(now)
        self.cpu_limit = nanocores

    def charge_cpu(self, nanoseconds: float) -> None:
        self.cpu_nanoseconds += nanoseconds

    def cpu_time(self, now: float) -> float:
        return self.cpu_nanoseconds + max(now - self.cpu_since, 0.0) * self.cpu_nanocores

    def throttling(self, now: float) -> Throttling:
        self._settle(now)
        return Throttling(
            int(self.limited_seconds / PERIOD_SECONDS),
            int(self.throttled_seconds / PERIOD_SECONDS),
            int(self.waited_nanoseconds),
        )

    def _settle(self, now: float) -> None:
        """Books what has passed under the old load and the old quota."""
        passed = max(now - self.cpu_since, 0.0)
        self.cpu_nanoseconds += passed * self.cpu_nanocores
        if self.cpu_limit and self.cpu_wanted:
            self.limited_seconds += passed
            if self.cpu_wanted > self.cpu_limit:
                self.throttled_seconds += passed
                # Every thread uses up its share at the start of a period, and waits for the rest.
                threads = -(-self.cpu_wanted // CORE)
                self.waited_nanoseconds += passed * (threads * CORE) * (1 - self.cpu_limit / self.cpu_wanted)
        self.cpu_since = now

    def freeze(self, now: float) -> None:
        """The container has ended: its counters stay, its load goes."""
        self._settle(now)
        self.memory(now)
        self.set_disk(now, self.disk(now), 0.0)
        self.cpu_wanted, self.memory_bytes, self.growth_bytes, self.held_bytes = 0, 0, 0.0, 0
