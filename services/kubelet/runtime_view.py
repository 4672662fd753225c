"""What the runtime holds of one Pod: the newest sandbox, and the history of each container.

This is the kubelet's cache of PLEG. It is replaced as a whole by each event or relist, so that a lost
event costs time and never truth. But an event may also come late: what it says of a sandbox may
be older than what the kubelet has done there since. So a container that was noted ahead of the
runtime's news stays until the news shows it, and no container's state goes back: else the
kubelet would start a second one beside it. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.kubelet.cri import ContainerRecord, ContainerState, PodRecord, SandboxRecord


@dataclass(slots=True)
class RuntimeView:
    """Sandboxes newest first; containers by name, newest first."""

    sandboxes: list[SandboxRecord] = field(default_factory=list)
    containers: dict[str, list[ContainerRecord]] = field(default_factory=dict)
    current: dict[str, ContainerRecord] = field(default_factory=dict)  # those in the newest sandbox
    _by_sandbox: dict[str, PodRecord] = field(default_factory=dict)
    _ahead: set[str] = field(default_factory=set)  # noted containers that no news has shown yet

    def put(self, record: PodRecord) -> None:
        """Takes in what the runtime says of one sandbox and its containers."""
        known = self._by_sandbox.get(record.sandbox.id)
        self._ahead.difference_update(container.id for container in record.containers)
        self._by_sandbox[record.sandbox.id] = record if known is None else self._newest(known, record)
        self._index()

    def _newest(self, known: PodRecord, news: PodRecord) -> PodRecord:
        states = {container.id: container for container in known.containers}
        containers = [states.get(c.id, c) if is_past(c, states.get(c.id)) else c for c in news.containers]
        containers += [container for container in known.containers if container.id in self._ahead]
        return PodRecord(sandbox=news.sandbox, containers=tuple(containers))

    def note(self, sandbox_id: str, container: ContainerRecord) -> None:
        """Takes in one container ahead of the runtime's event about it."""
        known = self._by_sandbox.get(sandbox_id)
        if known is None:
            return
        if container.id not in {c.id for c in known.containers}:
            self._ahead.add(container.id)
        others = tuple(c for c in known.containers if c.id != container.id)
        self._by_sandbox[sandbox_id] = PodRecord(sandbox=known.sandbox, containers=(*others, container))
        self._index()

    def remove(self, identifier: str) -> None:
        """A sandbox or a container is gone."""
        self._ahead.discard(identifier)
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


def is_past(news: ContainerRecord, known: ContainerRecord | None) -> bool:
    """Whether the news tells of a state that the container has left already."""
    return known is not None and news.state < known.state <= ContainerState.EXITED
