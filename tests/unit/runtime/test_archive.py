"""tar, as `kubectl cp` and people use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.runtime.harness import bench

MADE = "mkdir -p /tmp/a/b && echo 1 > /tmp/a/f && echo 22 > /tmp/a/b/g && ln -s f /tmp/a/l"


@pytest.mark.parametrize(
    ("script", "code", "out", "err"),
    [
        ("tar cf - -C /tmp a | tar tf -", 0, "a/\na/b/\na/b/g\na/f\na/l\n", ""),
        (
            "tar cf /tmp/x /tmp/a/f && mkdir /tmp/n && tar xmf /tmp/x -C /tmp/n && cat /tmp/n/tmp/a/f",
            0,
            "1\n",
            "tar: removing leading '/' from member names\n",
        ),
        (
            "tar cf - -C /tmp a/f | tar --no-same-permissions --no-same-owner -xmf - -C /none",
            1,
            "",
            "tar: can't change directory to '/none': No such file or directory\n",
        ),
        (
            "tar cf - none > /dev/null",
            1,
            "",
            "tar: none: No such file or directory\ntar: error exit delayed from previous errors\n",
        ),
    ],
)
async def test_what_is_packed_and_unpacked(
    tmp_path: Path, script: str, code: int, out: str, err: str
) -> None:
    async with bench(tmp_path) as made:
        container = await made.start("busybox", "sleep", "1000")
        assert await made.shell(container, f"{MADE} && {script}") == (code, out, err)


async def test_a_long_listing(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        container = await made.start("busybox", "sleep", "1000")
        _, out, _ = await made.shell(container, f"{MADE} && tar cf - -C /tmp a | tar tvf -")
        lines = [line.split() for line in out.splitlines()]
        assert [(line[0], line[2], " ".join(line[5:])) for line in lines] == [
            ("drwxr-xr-x", "0", "a/"),
            ("drwxr-xr-x", "0", "a/b/"),
            ("-rw-r--r--", "3", "a/b/g"),
            ("-rw-r--r--", "2", "a/f"),
            ("lrwxrwxrwx", "0", "a/l -> f"),
        ]
