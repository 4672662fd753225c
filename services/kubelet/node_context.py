"""What all parts of one node's kubelet share: who it is, whom it talks to, what it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from services.api.core_v1 import Container, Node, Pod, Service
from services.client.client import Client
from services.client.recorder import EventRecorder
from services.kubelet.cri import Cri
from services.kubelet.mirror_statuses import MirrorStatuses
from services.kubelet.references import References
from services.kubelet.timers import Timers
from services.kubelet.tokens import Tokens
from services.machinery.clock import Clock
from services.process.logging import Logger

NOT_READY_NETWORK = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


@dataclass(slots=True, kw_only=True)
class NodeContext:
    name: str
    ip: str
    root: Path
    cri: Cri
    client: Client
    recorder: EventRecorder
    clock: Clock
    random: Random
    log: Logger
    timers: Timers
    group: asyncio.TaskGroup
    statuses: MirrorStatuses
    references: References
    tokens: Tokens
    services: Callable[[], Iterable[Service]]
    capacity: dict[str, str]
    allocatable: dict[str, str]
    network_message: str = NOT_READY_NETWORK  # empty once the node has its Pod CIDR
    node: Node | None = None  # as the API server last showed it
    pressure: frozenset[str] = frozenset()  # conditions of the node that eviction has found
    shutting_down: bool = False
    labels: dict[str, str] = field(default_factory=dict)

    def pod_event(self, pod: Pod, type: str, reason: str, message: str) -> None:
        self.recorder.event(pod, type, reason, message)

    def container_event(self, pod: Pod, container: Container, type: str, reason: str, message: str) -> None:
        """An event whose field path names the container, as `kubectl describe` shows it."""
        group = "containers"
        if any(other.name == container.name for other in pod.spec.init_containers):
            group = "initContainers"
        elif any(other.name == container.name for other in pod.spec.ephemeral_containers):
            group = "ephemeralContainers"
        path = f"spec.{group}{{{container.name}}}"
        self.recorder.event(pod, type, reason, message, field_path=path)
