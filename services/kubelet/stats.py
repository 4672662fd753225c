"""What a node and its Pods use, in the form of upstream's `stats/summary`. Pure.

Only what the runtime measures; `kubectl top` needs no more.
Upstream: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.api.core_v1 import Pod
from services.kubelet.cri import Usage
from services.machinery.clock import rfc3339


def summary(node: str, pods: Iterable[Pod], usage: Sequence[Usage], now: datetime) -> dict[str, Any]:
    by_pod: dict[str, list[Usage]] = {}
    for one in usage:
        by_pod.setdefault(one.pod_uid, []).append(one)
    moment = rfc3339(now)
    return {
        "node": {"nodeName": node, **_measures(usage, moment)},
        "pods": [_pod(pod, by_pod.get(pod.metadata.uid or "", []), moment) for pod in pods],
    }


def _pod(pod: Pod, usage: Sequence[Usage], moment: str) -> dict[str, Any]:
    metadata = pod.metadata
    return {
        "podRef": {"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid},
        "startTime": pod.status.start_time,
        "containers": [{"name": one.name, **_measures([one], moment)} for one in usage],
        **_measures(usage, moment),
    }


def _measures(usage: Sequence[Usage], moment: str) -> dict[str, Any]:
    return {
        "cpu": {
            "time": moment,
            "usageNanoCores": sum(one.cpu_nano_cores for one in usage),
            "usageCoreNanoSeconds": sum(one.cpu_core_nano_seconds for one in usage),
        },
        "memory": {"time": moment, "workingSetBytes": sum(one.memory_bytes for one in usage)},
    }
