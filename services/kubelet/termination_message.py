"""What a container leaves behind when it ends: its termination message.

A program may write one into a file that the kubelet mounts for it (`terminationMessagePath`); with
policy FallbackToLogsOnError the end of its log stands in for a failed program that wrote none.
Everything is cut to upstream's sizes. Upstream: `getTerminationMessage` in `kuberuntime_manager.go`.
"""

from __future__ import annotations

import os
from pathlib import Path

from services.api.core_v1 import Container
from services.kubelet.cri import ContainerRecord, Cri, CriError, Mount

FILE_BYTES_MAX = 4096
LOG_LINES_MAX, LOG_BYTES_MAX = 80, 2048
POD_BYTES_MAX = 12 * 1024  # of all its containers together
DEFAULT_PATH = "/dev/termination-log"
_MODE = 0o666  # Whoever the program runs as must be able to write.


def path_on_node(root: Path, uid: str, name: str, attempt: int) -> str:
    return f"{root}/pods/{uid}/{name}.{attempt}.termination-log"


def mount(root: Path, uid: str, container: Container, attempt: int) -> Mount:
    """Makes the empty file; the runtime shows it to the container. OSError when the disk refuses.

    Every container has one, and a Pod's start is counted in system calls: it lies beside the volumes.
    """
    path = path_on_node(root, uid, container.name, attempt)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        descriptor = os.open(path, flags, _MODE)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, flags, _MODE)
    os.fchmod(descriptor, _MODE)  # past the umask
    os.close(descriptor)
    return Mount(container_path=container.termination_message_path or DEFAULT_PATH, host_path=path)


async def read(cri: Cri, root: Path, uid: str, container: Container, record: ContainerRecord) -> str:
    """What it said, in upstream's limits; empty when it said nothing."""
    text = _written(path_on_node(root, uid, container.name, record.attempt))
    fall_back = container.termination_message_policy == "FallbackToLogsOnError" and record.exit_code != 0
    if text or not fall_back:
        return text
    return await _end_of_log(cri, record.id)


def _written(path: str) -> str:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - FILE_BYTES_MAX))
            return file.read(FILE_BYTES_MAX).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"Error on reading termination log {path}: {error.strerror}"


async def _end_of_log(cri: Cri, identifier: str) -> str:
    raw = b""
    try:
        async for chunk in cri.read_log(identifier, follow=False, tail_lines=LOG_LINES_MAX):
            raw = (raw + chunk)[-64 * 1024 :]
    except CriError as error:
        return f"Error reading termination message from logs: {error}"
    said = []
    for line in raw.splitlines():
        parts = line.split(b" ", 3)
        if len(parts) == 4:
            said.append(parts[3] + (b"" if parts[2] == b"P" else b"\n"))
    return b"".join(said)[-LOG_BYTES_MAX:].decode(errors="replace")


def share(containers: int) -> int:
    """How many bytes each of so many containers may show in the Pod's status."""
    return min(FILE_BYTES_MAX, POD_BYTES_MAX // max(1, containers))
