"""What a kubelet can be told: thresholds, reserves, times. Upstream: `KubeletConfiguration`."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from services.kubelet.eviction import DEFAULT_HARD, Threshold


class HostUsage(Struct, frozen=True, kw_only=True):
    """What a machine uses beside its Pods; process numbers of Pods are counted in."""

    memory_bytes: int = 0
    disk_bytes: int = 0
    inodes: int = 0
    inodes_capacity: int = 6_553_600
    pids: int = 0
    pids_capacity: int = 32768


class KubeletConfiguration(Struct, frozen=True, kw_only=True):
    eviction_hard: tuple[Threshold, ...] = DEFAULT_HARD
    eviction_soft: tuple[Threshold, ...] = ()
    pressure_transition_seconds: float = 300.0
    max_pod_grace_seconds: int = 0  # of soft evictions
    system_reserved: dict[str, str] = {}
    kube_reserved: dict[str, str] = {}
    image_gc_high_percent: int = 85
    image_gc_low_percent: int = 80
    image_minimum_age_seconds: float = 120.0
    shutdown_grace_seconds: int = 0  # 0: no graceful node shutdown
    shutdown_critical_seconds: int = 0
    manifests: Path | None = None  # folder of static Pods
    file_check_seconds: float = 20.0
    container_log_bytes_max: int = 10 * 1024 * 1024
    container_log_files_max: int = 5
    parallel_pulls: int = 1  # upstream: serializeImagePulls
