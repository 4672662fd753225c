from __future__ import annotations

import gzip
from pathlib import Path
from typing import cast

from services.kubelet.cri import ContainerRecord, ContainerState, Cri, CriError
from services.kubelet.log_rotation import LogRotator, rotated_files
from services.process.logging import get_logger
from tests.support.clock import ManualClock
from tests.support.fake_cri import FakeCri

LIMIT = 100


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.cri = FakeCri(self.clock)
        self.path = folder / "0.log"
        state = ContainerState.RUNNING
        self.records = [ContainerRecord(id="c1", name="main", state=state, log_path=str(self.path))]
        self.rotator = LogRotator(
            lambda: ((cast(Cri, self.cri), record) for record in self.records),
            self.clock, get_logger("kubelet"), size_max=LIMIT, files_max=3,
        )  # fmt: skip

    async def look(self) -> list[str]:
        """The names in the folder after another look, a minute later."""
        await self.clock.advance(60)
        await self.rotator.look()
        return sorted(file.name for file in self.path.parent.iterdir())


async def test_small_and_missing_logs_are_left_alone(tmp_path: Path) -> None:
    it = Bench(tmp_path)
    assert await it.look() == []
    it.path.write_bytes(b"x" * LIMIT)
    assert await it.look() == ["0.log"]
    assert it.cri.calls == []


async def test_large_ones_are_renamed_compressed_and_counted(tmp_path: Path) -> None:
    it = Bench(tmp_path)
    for number in range(4):
        it.path.write_bytes(b"%d" % number * (LIMIT + 1))
        await it.look()
    assert it.cri.calls == ["reopen_log c1"] * 4
    older, newest = rotated_files(it.path)  # with the log to come there are three
    assert gzip.decompress(older.read_bytes()) == b"2" * (LIMIT + 1)
    assert newest.read_bytes() == b"3" * (LIMIT + 1)
    assert not it.path.exists()


async def test_what_the_runtime_put_aside_itself_goes_first(tmp_path: Path) -> None:
    it = Bench(tmp_path)
    (tmp_path / "0.log.1").write_bytes(b"old")
    (tmp_path / "0.log.20200101-000000.tmp").write_bytes(b"half")
    it.path.write_bytes(b"x" * (LIMIT + 1))
    names = await it.look()
    assert names[0] == "0.log.1.gz"
    assert len(names) == 2


async def test_a_runtime_that_refuses_keeps_its_log(tmp_path: Path) -> None:
    it = Bench(tmp_path)

    async def reopen_log(container_id: str) -> None:
        raise CriError("Unknown", "container is not running")

    it.cri.reopen_log = reopen_log  # type: ignore[method-assign]
    it.path.write_bytes(b"x" * (LIMIT + 1))
    assert await it.look() == ["0.log"]


async def test_the_ended_are_left_alone(tmp_path: Path) -> None:
    it = Bench(tmp_path)
    it.records = [ContainerRecord(id="c1", name="main", state=ContainerState.EXITED, log_path=str(it.path))]
    it.path.write_bytes(b"x" * (LIMIT + 1))
    assert await it.look() == ["0.log"]
