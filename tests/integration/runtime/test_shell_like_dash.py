"""Our shell against a real one: the same scripts, the same output and exit status.

The real shell is this machine's dash with its own tools; each script runs in an empty folder of its own.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from services.runtime.container import Container
from services.runtime.sessions import run_to_end
from tests.unit.runtime.harness import bench

DASH = shutil.which("dash")
CASES = [
    line.replace("⏎", "\n")
    for line in (Path(__file__).parent / "shell_cases.txt").read_text().splitlines()
    if line and not line.startswith("# ")
]


def real(script: str, folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(DASH), "-c", script],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
        env={"PATH": "/usr/bin:/bin", "HOME": "/root", "LC_ALL": "C", "PWD": str(folder)},
    )  # fmt: skip
    return done.returncode & 0xFF, done.stdout.replace(str(folder), "/work"), done.stderr


@pytest.mark.skipif(DASH is None, reason="no dash on this machine to compare with")
@pytest.mark.parametrize("script", CASES)
async def test_same_as_dash(script: str, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "root").mkdir()
    status, out, _ = real(script, tmp_path / "work")
    async with bench(tmp_path / "root") as it:
        container = await it.start("debian", "sleep", "inf", working_dir="/work")
        container.filesystem.make_directory("/work")
        task = it.kernel.spawn(_run(container, script))
        for _ in range(100):
            if task.finished.done:
                break
            await it.clock.advance(0.25)
        assert task.finished.done, "the script hangs"
        ours = task.result()
    assert (ours[1], ours[0]) == (out, status), ours[2]


async def _run(container: Container, script: str) -> tuple[int, str, str]:
    status, out, err = await run_to_end(container, ("sh", "-c", script), 0)
    return status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
