"""What the scheduler needs to know of a Pod, worked out once when the Pod arrives.

Upstream: `framework.PodInfo`. `requests` is what the Pod asks for; `scored` is the same with a
minimum for containers that ask for nothing, so that a hundred such Pods do not look free.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from services.api.core_v1 import Container, Pod, ResourceRequirements
from services.machinery import pods

DEFAULT_CPU = "100m"
DEFAULT_MEMORY = "200Mi"


class HostPort(NamedTuple):
    ip: str
    protocol: str
    port: int

    def conflicts(self, other: HostPort) -> bool:
        """0.0.0.0 is every address."""
        if (self.protocol, self.port) != (other.protocol, other.port):
            return False
        return self.ip == other.ip or ANY_IP in (self.ip, other.ip)


ANY_IP = "0.0.0.0"


class LabelSet:
    """The namespace and labels of a Pod. Equal ones are one object, so that they can be counted."""

    __slots__ = ("labels", "namespace")

    def __init__(self, namespace: str, labels: Mapping[str, str]) -> None:
        self.namespace, self.labels = namespace, labels


@lru_cache(maxsize=16384)
def _label_set(namespace: str, labels: frozenset[tuple[str, str]]) -> LabelSet:
    return LabelSet(namespace, dict(labels))


class PodInfo:
    __slots__ = ("host_ports", "key", "label_set", "pod", "requests", "scored", "signature", "uid")

    def __init__(self, pod: Pod) -> None:
        metadata = pod.metadata
        self.pod = pod
        self.key = pod.key
        self.uid = metadata.uid or str(self.key)
        self.requests, self.scored = _amounts(pod)
        self.host_ports = _host_ports(pod)
        self.label_set = _label_set(metadata.namespace or "", frozenset(metadata.labels.items()))
        self.signature: bytes | None = None
        """Set by the framework once it has asked the plugins."""

    @property
    def priority(self) -> int:
        return self.pod.spec.priority or 0

    @property
    def terminating(self) -> bool:
        return self.pod.metadata.deletion_timestamp is not None

    def seen_as(self, pod: Pod) -> PodInfo:
        """The same Pod as the watch shows it now: what was worked out holds while spec and labels do."""
        one, other = self.pod.metadata, pod.metadata
        same = one.uid == other.uid and one.generation == other.generation and one.labels == other.labels
        if not same or self.terminating != (other.deletion_timestamp is not None):
            return PodInfo(pod)
        info = object.__new__(PodInfo)
        for name in PodInfo.__slots__:
            setattr(info, name, getattr(self, name))
        info.pod = pod
        return info


def _amounts(pod: Pod) -> tuple[dict[str, int], dict[str, int]]:
    """Requests, and requests with the minimum for containers without any."""
    requests = {name: amount for name, amount in pods.requests_of(pod).items() if amount}
    containers = [*pod.spec.containers, *pod.spec.init_containers]
    if all(_asks_for_both(container) for container in containers) or pod.spec.resources:
        return requests, requests
    spec = replace(
        pod.spec,
        containers=[_with_minimum(container) for container in pod.spec.containers],
        init_containers=[_with_minimum(container) for container in pod.spec.init_containers],
    )
    return requests, pods.requests_of(replace(pod, spec=spec))


def _asks_for_both(container: Container) -> bool:
    requests = container.resources.requests if container.resources else {}
    return "cpu" in requests and "memory" in requests


def _with_minimum(container: Container) -> Container:
    asked = container.resources.requests if container.resources else {}
    requests = {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY, **asked}
    return replace(container, resources=ResourceRequirements(requests=requests))


def _host_ports(pod: Pod) -> tuple[HostPort, ...]:
    sidecars = [c for c in pod.spec.init_containers if pods.is_restartable_init(c)]
    return tuple(
        HostPort(port.host_ip or ANY_IP, port.protocol or "TCP", port.host_port)
        for container in [*pod.spec.containers, *sidecars]
        for port in container.ports
        if port.host_port
    )
