"""What the runtime holds of one Pod: the newest sandbox, and the history of each container.

This is the kubelet's cache of PLEG. It is replaced as a whole by each event or relist, so that a lost
event costs time and never truth. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.kubelet.cri import ContainerRecord, PodRecord, SandboxRecord


@dataclass(slots=True)
class RuntimeView:
    """Sandboxes newest first; containers by name, newest first."""

    sandboxes: list[SandboxRecord] = field(default_factory=list)
    containers: dict[str, list[ContainerRecord]] = field(default_factory=dict)
    current: dict[str, ContainerRecord] = field(default_factory=dict)  # those in the newest sandbox
    _by_sandbox: dict[str, PodRecord] = field(default_factory=dict)

    def put(self, record: PodRecord) -> None:
        """Takes in what the runtime says of one sandbox and its containers."""
        self._by_sandbox[record.sandbox.id] = record
        self._index()

    def note(self, sandbox_id: str, container: ContainerRecord) -> None:
        """Takes in one container ahead of the runtime's event about it."""
        known = self._by_sandbox.get(sandbox_id)
        if known is None:
            return
        others = tuple(c for c in known.containers if c.id != container.id)
        self.put(PodRecord(sandbox=known.sandbox, containers=(*others, container)))

    def remove(self, identifier: str) -> None:
        """A sandbox or a container is gone."""
        if self._by_sandbox.pop(identifier, None) is None:
            for key, record in self._by_sandbox.items():
                left = tuple(c for c in record.containers if c.id != identifier)
                if len(left) != len(record.containers):
                    self._by_sandbox[key] = PodRecord(sandbox=record.sandbox, containers=left)
                    break
        self._index()

    def _index(self) -> None:
        records = self._by_sandbox.values()
        self.sandboxes = sorted(
            (record.sandbox for record in records), key=lambda s: (s.attempt, s.created_at), reverse=True
        )
        self.containers = {}
        for record in records:
            for container in record.containers:
                self.containers.setdefault(container.name, []).append(container)
        for history in self.containers.values():
            if len(history) > 1:
                history.sort(key=lambda c: (c.attempt, c.created_at), reverse=True)
        newest = self._by_sandbox[self.sandboxes[0].id].containers if self.sandboxes else ()
        self.current = {}
        for container in sorted(newest, key=lambda c: (c.attempt, c.created_at)):
            self.current[container.name] = container

    def __contains__(self, record: PodRecord) -> bool:
        """Whether this is what is known of that sandbox already."""
        return self._by_sandbox.get(record.sandbox.id) == record

    @property
    def sandbox(self) -> SandboxRecord | None:
        return self.sandboxes[0] if self.sandboxes else None

    @property
    def ready_sandbox(self) -> SandboxRecord | None:
        newest = self.sandbox
        return newest if newest is not None and newest.ready else None

    def latest(self, name: str) -> ContainerRecord | None:
        history = self.containers.get(name)
        return history[0] if history else None

    def previous(self, name: str) -> ContainerRecord | None:
        history = self.containers.get(name)
        return history[1] if history and len(history) > 1 else None

    def running(self) -> list[ContainerRecord]:
        return [c for history in self.containers.values() for c in history if c.running]

    def all(self) -> list[ContainerRecord]:
        return [c for history in self.containers.values() for c in history]

    @property
    def empty(self) -> bool:
        return not self._by_sandbox
