"""Which Pods belong with a Pod: those that its Services and its controller select together.

Default spreading spreads them. Upstream: `plugins/helper.DefaultSelector`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from services.api.apps_v1 import ReplicaSet
from services.api.core_v1 import Pod, ReplicationController, Service
from services.api.object import Object, ObjectKey
from services.machinery import labels
from services.machinery.labels import Selector
from services.machinery.owners import controller_of

T_co = TypeVar("T_co", bound=Object, covariant=True)


class Lister(Protocol[T_co]):
    """As much of an informer's store as this needs."""

    def get(self, key: ObjectKey) -> T_co | None: ...
    def by_index(self, index: str, value: str) -> Sequence[T_co]: ...


class OwnerSelector:
    def __init__(
        self,
        services: Lister[Service],
        replication_controllers: Lister[ReplicationController],
        replica_sets: Lister[ReplicaSet],
    ) -> None:
        self._services = services
        self._replication_controllers = replication_controllers
        self._replica_sets = replica_sets

    def __call__(self, pod: Pod) -> Selector:
        """Empty when nothing owns the Pod."""
        namespace = pod.metadata.namespace or ""
        wanted: dict[str, str] = {}
        for service in self._services.by_index("namespace", namespace):
            if service.spec.selector and service.spec.selector.items() <= pod.metadata.labels.items():
                wanted |= service.spec.selector
        owner = controller_of(pod)
        if owner is None:
            return labels.from_map(wanted)
        key = ObjectKey(namespace, owner.name)
        if owner.kind == "ReplicationController":
            controller = self._replication_controllers.get(key)
            return labels.from_map(wanted | (controller.spec.selector if controller else {}))
        if owner.kind == "ReplicaSet" and (replica_set := self._replica_sets.get(key)) is not None:
            own = labels.from_label_selector(replica_set.spec.selector)
            return Selector(labels.from_map(wanted).requirements + own.requirements, own.nothing)
        return labels.from_map(wanted)
