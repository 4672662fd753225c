"""What a node says of itself: labels, capacity, conditions, software, images. Pure.

Upstream: `pkg/kubelet/nodestatus/setters.go` and `kubelet_node_status.go`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from services.kubelet.cri import ImageRecord, RuntimeInfo
from services.machinery import quantity
from services.machinery.clock import rfc3339

KUBELET_VERSION = "v1.36.2"
IMAGES_MAX = 50  # Upstream's nodeStatusMaxImages.
NAMES_PER_IMAGE_MAX = 5
EVICTION_MEMORY_BYTES = 100 * 1024 * 1024  # The default hard threshold, kept back from Pods.


# The handlers of our runtime, and what containers under them can have.
RUNTIME_HANDLERS = [
    {"name": name, "features": {"recursiveReadOnlyMounts": False, "userNamespaces": False}}
    for name in ("", "runc")
]


class Machine(Struct, frozen=True, kw_only=True):
    """The emulated hardware and software."""

    cpu: str = "4"
    memory: str = "8Gi"
    storage: str = "100Gi"
    pods: int = 110
    architecture: str = "amd64"
    os_image: str = "Debian GNU/Linux 12 (bookworm)"
    kernel_version: str = "6.1.0-37-amd64"


def capacity(machine: Machine) -> dict[str, str]:
    return {
        "cpu": machine.cpu,
        "ephemeral-storage": _kibibytes(quantity.value(machine.storage)),
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": _kibibytes(quantity.value(machine.memory)),
        "pods": str(machine.pods),
    }


def allocatable(machine: Machine, *reserved: Mapping[str, str]) -> dict[str, str]:
    """Capacity less what the eviction thresholds keep back, and what is reserved for the machine itself."""

    def kept(resource: str) -> int:
        return sum(quantity.value(amounts.get(resource, "0")) for amounts in reserved)

    memory = quantity.value(machine.memory) - EVICTION_MEMORY_BYTES - kept("memory")
    storage = quantity.value(machine.storage) * 9 // 10 - kept("ephemeral-storage")
    found = capacity(machine) | {
        "memory": _kibibytes(max(0, memory)),
        "ephemeral-storage": str(max(0, storage)),
    }
    cores = sum(quantity.milli(amounts.get("cpu", "0")) for amounts in reserved)
    if cores:
        left = max(0, quantity.milli(machine.cpu) - cores)
        found["cpu"] = quantity.canonical(f"{left}m")
    return found


def _kibibytes(number: int) -> str:
    return f"{number // 1024}Ki"


def labels(name: str, machine: Machine) -> dict[str, str]:
    return {
        "beta.kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    }


def node_info(name: str, machine: Machine, runtime: RuntimeInfo, boot: str) -> dict[str, Any]:
    """Identifiers are made from the node's name: they survive a restart, as on a real machine."""
    seed = hashlib.blake2s(name.encode(), digest_size=16)
    return {
        "architecture": machine.architecture,
        "bootID": boot,
        "containerRuntimeVersion": f"{runtime.name}://{runtime.version}",
        "kernelVersion": machine.kernel_version,
        "kubeProxyVersion": "",
        "kubeletVersion": KUBELET_VERSION,
        "machineID": seed.hexdigest(),
        "operatingSystem": "linux",
        "osImage": machine.os_image,
        "systemUUID": str(uuid.UUID(bytes=seed.digest())),
    }


def conditions(
    not_ready: str, old: Sequence[dict[str, Any]], now: datetime, pressure: Collection[str] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """The node's conditions, and the reasons of those that changed: each is an event.

    `not_ready` is empty when the node can run Pods. `pressure`: the conditions that hold of eviction's.
    """
    ready = (
        ("Ready", "False", "KubeletNotReady", not_ready)
        if not_ready
        else ("Ready", "True", "KubeletReady", "kubelet is posting ready status")
    )
    words = (_SHORT if kind in pressure else _AMPLE for kind in _AMPLE)
    wanted = (*(found[kind] for kind, found in zip(_AMPLE, words)), ready)
    before = {condition["type"]: condition for condition in old}
    found, changed = [], []
    for kind, status, reason, message in wanted:
        was = before.get(kind)
        same = was is not None and was["status"] == status
        if not same and (was is not None or kind != "Ready" or status == "True"):
            changed.append(_event_reason(kind, status))  # That a new node is not ready is no news.
        found.append(
            {
                "lastHeartbeatTime": rfc3339(now),
                "lastTransitionTime": (same and was and was.get("lastTransitionTime")) or rfc3339(now),
                "message": message,
                "reason": reason,
                "status": status,
                "type": kind,
            }
        )
    return found, changed


_AMPLE = {
    "MemoryPressure": (
        "MemoryPressure",
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    "DiskPressure": ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": (
        "PIDPressure",
        "False",
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
    ),
}
_SHORT = {
    "MemoryPressure": (
        "MemoryPressure",
        "True",
        "KubeletHasInsufficientMemory",
        "kubelet has insufficient memory available",
    ),
    "DiskPressure": ("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
    "PIDPressure": (
        "PIDPressure",
        "True",
        "KubeletHasInsufficientPID",
        "kubelet has insufficient PID available",
    ),
}


def _event_reason(kind: str, status: str) -> str:
    return {
        ("MemoryPressure", "False"): "NodeHasSufficientMemory",
        ("DiskPressure", "False"): "NodeHasNoDiskPressure",
        ("PIDPressure", "False"): "NodeHasSufficientPID",
        ("MemoryPressure", "True"): "NodeHasInsufficientMemory",
        ("DiskPressure", "True"): "NodeHasDiskPressure",
        ("PIDPressure", "True"): "NodeHasInsufficientPID",
        ("Ready", "True"): "NodeReady",
    }.get((kind, status), "NodeNotReady")


def images(records: Iterable[ImageRecord]) -> list[dict[str, Any]]:
    """The largest first; the scheduler places Pods where theirs are."""
    largest = sorted(records, key=lambda image: (-image.size_bytes, image.id))[:IMAGES_MAX]
    return [
        {"names": [*image.digests, *image.tags][:NAMES_PER_IMAGE_MAX], "sizeBytes": image.size_bytes}
        for image in largest
    ]


def same_but_for_heartbeats(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a new status need not be written before its time."""

    def stripped(status: dict[str, Any]) -> dict[str, Any]:
        kept = [{k: v for k, v in c.items() if k != "lastHeartbeatTime"} for c in status["conditions"]]
        return {**status, "conditions": kept}

    return "nodeInfo" in old and stripped(old) == stripped(new)
