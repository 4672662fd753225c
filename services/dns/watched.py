"""The zone's view of a cluster: what informers hold, behind indexes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.api.core_v1 import Namespace, Service
from services.api.discovery_v1 import Endpoint, EndpointSlice
from services.api.object import ObjectKey
from services.client.informer import InformerFactory

SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
BY_IP, BY_SERVICE, BY_ADDRESS = "cluster-ip", "service-name", "endpoint-address"


class WatchedCluster:
    """To be made before the informers run."""

    def __init__(self, informers: InformerFactory) -> None:
        self._services = informers.informer(Service)
        self._slices = informers.informer(EndpointSlice)
        self._namespaces = informers.informer(Namespace)
        self._services.store.add_index(BY_IP, _cluster_ips)
        self._slices.store.add_index(BY_SERVICE, _service)
        self._slices.store.add_index(BY_ADDRESS, _headless_addresses)

    async def wait_synced(self) -> None:
        for informer in (self._services, self._slices, self._namespaces):
            await informer.wait_synced()

    def service(self, namespace: str, name: str) -> Service | None:
        return self._services.store.get(ObjectKey(namespace, name))

    def slices(self, namespace: str, service: str) -> Sequence[EndpointSlice]:
        return self._slices.store.by_index(BY_SERVICE, f"{namespace}/{service}")

    def has_namespace(self, name: str) -> bool:
        return ObjectKey("", name) in self._namespaces.store

    def services_at(self, ip: str) -> Iterable[Service]:
        return self._services.store.by_index(BY_IP, ip)

    def endpoints_at(self, ip: str) -> Iterable[tuple[EndpointSlice, Endpoint]]:
        for slice_ in self._slices.store.by_index(BY_ADDRESS, ip):
            for endpoint in slice_.endpoints:
                if ip in endpoint.addresses:
                    yield slice_, endpoint


def _cluster_ips(service: Service) -> Iterable[str]:
    return [ip for ip in service.spec.cluster_ips if ip != "None"]


def _service(slice_: EndpointSlice) -> Iterable[str]:
    name = slice_.metadata.labels.get(SERVICE_NAME)
    return [f"{slice_.metadata.namespace}/{name}"] if name else []


def _headless_addresses(slice_: EndpointSlice) -> Iterable[str]:
    if HEADLESS not in slice_.metadata.labels:
        return []
    return {address for endpoint in slice_.endpoints for address in endpoint.addresses}
