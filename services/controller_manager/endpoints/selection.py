"""Which Pods a Service leads to, and to which port of them. Pure but for reading the caches."""

from __future__ import annotations

from collections.abc import Iterable

from services.api.core_v1 import Pod, Service, ServicePort
from services.api.object import ObjectKey
from services.client.controller import Stores
from services.client.store import Store
from services.machinery import labels, pods

BY_LABEL = "label"  # Pods by each of their labels
BY_SELECTOR = "selector"  # Services by one requirement of their selector
HEADLESS_LABEL = "service.kubernetes.io/headless"
SERVICE_NAME = "kubernetes.io/service-name"


def add_indexes(stores: Stores) -> None:
    """To be called before the caches fill; more often is harmless."""
    stores[Pod].add_index(BY_LABEL, _labels_of)
    stores[Service].add_index(BY_SELECTOR, _requirement_of)


def _entry(namespace: str | None, key: str, value: str) -> str:
    return f"{namespace}/{key}={value}"


def _labels_of(pod: Pod) -> Iterable[str]:
    return [_entry(pod.metadata.namespace, key, value) for key, value in pod.metadata.labels.items()]


def _requirement_of(service: Service) -> Iterable[str]:
    """One is enough: a Pod that is selected meets them all."""
    if not service.spec.selector:
        return ()
    key = min(service.spec.selector)
    return (_entry(service.metadata.namespace, key, service.spec.selector[key]),)


def selected(store: Store[Pod], service: Service) -> list[Pod]:
    """The Pods that the Service's selector matches, by name."""
    selector, namespace = service.spec.selector, service.metadata.namespace
    entries = [_entry(namespace, key, value) for key, value in selector.items()]
    fewest = min((store.by_index(BY_LABEL, entry) for entry in entries), key=len, default=[])
    matches = labels.from_map(selector).matches
    found = [pod for pod in fewest if matches(pod.metadata.labels)]
    return sorted(found, key=lambda pod: pod.metadata.name or "")


def services_of(pod: Pod, stores: Stores) -> Iterable[ObjectKey]:
    """The Services that select the Pod."""
    found: dict[ObjectKey, None] = {}
    for entry in _labels_of(pod):
        for service in stores[Service].by_index(BY_SELECTOR, entry):
            if service.spec.selector.items() <= pod.metadata.labels.items():
                found[service.key] = None
    return found


def matters(old: Pod | None, new: Pod | None) -> bool:
    """Whether a change of a Pod can change what leads to it: most that a kubelet writes cannot."""
    return old is None or new is None or _essence(old) != _essence(new)


def _essence(pod: Pod) -> tuple[object, ...]:
    return (
        pod.metadata.labels,
        pod.metadata.deletion_timestamp is None,
        pods.is_terminated(pod),
        pods.is_ready(pod),
        [ip.ip for ip in pod.status.pod_ips],
        pod.spec.node_name,
        pod.spec.hostname,
        pod.spec.subdomain,
    )


def counts(pod: Pod, *, with_terminating: bool) -> bool:
    """Whether a Pod is an endpoint at all, ready or not."""
    if pods.is_terminated(pod) or not pod.status.pod_ips:
        return False
    return with_terminating or pod.metadata.deletion_timestamp is None


def hostname_of(pod: Pod, service: Service) -> str | None:
    """The name under which DNS knows the Pod within the Service."""
    if pod.spec.hostname and pod.spec.subdomain == service.metadata.name:
        return pod.spec.hostname
    return None


def port_of(pod: Pod, port: ServicePort) -> int | None:
    """The number of the target port in this Pod; None where it has no port of that name."""
    target = port.target_port if port.target_port is not None else port.port
    if isinstance(target, int):
        return target
    sidecars = [each for each in pod.spec.init_containers if each.restart_policy == "Always"]
    for container in (*pod.spec.containers, *sidecars):
        for found in container.ports:
            if found.name == target and (found.protocol or "TCP") == (port.protocol or "TCP"):
                return found.container_port
    return None


def is_headless(service: Service) -> bool:
    return service.spec.cluster_ip == "None"
