"""Pods and runtime records for the tests of the kubelet."""

from __future__ import annotations

from typing import Any

import msgspec

from services.api.core_v1 import Pod
from services.kubelet.cri import ContainerRecord, ContainerState, PodRecord, SandboxRecord
from services.kubelet.runtime_view import RuntimeView

SECOND = 1_000_000_000
UID = "11111111-2222-3333-4444-555555555555"


def pod(*containers: dict[str, Any], uid: str = UID, name: str = "kubia", **spec: Any) -> Pod:
    """A Pod bound to node-1. A container needs no more than what the test is about."""
    full = [{"name": "main", "image": "luksa/kubia", **c} for c in containers or ({},)]
    data = {
        "metadata": {"name": name, "namespace": "default", "uid": uid, "generation": 1},
        "spec": {"nodeName": "node-1", "restartPolicy": "Always", "containers": full, **spec},
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }
    return msgspec.convert(data, Pod)


def running(name: str = "main", attempt: int = 0, **fields: Any) -> ContainerRecord:
    return ContainerRecord(
        id=f"{name}-{attempt}",
        name=name,
        attempt=attempt,
        state=ContainerState.RUNNING,
        image="docker.io/luksa/kubia:latest",
        image_ref="docker.io/luksa/kubia@sha256:abc",
        created_at=SECOND + attempt,
        started_at=SECOND,
        **fields,
    )


def exited(name: str = "main", code: int = 0, attempt: int = 0, finished: int = 5) -> ContainerRecord:
    return ContainerRecord(
        id=f"{name}-{attempt}",
        name=name,
        attempt=attempt,
        state=ContainerState.EXITED,
        image="docker.io/luksa/kubia:latest",
        created_at=SECOND + attempt,
        started_at=SECOND,
        finished_at=finished * SECOND,
        exit_code=code,
        reason="Completed" if code == 0 else "Error",
    )


def view(*containers: ContainerRecord, ready: bool = True, attempt: int = 0) -> RuntimeView:
    """One sandbox with these containers."""
    found = RuntimeView()
    sandbox = SandboxRecord(id=f"s{attempt}", uid=UID, ready=ready, attempt=attempt, ip="10.244.1.7")
    found.put(PodRecord(sandbox=sandbox, containers=containers))
    return found
