"""Service controller: gives every Service of type LoadBalancer an address, and takes it back.

First `<pending>`, as a cloud takes its time; then the address stands in the status and is listened on. A
finalizer keeps a Service until its load balancer is gone. What cannot be done (no address left, a port that
is taken) is told as an Event, the Service stays pending, and it is tried again. After a crash the addresses
that stand in the status are listened on again before new ones are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from services.api.core_v1 import Node, Service
from services.api.discovery_v1 import EndpointSlice
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.cloud_controller_manager.addresses import AddressPool
from services.cloud_controller_manager.balancer import Backend, CannotListen, LoadBalancer
from services.machinery import conditions
from services.machinery.backoff import Backoff

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
SERVICE_NAME = "kubernetes.io/service-name"
BY_SERVICE = "service-name"
RETRY_SECONDS, RETRY_SECONDS_MAX = 5.0, 300.0


def _balanced(node: Node, stores: Stores) -> Iterable[ObjectKey]:
    """A node that comes or goes concerns every load balancer."""
    return [service.key for service in stores[Service].list() if wants_balancer(service)]


def _service_of(slice_: EndpointSlice, stores: Stores) -> Iterable[ObjectKey]:
    """Only where traffic stays on its node does it matter on which nodes the Pods are."""
    key = ObjectKey(slice_.key.namespace, slice_.metadata.labels.get(SERVICE_NAME, ""))
    service = stores[Service].get(key)
    return [key] if service is not None and _is_local(service) else []


def wants_balancer(service: Service) -> bool:
    """One of another class is another controller's."""
    return service.spec.type == "LoadBalancer" and not service.spec.load_balancer_class


def _is_local(service: Service) -> bool:
    return service.spec.external_traffic_policy == "Local"


def usable(node: Node) -> bool:
    """Whether a load balancer sends anything there."""
    if EXCLUDED in node.metadata.labels or node.metadata.deletion_timestamp:
        return False
    return conditions.is_true(node.status.conditions, "Ready")


def _turned(old: Node | None, new: Node | None) -> bool:
    if old is None or new is None:
        return True
    return (usable(old), _address(old)) != (usable(new), _address(new))


def _address(node: Node) -> str:
    return next((each.address for each in node.status.addresses if each.type == "InternalIP"), "")


class ServiceController(Controller[Service]):
    name = "service"
    workers = 1  # Addresses are given one by one.
    event_source = "service-controller"
    watches = (
        For(Service),
        Watches(Node, map=_balanced, when=_turned),
        Watches(EndpointSlice, map=_service_of),
    )

    def __init__(
        self,
        context: ControllerContext,
        pool: AddressPool,
        provision_seconds: float,
        balancer: Callable[[str], LoadBalancer],
    ) -> None:
        super().__init__(context)
        self._pool, self._provision_seconds, self._make = pool, provision_seconds, balancer
        self._balancers: dict[ObjectKey, LoadBalancer] = {}
        self._due: dict[ObjectKey, float] = {}  # when the cloud will be done
        self._backoff = Backoff(RETRY_SECONDS, RETRY_SECONDS_MAX)
        self.store(EndpointSlice).add_index(BY_SERVICE, _by_service)

    async def start(self) -> None:
        for service in self.store(Service).list():
            for ip in _given(service):
                if wants_balancer(service):
                    self._pool.occupy(service.key, ip)

    async def reconcile(self, service: Service) -> None:
        if service.metadata.deletion_timestamp or not wants_balancer(service):
            await self._take_back(service)
            return
        if FINALIZER not in service.metadata.finalizers:
            await self._patch(
                service, {"metadata": {"finalizers": [*service.metadata.finalizers, FINALIZER]}}
            )
        if not _given(service) and not self._is_done(service):
            return
        await self._ensure(service)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._forget(key)
        self._backoff.forget(key)

    def _is_done(self, service: Service) -> bool:
        """A cloud needs a while; until then the address is `<pending>`."""
        now = self.clock.monotonic()
        if service.key not in self._due:
            self._due[service.key] = now + self._provision_seconds
            self._tell(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        left = self._due[service.key] - now
        if left > 0:
            self.requeue_after(service.key, left)
        return left <= 0

    async def _ensure(self, service: Service) -> None:
        try:
            ip = await self._listen(service)
        except CannotListen as error:
            why = f"Error syncing load balancer: failed to ensure load balancer: {error}"
            self._tell(service, "Warning", "SyncLoadBalancerFailed", why)
            self._forget(service.key)
            await self._set_address(service, None)
            self.requeue_after(service.key, self._backoff.next(service.key))
            return
        self._backoff.forget(service.key)
        if _given(service) != [ip]:
            await self._set_address(service, ip)
            self._due.pop(service.key, None)
            self._tell(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
            self.log.info("Gave the Service a load balancer", **_names(service.key), ip=ip)

    async def _listen(self, service: Service) -> str:
        """Raises CannotListen."""
        ip = self._pool.take(service.key, service.spec.load_balancer_ip or "")
        if ip is None:
            wanted = service.spec.load_balancer_ip
            raise CannotListen(f"address {wanted} is not to be had" if wanted else "no address is left")
        balancer = self._balancers.get(service.key)
        if balancer is not None and balancer.ip != ip:
            balancer.close()
            balancer = None
        if balancer is None:
            balancer = self._balancers[service.key] = self._make(ip)
        await balancer.ensure(self._ports(service))
        return ip

    def _ports(self, service: Service) -> dict[int, tuple[Backend, ...]]:
        nodes = [node for node in self.store(Node).list() if usable(node)]
        if _is_local(service):
            having = self._nodes_with_endpoints(service)
            nodes = [node for node in nodes if node.key.name in having]
        addresses = sorted(_address(node) for node in nodes)
        ports = {}
        for port in service.spec.ports:
            if (port.protocol or "TCP") != "TCP":
                raise CannotListen(f"protocol {port.protocol} is not supported by this load balancer")
            if not port.node_port:
                raise CannotListen("a Service without node ports cannot be reached by this load balancer")
            ports[port.port] = tuple(Backend(ip, port.node_port) for ip in addresses)
        return ports

    def _nodes_with_endpoints(self, service: Service) -> set[str]:
        key = f"{service.key.namespace}/{service.key.name}"
        return {
            endpoint.node_name or ""
            for slice_ in self.store(EndpointSlice).by_index(BY_SERVICE, key)
            for endpoint in slice_.endpoints
            if endpoint.conditions is None or endpoint.conditions.ready is not False
        }

    async def _take_back(self, service: Service) -> None:
        held = service.key in self._balancers or FINALIZER in service.metadata.finalizers
        if not held:
            return
        self._tell(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
        self._forget(service.key)
        if _given(service) and not service.metadata.deletion_timestamp:
            await self._set_address(service, None)
        if FINALIZER in service.metadata.finalizers:
            kept = [each for each in service.metadata.finalizers if each != FINALIZER]
            await self._patch(service, {"metadata": {"finalizers": kept or None}})
        self._tell(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")
        self.log.info("Took back the Service's load balancer", **_names(service.key))

    def _forget(self, key: ObjectKey) -> None:
        self._due.pop(key, None)
        self._pool.release(key)
        if (balancer := self._balancers.pop(key, None)) is not None:
            balancer.close()

    def close(self) -> None:
        """Ends every load balancer."""
        for balancer in self._balancers.values():
            balancer.close()

    async def _set_address(self, service: Service, ip: str | None) -> None:
        if ip is None and not _given(service):
            return
        ingress = [{"ip": ip, "ipMode": "VIP"}] if ip else None
        await self._patch(service, {"status": {"loadBalancer": {"ingress": ingress}}}, "status")

    async def _patch(self, service: Service, patch: dict[str, Any], subresource: str = "") -> None:
        patch = {**patch, "metadata": {**patch.get("metadata", {}), "uid": service.metadata.uid}}
        key = service.key
        await self.client.patch(Service, key.name, key.namespace, patch, subresource=subresource)

    def _tell(self, service: Service, kind: str, reason: str, message: str) -> None:
        self.recorder.event(service, kind, reason, message)


def _by_service(slice_: EndpointSlice) -> Iterable[str]:
    name = slice_.metadata.labels.get(SERVICE_NAME)
    return [f"{slice_.key.namespace}/{name}"] if name else []


def _given(service: Service) -> list[str]:
    balancer = service.status.load_balancer
    return [each.ip for each in balancer.ingress if each.ip] if balancer else []


def _names(key: ObjectKey) -> dict[str, str]:
    return {"kind": "Service", "namespace": key.namespace, "name": key.name}
