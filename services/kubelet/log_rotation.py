"""Keeps the logs of running containers small: ten megabytes in each of five files, the old ones compressed.

Every ten seconds the kubelet looks at the sizes; a log that has grown too large is renamed to `0.log.TIME`,
and the runtime is told to open a new one. A file that cannot be renamed or compressed is tried again at the
next look; containers never wait for it. Upstream: `pkg/kubelet/logs/container_log_manager.go`.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from services.kubelet.cri import ContainerRecord, Cri, CriError
from services.machinery.clock import Clock
from services.process.logging import Logger

LOOK_SECONDS = 10.0
SIZE_BYTES_MAX = 10 * 1024 * 1024
FILES_MAX = 5
STATS_AT_ONCE = 500  # between two turns of the event loop
_COMPRESSED, _UNFINISHED = ".gz", ".tmp"

Running = Callable[[], Iterable[tuple[Cri, ContainerRecord]]]


class LogRotator:
    """One for all nodes of a process. `running` tells of every container, with its runtime."""

    def __init__(
        self,
        running: Running,
        clock: Clock,
        log: Logger,
        *,
        size_max: int = SIZE_BYTES_MAX,
        files_max: int = FILES_MAX,
    ) -> None:
        self._running, self._clock, self._log = running, clock, log
        self._size_max, self._files_max = size_max, max(2, files_max)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        large: list[tuple[Cri, ContainerRecord]] = []
        for number, (cri, record) in enumerate([*self._running()], start=1):
            if record.running and record.log_path and _size(record.log_path) > self._size_max:
                large.append((cri, record))
            if number % STATS_AT_ONCE == 0:
                await asyncio.sleep(0)
        for cri, record in large:
            try:
                await self._rotate(cri, record)
            except (OSError, CriError) as error:
                self._log.warning(
                    "Could not rotate a container's log; trying again", path=record.log_path, error=str(error)
                )

    async def _rotate(self, cri: Cri, record: ContainerRecord) -> None:
        path = Path(record.log_path)
        await asyncio.to_thread(self._tidy, path)
        rotated = path.with_name(f"{path.name}.{self._clock.now():%Y%m%d-%H%M%S}")
        os.rename(path, rotated)
        try:
            await cri.reopen_log(record.id)
        except CriError:
            with suppress(OSError):  # the runtime still writes where it did
                os.link(rotated, path)  # never over a file that it has made since
                os.unlink(rotated)
            raise
        self._log.debug("Rotated a container's log", path=record.log_path)

    def _tidy(self, path: Path) -> None:
        """Makes room for one more rotated file, and compresses those that are there."""
        old = rotated_files(path)
        for file in [file for file in old if file.suffix == _UNFINISHED]:
            file.unlink(missing_ok=True)
        old = [file for file in old if file.suffix != _UNFINISHED]
        keep = self._files_max - 2  # the log itself, and the one about to be rotated
        for file in old[: max(0, len(old) - keep)]:
            file.unlink(missing_ok=True)
        for file in old[max(0, len(old) - keep) :]:
            if file.suffix != _COMPRESSED:
                _compress(file)


def rotated_files(path: Path) -> list[Path]:
    """What a log has left behind, the oldest first."""
    prefix = f"{path.name}."
    try:
        names = [entry.name for entry in os.scandir(path.parent) if entry.name.startswith(prefix)]
    except FileNotFoundError:
        return []
    return [path.with_name(name) for name in sorted(names)]


def _compress(file: Path) -> None:
    unfinished = file.with_name(f"{file.name}{_UNFINISHED}")
    with file.open("rb") as source, gzip.open(unfinished, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    os.replace(unfinished, f"{file}{_COMPRESSED}")
    file.unlink(missing_ok=True)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
