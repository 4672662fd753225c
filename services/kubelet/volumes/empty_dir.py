"""emptyDir: a folder that lives as long as its Pod, and how much of it is used.

A Memory medium lies on the same disk: nothing of it outlives the Pod either way. Limits are not
enforced on writing, as upstream; whoever evicts asks `exceeded` from time to time.
"""

from __future__ import annotations

import os
from pathlib import Path

from services.api.core_v1 import Pod
from services.kubelet.references import ConfigError
from services.kubelet.volumes.directory import PodDirectory
from services.machinery import quantity

ENTRIES_MAX = 100_000  # what one measurement looks at; the runtime bounds the bytes


def make(directory: str) -> None:
    try:
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o777)
    except OSError as error:
        raise ConfigError(f"cannot make the volume: {error.strerror}") from error


def used_bytes(directory: str) -> int:
    """The sizes of all files below, links not followed."""
    total = seen = 0
    folders = [directory]
    while folders and seen < ENTRIES_MAX:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue  # It went while we looked.
        for entry in entries:
            seen += 1
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                total += _size(entry)
    return total


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def exceeded(pod: Pod, root: Path) -> str:
    """Why the Pod must be evicted: the first emptyDir above its sizeLimit. Empty when none is."""
    directory = PodDirectory(root, pod.metadata.uid or "")
    for volume in pod.spec.volumes:
        limit = volume.empty_dir.size_limit if volume.empty_dir else None
        if not limit or quantity.parse(str(limit)) <= 0:
            continue
        if used_bytes(directory.volume(volume)) > quantity.parse(str(limit)):
            return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{limit}". '
    return ""
