"""Files that change all at once: every file of a volume is a link through `..data`, which is swapped.

    ..2026_11_21_15_40_00.123456789/colour     the present files
    ..data -> ..2026_11_21_15_40_00.123456789
    colour -> ..data/colour

A reader sees the old files or the new ones, never some of each. Plain system calls: nearly every
Pod mounts such a volume, and a Pod's start is counted in them. Upstream: `pkg/volume/util/atomic_writer.go`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import datetime

from services.kubelet.references import ConfigError
from services.kubelet.volumes.payload import Files

DATA = "..data"
COMMON_MODE = 0o644  # what no usual mask takes anything from
_NEXT = "..data_tmp"  # no key of a ConfigMap begins with two dots


def write(directory: str, files: Files, now: datetime, serial: int, *, sticky: bool = False) -> bool:
    """Makes the volume show these files. Whether that changed anything.

    ConfigError when the machine refuses a name or has no room. `serial` tells two writes of one
    moment apart.
    """
    try:
        current = _current(directory)
        if current and _same(f"{directory}/{current}", files):
            return False
        if not current:
            os.makedirs(directory, exist_ok=True)
            os.chmod(directory, 0o1777 if sticky else 0o777)
        fresh = f"..{now:%Y_%m_%d_%H_%M_%S}.{now.microsecond * 1000 + serial % 1000:09d}"
        os.mkdir(f"{directory}/{fresh}", 0o755)
        for name, file in files.items():
            _write_file(f"{directory}/{fresh}", inside(name), file.data, file.mode)
        if not current:
            os.symlink(fresh, f"{directory}/{DATA}")
            _link_names(directory, files, ())
            return True
        os.symlink(fresh, f"{directory}/{_NEXT}")
        os.replace(f"{directory}/{_NEXT}", f"{directory}/{DATA}")
        _link_names(directory, files, os.listdir(directory))
        shutil.rmtree(f"{directory}/{current}", ignore_errors=True)
        return True
    except OSError as error:
        raise ConfigError(f"cannot write the volume: {error.strerror}") from error


def _current(directory: str) -> str:
    try:
        return os.readlink(f"{directory}/{DATA}")
    except OSError:
        return ""


def _same(folder: str, files: Files) -> bool:
    """Whether the folder holds exactly these files."""
    found = {
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, names in os.walk(folder)
        for name in names
    }
    if found != {os.path.normpath(name) for name in files}:
        return False
    for name, file in files.items():
        path = f"{folder}/{name}"
        if os.stat(path).st_mode & 0o777 != file.mode & 0o777:
            return False
        with open(path, "rb") as present:
            if present.read() != file.data:
                return False
    return True


def _write_file(folder: str, name: str, data: bytes, mode: int) -> None:
    target = f"{folder}/{name}"
    if "/" in name:
        os.makedirs(os.path.dirname(target), exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if mode & ~COMMON_MODE:
            os.fchmod(descriptor, mode)  # Whatever the process's mask takes away.
    finally:
        os.close(descriptor)


def _link_names(directory: str, files: Files, listed: Iterable[str]) -> None:
    """What the user sees: one link for each first part of a path; those of files that went go too."""
    wanted = {os.path.normpath(name).partition("/")[0] for name in files}
    present = {name for name in listed if not name.startswith("..")}
    for name in present - wanted:
        os.unlink(f"{directory}/{name}")
    for name in wanted - present:
        os.symlink(f"{DATA}/{name}", f"{directory}/{name}")


def inside(name: str) -> str:
    """The name, when it stays in its volume, whatever the API server let through. ConfigError else."""
    if not name or name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ConfigError(f"invalid path in volume: {name!r}")
    return name
