"""The audit log's file: written beside the requests, by size in pieces, of which so many are kept.

A request only leaves its lines in a queue; a thread writes what has gathered. The queue is bounded: where a
disk does not keep up, lines are dropped, counted and complained about, and no request waits. A full file gets
the moment as part of its name and a new one begins; old ones go by number and by age. `-` is the standard
output.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from services.machinery.clock import Clock
from services.process.logging import Logger

QUEUED_BYTES_MAX = 32 * 1024 * 1024
STDOUT = "-"
_STAMP = "%Y-%m-%dT%H-%M-%S.%f"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one file in bytes; of the old ones in number and in days (0: as long as there are few enough)."""

    bytes_max: int = 100 * 1024 * 1024
    backups_max: int = 10
    age_days_max: int = 0


class AuditLog:
    def __init__(self, path: str, limits: Limits, clock: Clock, log: Logger) -> None:
        self._path, self._limits, self._clock, self._log = path, limits, clock, log
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self.dropped = 0

    def write(self, line: bytes) -> None:
        """Takes the line, or drops it."""
        if self._queued_bytes + len(line) > QUEUED_BYTES_MAX:
            if not self.dropped:
                self._log.warning("The audit log does not keep up: lines are dropped", path=self._path)
            self.dropped += 1
            return
        self._queue.append(line)
        self._queued_bytes += len(line)
        self._wake.set()

    async def run(self) -> None:
        """Writes until cancelled; what has gathered by then is written still."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                taken = self._take()
                if self.dropped:
                    self._log.warning("Lines of the audit log were dropped", count=self.dropped)
                    self.dropped = 0
                try:
                    await asyncio.to_thread(self._append, taken, self._clock.now())
                except OSError as error:
                    self._log.error("Cannot write the audit log", path=self._path, reason=str(error))
        finally:
            self._append(self._take(), self._clock.now())

    def _take(self) -> bytes:
        taken = b"".join(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        return taken

    def _append(self, lines: bytes, now: datetime) -> None:
        if not lines:
            return
        if self._path == STDOUT:
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()
            return
        path = Path(self._path)
        if path.exists() and path.stat().st_size + len(lines) > self._limits.bytes_max:
            path.rename(path.with_name(f"{path.stem}-{now.strftime(_STAMP)[:-3]}{path.suffix}"))
            self._forget(path, now)
        with open(path, "ab", opener=_of_ours_alone) as file:
            file.write(lines)

    def _forget(self, path: Path, now: datetime) -> None:
        old = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))
        for each in old[: -self._limits.backups_max] if self._limits.backups_max else []:
            each.unlink(missing_ok=True)
        if self._limits.age_days_max:
            oldest = (now - timedelta(days=self._limits.age_days_max)).timestamp()
            for each in old:
                if each.exists() and each.stat().st_mtime < oldest:
                    each.unlink(missing_ok=True)


def _of_ours_alone(path: str, flags: int) -> int:
    """What is on record may be secret."""
    return os.open(path, flags, 0o600)
