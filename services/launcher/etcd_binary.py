"""Finds the real etcd that a cluster without Docker runs on.

In this order: `ORRERY_ETCD`, the copy that `make install` put into the checkout's `.cache/etcd`,
`etcd` on the PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
VERSION_LEAST = (3, 4)


class EtcdMissing(Exception):
    """Says what to do about it."""


def find_etcd() -> str:
    """The path of a usable binary. Raises EtcdMissing with a way out."""
    candidates = (os.environ.get("ORRERY_ETCD"), CHECKOUT / ".cache" / "etcd" / "etcd", shutil.which("etcd"))
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    raise EtcdMissing(
        "no etcd found: run `make install` in the checkout, or install it (Debian: apt-get install "
        "etcd-server; macOS: brew install etcd), or name one in ORRERY_ETCD"
    )


def version_of(binary: str) -> tuple[int, int]:
    """Major and minor version. Raises EtcdMissing when the binary does not answer, or is too old."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EtcdMissing(f"{binary} --version: {error}") from error
    match = re.search(r"etcd Version: (\d+)\.(\d+)", answer)
    if not match:
        raise EtcdMissing(f"{binary} does not say which version it is")
    version = int(match[1]), int(match[2])
    if version < VERSION_LEAST:
        raise EtcdMissing(f"{binary} is etcd {match[1]}.{match[2]}; 3.4 or later is needed")
    return version


def flags_for(version: tuple[int, int]) -> tuple[str, ...]:
    """Flags that only newer versions know."""
    # What a killed process wrote is in the page cache already; only a power cut could lose it,
    # and a model of a cluster need not pay a disk flush per write for that.
    return ("--unsafe-no-fsync",) if version >= (3, 5) else ()
