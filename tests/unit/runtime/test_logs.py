from __future__ import annotations

from pathlib import Path

from services.runtime import logs
from services.runtime.logs import ContainerLog, stamp
from tests.unit.runtime.harness import Bench


def log(path: Path) -> ContainerLog:
    return ContainerLog(path / "pod" / "main" / "0.log", lambda: 1_767_225_600_123_456_789)


def test_stamp_has_nine_digits() -> None:
    assert stamp(1_767_225_600_000_000_001) == "2026-01-01T00:00:00.000000001Z"


def test_lines_and_pieces(tmp_path: Path) -> None:
    one = log(tmp_path)
    one.write("stdout", b"first\nsec")
    one.write("stderr", b"oops\n")
    one.write("stdout", b"ond\nno end")
    one.close()
    prefix = "2026-01-01T00:00:00.123456789Z"
    assert one.path is not None
    assert one.path.read_text().splitlines() == [
        f"{prefix} stdout F first", f"{prefix} stderr F oops", f"{prefix} stdout F second",
        f"{prefix} stdout P no end",
    ]  # fmt: skip


def test_long_lines_are_cut(tmp_path: Path) -> None:
    one = log(tmp_path)
    one.write("stdout", b"x" * 40_000 + b"\n")
    assert one.path is not None
    tags = [line.split(" ")[2] for line in one.path.read_text().splitlines()]
    assert tags == ["P", "P", "F"]


def test_files_are_bounded(tmp_path: Path) -> None:
    one = log(tmp_path)
    for _ in range(30):
        one.write("stdout", (b"y" * 1000 + b"\n") * 1000)
    assert one.path is not None
    sizes = [file.stat().st_size for file in one.path.parent.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= logs.FILE_BYTES_MAX


def test_a_disk_that_is_full_costs_lines_only(tmp_path: Path) -> None:
    (tmp_path / "pod").write_text("a file where a folder should be")
    one = log(tmp_path)
    one.write("stdout", b"lost\n")
    assert one.lost_bytes > 0


async def test_files_go_with_the_container(it: Bench, tmp_path: Path) -> None:
    container = await it.start("busybox", "echo", "hi")
    assert container.log.path is not None
    assert container.log.path.exists()
    await it.kernel.call(it.machine.remove_sandbox(container.sandbox.id))
    assert not container.log.path.parent.parent.exists()


async def test_a_silent_container_has_no_file(it: Bench) -> None:
    container = await it.start("busybox", "sleep", "inf")
    assert container.log.path is not None
    assert not container.log.path.parent.exists()
