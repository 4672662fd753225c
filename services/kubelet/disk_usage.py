"""What a Pod holds on its node's disk: the logs of its containers, and its emptyDir volumes.

Walks real folders below the kubelet's root, so it is asked only for Pods with limits, or when the disk
is short; bounded per Pod. What vanishes while it is counted counts nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from services.api.core_v1 import Pod
from services.kubelet.eviction import PodUsage
from services.kubelet.volumes import PodDirectory

BLOCK_BYTES = 512  # of st_blocks, whatever the file system's own are
ENTRIES_MAX = 50_000  # of one folder tree; a larger one counts as far as it was walked


def pod_usage(pod: Pod, root: Path, logs: Path, written: Mapping[str, int]) -> PodUsage:
    """`logs`: the Pod's log folder on this machine. `written`: bytes in each container's own layer."""
    folders = PodDirectory(root, pod.metadata.uid or "")
    volumes = {
        volume.name or "": tree_bytes(Path(folders.volume(volume)))
        for volume in pod.spec.volumes
        if volume.empty_dir and volume.empty_dir.medium != "Memory"
    }
    disk = {
        container.name: tree_bytes(logs / container.name) + written.get(container.name, 0)
        for container in (*pod.spec.init_containers, *pod.spec.containers)
    }
    return PodUsage(disk=disk, volumes=volumes)


def tree_bytes(folder: Path) -> int:
    total = entries = 0
    pending = [str(folder)]
    while pending and entries < ENTRIES_MAX:
        try:
            with os.scandir(pending.pop()) as found:
                for entry in found:
                    entries += 1
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
        except OSError:
            continue
    return total
