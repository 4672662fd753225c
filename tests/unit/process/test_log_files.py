from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.process.log_files import LogCursor


def rest(cursor: LogCursor) -> bytes:
    data = b""
    while piece := cursor.read():
        data += piece
    return data


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0.log"


def test_whole_lines_only(path: Path) -> None:
    with LogCursor(path) as cursor:
        assert cursor.read() == b""  # not there yet
        path.write_bytes(b"one\ntw")
        assert rest(cursor) == b"one\n"
        path.write_bytes(b"one\ntwo\n")
        assert rest(cursor) == b"two\n"
        assert cursor.read() == b""


@pytest.mark.parametrize("lines", [0, 1, 2, 5, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("length", [0, 1, 130, 70_000 // 500])
def test_the_last_lines_are_found_from_the_end(path: Path, lines: int, length: int) -> None:
    every = [b"%d" % number + b"x" * length + b"\n" for number in range(1000)]
    path.write_bytes(b"".join(every))
    with LogCursor(path, lines) as cursor:
        assert rest(cursor) == b"".join(every[-lines:] if lines else [])


def test_a_tail_reads_no_more_than_it_needs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    pread = os.pread

    def counted(file: int, size: int, at: int) -> bytes:
        nonlocal read
        data = pread(file, size, at)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    with path.open("wb") as file:  # half a gigabyte that takes no room
        file.truncate(512 * 1024 * 1024)
        file.seek(0, 2)
        file.write(b"\nlast\n")
    with LogCursor(path, 1) as cursor:
        assert rest(cursor) == b"last\n"
    assert read < 1024 * 1024


def test_a_rotation_loses_nothing(path: Path) -> None:
    path.write_bytes(b"one\n")
    with LogCursor(path) as cursor:
        assert rest(cursor) == b"one\n"
        with path.open("ab") as writer:
            path.rename(path.with_suffix(".1"))
            writer.write(b"two\n")
        assert rest(cursor) == b"two\n"  # of the old file, and no new one yet
        path.write_bytes(b"three\n")
        assert rest(cursor) == b"three\n"


def test_a_file_begun_anew(path: Path) -> None:
    path.write_bytes(b"one\ntwo\n")
    with LogCursor(path) as cursor:
        assert rest(cursor) == b"one\ntwo\n"
        path.write_bytes(b"new\n")
        assert rest(cursor) == b"new\n"
