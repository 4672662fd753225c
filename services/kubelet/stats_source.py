"""Asks one node's runtime and disk for what `stats` puts into a summary.

Three calls, however many Pods there are; one for CPU and memory alone. What a runtime cannot tell is left at
zero; a runtime that cannot be asked at all is the caller's fault to report (CriError).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from services.api.core_v1 import Pod
from services.kubelet.cri import ContainerRecord
from services.kubelet.disk_usage import tree_bytes
from services.kubelet.kubelet import Kubelet
from services.kubelet.stats import Measured, PodDisk, resource_summary, summary
from services.kubelet.volumes import PodDirectory


async def node_summary(
    kubelet: Kubelet, now: datetime, *, only_cpu_and_memory: bool = False
) -> dict[str, Any]:
    context = kubelet.context
    workers = [*kubelet.workers.values()]
    pods = [worker.pod for worker in workers]
    records = {worker.uid: dict(worker.view.current) for worker in workers}
    started = {one.id: one.started_at for held in records.values() for one in held.values()}
    if only_cpu_and_memory:
        usage = await context.cri.usage()
        return resource_summary(Measured(
            node=context.name, capacity=context.capacity, usage=usage, started_at=started, now=now
        ), pods)  # fmt: skip
    measured = Measured(
        node=context.name,
        capacity=context.capacity,
        usage=await context.cri.usage(),
        sandboxes=await context.cri.sandbox_usage(),
        images=await context.cri.image_filesystem(),
        started_at=started,
        disks=await asyncio.to_thread(_disks, context.root, pods, records),
        now=now,
    )
    return summary(measured, pods)


def _disks(
    root: Path, pods: Sequence[Pod], records: Mapping[str, Mapping[str, ContainerRecord]]
) -> dict[str, PodDisk]:
    found = {}
    for pod in pods:
        uid = pod.metadata.uid or ""
        folders = PodDirectory(root, uid)
        found[uid] = PodDisk(
            logs={
                name: tree_bytes(Path(record.log_path).parent)
                for name, record in records[uid].items()
                if record.log_path
            },
            volumes={
                volume.name or "": tree_bytes(Path(folders.volume(volume)))
                for volume in pod.spec.volumes
                if volume.empty_dir and volume.empty_dir.medium != "Memory"
            },
        )
    return found
