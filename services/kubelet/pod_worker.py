"""What the kubelet remembers of one Pod between two looks at it.

A worker goes from SYNC through TERMINATING to TERMINATED and never back. Any source may poke it;
`Kubelet` runs at most one look at a time, and pokes that come meanwhile make one more. A look that
waits for long (a pull, a grace period) does so in `interruptible`, so that a deletion need not
wait for it. Upstream: `pkg/kubelet/pod_workers.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from services.api.core_v1 import Container, Pod
from services.api.object import ObjectKey
from services.kubelet import ephemeral
from services.kubelet.container_status import Status, Waiting
from services.kubelet.cri import ContainerState
from services.kubelet.prober import PodProbes
from services.kubelet.resize import ResizeState, as_granted
from services.kubelet.restart_backoff import RestartBackoff
from services.kubelet.runtime_view import RuntimeView
from services.kubelet.timers import Timer

T = TypeVar("T")

GRACE_SECONDS = 30


class Stage(Enum):
    SYNC = "sync"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class Interrupted(Exception):
    """The Pod's fate has changed; look at it afresh."""


@dataclass(slots=True, eq=False)
class PodWorker:
    pod: Pod
    reported: Status
    view: RuntimeView
    probes: PodProbes
    stage: Stage = Stage.SYNC
    gone: bool = False  # the API server has it no more
    refused: bool = False  # by admission, or evicted: Failed, whatever runs
    reason: str = ""
    message: str = ""
    disruption: str = ""  # why the kubelet itself ended it, for the condition DisruptionTarget
    cause: str = ""
    grace_seconds: int = GRACE_SECONDS
    waiting: dict[str, Waiting] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)  # when a container may be tried again
    awaited: set[str] = field(default_factory=set)  # started containers that no event has shown yet
    killing: set[str] = field(default_factory=set)
    last_words: dict[str, str] = field(default_factory=dict)  # termination messages, by container id
    resize: ResizeState | None = None  # None until the first look
    restarts: RestartBackoff = field(default_factory=RestartBackoff)
    failures: int = 0  # looks in a row that ended in an error
    mounted: bool = False
    stale_volumes: bool = False
    dirty: bool = False
    active: bool = False
    finished: bool = False  # nothing of it is left on the node, and the API server was told
    retry: Timer | None = None
    retry_at: float = 0.0
    deadline: Timer | None = None
    _scope: asyncio.Timeout | None = None

    @property
    def uid(self) -> str:
        return self.pod.metadata.uid or ""

    @property
    def key(self) -> ObjectKey:
        return self.pod.key

    @property
    def name_with_uid(self) -> str:
        """As upstream names a Pod in messages."""
        metadata = self.pod.metadata
        return f"{metadata.name}_{metadata.namespace}({metadata.uid})"

    @property
    def granted(self) -> Pod:
        """The Pod as this node runs it: with the resources that it has granted."""
        return as_granted(self.pod, self.resize.granted) if self.resize else self.pod

    def container(self, name: str) -> Container | None:
        everyone = (*self.pod.spec.containers, *self.pod.spec.init_containers)
        found = next((c for c in everyone if c.name == name), None)
        if found is None and self.pod.spec.ephemeral_containers:
            return next((c for c in ephemeral.containers(self.pod) if c.name == name), None)
        return found

    def terminate(self, grace_seconds: int) -> None:
        """Everything in it is to stop. A second call can only shorten the grace period."""
        if self.stage is Stage.SYNC:
            self.stage = Stage.TERMINATING
            self.grace_seconds = grace_seconds
            self.interrupt()
        elif self.stage is Stage.TERMINATING and grace_seconds < self.grace_seconds:
            self.grace_seconds = grace_seconds
            self.interrupt()

    def interrupt(self) -> None:
        if self._scope is not None:
            self._scope.reschedule(0)

    async def interruptible(self, work: Awaitable[T]) -> T:
        """Waits for `work`, which is cancelled when the worker is interrupted. Raises Interrupted."""
        try:
            async with asyncio.timeout(None) as self._scope:
                return await work
        except TimeoutError:
            raise Interrupted from None
        finally:
            self._scope = None

    def seen(self) -> None:
        """The view was renewed: containers whose start it shows are awaited no more."""
        if not self.awaited:
            return
        for record in self.view.all():
            if record.state != ContainerState.CREATED:
                self.awaited.discard(record.id)
