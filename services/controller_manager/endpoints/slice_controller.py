"""EndpointSlice controller: keeps the slices of every Service with a selector.

Unlike Endpoints, slices tell Pods that terminate apart (`serving`, `terminating`), carry zones and hints,
and hold at most a hundred endpoints each, so that one Pod's change writes little. Which slices to touch is
decided in `slices`. The garbage collector deletes those of a Service that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from services.api.core_v1 import Node, Pod, Service
from services.api.discovery_v1 import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForNode,
    ForZone,
)
from services.api.errors import ApiError
from services.api.meta_v1 import ObjectMeta
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.controller_manager.endpoints import selection, slices
from services.controller_manager.endpoints.slice_writer import SliceWriter
from services.controller_manager.endpoints.subsets import reference
from services.controller_manager.endpoints.triggers import ANNOTATION, Triggers
from services.controller_manager.pace import Pace
from services.machinery import pods
from services.machinery.owners import new_controller_ref

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
BY_SERVICE = "service"


def service_of(slice_: EndpointSlice) -> ObjectKey | None:
    """The Service that a slice of ours belongs to."""
    name = slice_.metadata.labels.get(selection.SERVICE_NAME)
    if not name or slice_.metadata.labels.get(MANAGED_BY) != MANAGER:
        return None
    return ObjectKey(slice_.key.namespace, name)


def _is_owned_by(slice_: EndpointSlice, service: Service) -> bool:
    return any(owner.uid == service.metadata.uid for owner in slice_.metadata.owner_references)


def _service_of(slice_: EndpointSlice, stores: Stores) -> list[ObjectKey]:
    key = service_of(slice_)
    return [key] if key else []


def _by_service(slice_: EndpointSlice) -> Iterable[str]:
    key = service_of(slice_)
    return (f"{key.namespace}/{key.name}",) if key else ()


class EndpointSliceController(Controller[Service]):
    name = "endpoint-slice"
    watches = (
        For(Service),
        Watches(Pod, map=selection.services_of, when=selection.matters),
        Watches(EndpointSlice, map=_service_of),
    )

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        selection.add_indexes(self.stores)
        context.informers.informer(Node)
        store = self.store(EndpointSlice)
        store.add_index(BY_SERVICE, _by_service)
        self._writer = SliceWriter(self.client, store, self.clock)
        context.informers.informer(EndpointSlice).add_handler(on_delete=self._observe_deleted)
        self._triggers = Triggers()
        self._pace = Pace()

    def _observe_deleted(self, slice_: EndpointSlice, cause: str) -> None:
        if key := service_of(slice_):
            self._writer.gone(slice_, key)

    async def reconcile(self, service: Service) -> None:
        if not service.spec.selector or service.spec.type == "ExternalName":
            return
        if service.metadata.deletion_timestamp or not self._writer.settled(service.key):
            return  # The slice that has to come wakes us.
        found = selection.selected(self.store(Pod), service)
        wait = self._pace.wait_seconds(service.key, len(found), self.clock.monotonic())
        if wait:
            self.requeue_after(service.key, wait)
            return
        key = f"{service.key.namespace}/{service.key.name}"
        existing = self.store(EndpointSlice).by_index(BY_SERVICE, key)
        moment = self._triggers.moment(service, found)
        own = [each for each in existing if _is_owned_by(each, service)]
        plan = slices.plan(
            own,
            self._desired(service, found),
            lambda ports: _new_slice(service, ports),
            lambda slice_: _relabelled(service, slice_),
        )
        # A Service of that name that was deleted had slices too: they will be collected, and serve no more.
        plan.delete += [each for each in existing if not _is_owned_by(each, service)]
        await self._carry_out(service, plan, moment)

    async def _carry_out(self, service: Service, plan: slices.Plan, moment: str) -> None:
        if not (plan.create or plan.update or plan.delete):
            return
        try:
            await self._writer.carry_out(service.key, plan, lambda: {ANNOTATION: moment} if moment else {})
        except ApiError as error:
            if error.reason == "Forbidden" and "being terminated" in error.message:
                return
            name = f"{service.key.namespace}/{service.key.name}"
            why = f"Error updating Endpoint Slices for Service {name}: {error.message}"
            self.recorder.event(service, "Warning", "FailedToUpdateEndpointSlices", why)
            raise
        self.log.debug(
            "Wrote the slices of the Service", kind="Service", namespace=service.key.namespace,
            name=service.key.name, created=len(plan.create), updated=len(plan.update),
            deleted=len(plan.delete),
        )  # fmt: skip

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._triggers.forget(key)
        self._pace.forget(key)
        self._writer.forget(key)

    def _desired(self, service: Service, found: Iterable[Pod]) -> list[slices.Desired]:
        groups: dict[slices.PortKey, slices.Desired] = {}
        for pod in found:
            if not selection.counts(pod, with_terminating=True):
                continue
            ports = _ports(service, pod)
            group = groups.setdefault(slices.port_key(ports), slices.Desired(ports, []))
            group.endpoints.append(self._endpoint(service, pod))
        return list(groups.values())

    def _endpoint(self, service: Service, pod: Pod) -> Endpoint:
        serving, terminating = pods.is_ready(pod), pod.metadata.deletion_timestamp is not None
        ready = bool(service.spec.publish_not_ready_addresses) or (serving and not terminating)
        node_name = pod.spec.node_name or ""
        node = self.store(Node).get(ObjectKey("", node_name)) if node_name else None
        zone = node.metadata.labels.get(ZONE) if node else None
        return Endpoint(
            addresses=[pod.status.pod_ips[0].ip or ""],
            conditions=EndpointConditions(ready=ready, serving=serving, terminating=terminating),
            hostname=selection.hostname_of(pod, service),
            node_name=node_name or None,
            target_ref=reference(pod),
            zone=zone,
            hints=_hints(service, zone, node_name) if ready else None,
        )


def _hints(service: Service, zone: str | None, node_name: str) -> EndpointHints | None:
    """Who should be led to this endpoint first, where the Service wants its traffic kept near."""
    wanted = service.spec.traffic_distribution
    zones = [ForZone(name=zone)] if zone else []
    if wanted in ("PreferClose", "PreferSameZone"):
        return EndpointHints(for_zones=zones) if zones else None
    if wanted == "PreferSameNode":
        return EndpointHints(for_zones=zones, for_nodes=[ForNode(name=node_name)] if node_name else [])
    return None


def _ports(service: Service, pod: Pod) -> list[EndpointPort]:
    found = [(port, selection.port_of(pod, port)) for port in service.spec.ports]
    return [
        EndpointPort(
            name=port.name or "", port=number, protocol=port.protocol or "TCP", app_protocol=port.app_protocol
        )
        for port, number in found
        if number is not None
    ]


def _labels(service: Service) -> dict[str, str]:
    own = {selection.SERVICE_NAME: service.metadata.name or "", MANAGED_BY: MANAGER}
    if selection.is_headless(service):
        own[selection.HEADLESS_LABEL] = ""
    return {**service.metadata.labels, **own}


def _relabelled(service: Service, slice_: EndpointSlice) -> EndpointSlice:
    wanted = _labels(service)
    if slice_.metadata.labels == wanted:
        return slice_
    return replace(slice_, metadata=replace(slice_.metadata, labels=wanted))


def _new_slice(service: Service, ports: list[EndpointPort]) -> EndpointSlice:
    metadata = ObjectMeta(
        generate_name=f"{service.metadata.name}-",
        namespace=service.metadata.namespace,
        labels=_labels(service),
        owner_references=[new_controller_ref(service)],
    )
    return EndpointSlice(metadata=metadata, address_type="IPv4", ports=ports)
