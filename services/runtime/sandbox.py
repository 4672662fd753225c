"""A Pod's sandbox: what its containers share. READY until it is stopped, and never again after."""

from __future__ import annotations

from services.runtime.container import Container
from services.runtime.model import SandboxConfig, SandboxState
from services.runtime.network import Namespace
from services.runtime.processes import PidNamespace


class Sandbox:
    __slots__ = ("config", "containers", "created_at", "handler", "id", "namespace", "pids", "state")

    def __init__(
        self, identifier: str, config: SandboxConfig, namespace: Namespace, created_at: int, handler: str
    ) -> None:
        self.id, self.config, self.namespace = identifier, config, namespace
        self.created_at, self.handler = created_at, handler
        self.state = SandboxState.READY
        self.containers: dict[str, Container] = {}
        self.pids: PidNamespace | None = None  # of all its containers, where they share one

    @property
    def ip(self) -> str:
        return self.namespace.ip

    @property
    def hostname(self) -> str:
        return self.namespace.hostname
