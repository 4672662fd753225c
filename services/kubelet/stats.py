"""What a node and its Pods use, in the form of upstream's `stats/summary`. Pure.

What the runtime does not measure (pages of single NUMA nodes, swap, pressure) is left out; `kubectl top`,
eviction's readers and dashboards find the names they know.
Upstream: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`, `pkg/kubelet/stats/cri_stats_provider.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.api.core_v1 import Pod
from services.kubelet.container_status import time_text
from services.kubelet.cri import FilesystemUsage, SandboxUsage, Usage
from services.machinery import quantity
from services.machinery.clock import rfc3339

INODE_BYTES = 16 * 1024  # of disk for each inode, as mkfs.ext4 makes them
INTERFACE = "eth0"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDisk:
    """What of a Pod lies on the node's disk beside the containers' own layers, in bytes by name."""

    logs: Mapping[str, int] = field(default_factory=dict)  # by container
    volumes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that was asked for one summary."""

    node: str
    capacity: Mapping[str, str]
    usage: Sequence[Usage]
    sandboxes: Sequence[SandboxUsage] = ()
    images: FilesystemUsage = field(default_factory=FilesystemUsage)
    started_at: Mapping[str, int] = field(default_factory=dict)  # by container id
    disks: Mapping[str, PodDisk] = field(default_factory=dict)  # by the Pod's uid
    now: datetime


def summary(measured: Measured, pods: Iterable[Pod]) -> dict[str, Any]:
    by_pod: dict[str, list[Usage]] = {}
    for one in measured.usage:
        by_pod.setdefault(one.pod_uid, []).append(one)
    sandboxes = {one.pod_uid: one for one in measured.sandboxes}
    return {
        "node": _node(measured),
        "pods": [
            _pod(measured, pod, by_pod.get(uid, []), sandboxes.get(uid))
            for pod in pods
            for uid in (pod.metadata.uid or "",)
        ],
    }


def resource_summary(measured: Measured, pods: Iterable[Pod]) -> dict[str, Any]:
    """CPU and memory alone: what is asked for again and again."""
    moment, by_pod = rfc3339(measured.now), dict[str, list[Usage]]()
    for one in measured.usage:
        by_pod.setdefault(one.pod_uid, []).append(one)
    return {
        "node": {
            "nodeName": measured.node,
            "cpu": _cpu(measured.usage, moment),
            "memory": _memory(measured.usage, moment),
        },
        "pods": [
            {
                "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
                "containers": [_resources(measured, one) for one in by_pod[meta.uid or ""]],
            }
            for meta in (pod.metadata for pod in pods)
            if (meta.uid or "") in by_pod
        ],
    }


def _node(measured: Measured) -> dict[str, Any]:
    moment, usage = rfc3339(measured.now), measured.usage
    memory = _memory(usage, moment)
    total = quantity.value(str(measured.capacity.get("memory", "0")))
    if total:
        memory["availableBytes"] = max(0, total - memory["workingSetBytes"])
    used = measured.images.used_bytes + sum(one.written_bytes for one in usage)
    used += sum(sum((*disk.logs.values(), *disk.volumes.values())) for disk in measured.disks.values())
    inodes = measured.images.inodes_used + sum(one.written_inodes for one in usage)
    return {
        "nodeName": measured.node,
        "cpu": _cpu(usage, moment),
        "memory": memory,
        "network": _network(measured.sandboxes, moment),
        "fs": _filesystem(measured, moment, used, inodes),
        "runtime": {
            "imageFs": _filesystem(measured, moment, measured.images.used_bytes, measured.images.inodes_used)
        },
        "rlimit": {"time": moment, "curproc": sum(one.processes for one in measured.sandboxes)},
    }


def _pod(
    measured: Measured, pod: Pod, usage: Sequence[Usage], sandbox: SandboxUsage | None
) -> dict[str, Any]:
    metadata, moment = pod.metadata, rfc3339(measured.now)
    disk = measured.disks.get(metadata.uid or "", PodDisk())
    stats: dict[str, Any] = {
        "podRef": {"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid},
        "startTime": pod.status.start_time,
        "containers": [_container(measured, one, disk) for one in usage],
        "cpu": _cpu(usage, moment),
        "memory": _memory(usage, moment),
    }
    if sandbox is not None:
        if not pod.spec.host_network:
            stats["network"] = _network([sandbox], moment)
        stats["process_stats"] = {"process_count": sandbox.processes}
    if disk.volumes:
        stats["volume"] = [
            {"name": name, **_filesystem(measured, moment, used, 0)} for name, used in disk.volumes.items()
        ]
    written = sum(one.written_bytes for one in usage)
    written += sum(disk.logs.values()) + sum(disk.volumes.values())
    inodes = sum(one.written_inodes for one in usage)
    stats["ephemeral-storage"] = _filesystem(measured, moment, written, inodes)
    return stats


def _resources(measured: Measured, one: Usage) -> dict[str, Any]:
    moment = rfc3339(measured.now)
    stats = {"name": one.name, "cpu": _cpu([one], moment), "memory": _memory([one], moment)}
    started = measured.started_at.get(one.container_id)
    return {**stats, "startTime": time_text(started)} if started else stats


def _container(measured: Measured, one: Usage, disk: PodDisk) -> dict[str, Any]:
    moment = rfc3339(measured.now)
    stats: dict[str, Any] = {
        "name": one.name,
        "cpu": _cpu([one], moment),
        "memory": _memory([one], moment),
        "rootfs": _filesystem(measured, moment, one.written_bytes, one.written_inodes),
        "logs": _filesystem(measured, moment, disk.logs.get(one.name, 0), 0),
    }
    if started := measured.started_at.get(one.container_id):
        stats["startTime"] = time_text(started)
    if one.memory_available_bytes is not None:
        stats["memory"]["availableBytes"] = one.memory_available_bytes
    return stats


def _cpu(usage: Sequence[Usage], moment: str) -> dict[str, Any]:
    return {
        "time": moment,
        "usageNanoCores": sum(one.cpu_nano_cores for one in usage),
        "usageCoreNanoSeconds": sum(one.cpu_core_nano_seconds for one in usage),
    }


def _memory(usage: Sequence[Usage], moment: str) -> dict[str, Any]:
    return {
        "time": moment,
        "usageBytes": sum(one.memory_usage_bytes for one in usage),
        "workingSetBytes": sum(one.memory_bytes for one in usage),
        "rssBytes": sum(one.memory_rss_bytes for one in usage),
        "pageFaults": sum(one.page_faults for one in usage),
        "majorPageFaults": sum(one.major_page_faults for one in usage),
    }


def _network(sandboxes: Sequence[SandboxUsage], moment: str) -> dict[str, Any]:
    bytes_ = {
        "name": INTERFACE,
        "rxBytes": sum(one.received_bytes for one in sandboxes),
        "rxErrors": 0,
        "txBytes": sum(one.sent_bytes for one in sandboxes),
        "txErrors": 0,
    }
    return {"time": moment, **bytes_, "interfaces": [bytes_]}


def _filesystem(measured: Measured, moment: str, used: int, inodes_used: int) -> dict[str, Any]:
    """All of a node's files lie on one disk."""
    size = quantity.value(str(measured.capacity.get("ephemeral-storage", "0")))
    taken = measured.images.used_bytes + sum(one.written_bytes for one in measured.usage)
    inodes = size // INODE_BYTES
    return {
        "time": moment,
        "availableBytes": max(0, size - taken),
        "capacityBytes": size,
        "usedBytes": used,
        "inodesFree": max(0, inodes - measured.images.inodes_used),
        "inodes": inodes,
        "inodesUsed": inodes_used,
    }
