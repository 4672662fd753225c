"""EndpointSlice mirroring: slices of Endpoints written by hand for a Service without a selector.

Everything that reads slices (kube-proxy, DNS) then sees them. Endpoints that a controller wrote, or that are
labelled to be skipped, are left alone. The slices belong to the Endpoints object and go with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from services.api.core_v1 import EndpointAddress, Endpoints, EndpointSubset, Service
from services.api.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from services.api.errors import ApiError
from services.api.meta_v1 import ObjectMeta
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.controller_manager.endpoints import selection, slices, subsets
from services.controller_manager.endpoints.slice_controller import MANAGED_BY
from services.controller_manager.endpoints.slice_writer import SliceWriter
from services.controller_manager.endpoints.triggers import ANNOTATION
from services.machinery.owners import new_controller_ref

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
BY_ENDPOINTS = "endpoints"
_ELECTION = "control-plane.alpha.kubernetes.io/leader"


def _endpoints_of(slice_: EndpointSlice) -> ObjectKey | None:
    name = slice_.metadata.labels.get(selection.SERVICE_NAME)
    if not name or slice_.metadata.labels.get(MANAGED_BY) != MANAGER:
        return None
    return ObjectKey(slice_.key.namespace, name)


def _by_endpoints(slice_: EndpointSlice) -> Iterable[str]:
    key = _endpoints_of(slice_)
    return (f"{key.namespace}/{key.name}",) if key else ()


def _mapped(slice_: EndpointSlice, stores: Stores) -> list[ObjectKey]:
    key = _endpoints_of(slice_)
    return [key] if key else []


class EndpointSliceMirroring(Controller[Endpoints]):
    name = "endpoint-slice-mirroring"
    watches = (
        For(Endpoints),
        Watches(Service, map=lambda service, stores: [service.key]),
        Watches(EndpointSlice, map=_mapped),
    )

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        store = self.store(EndpointSlice)
        store.add_index(BY_ENDPOINTS, _by_endpoints)
        self._writer = SliceWriter(self.client, store, self.clock)
        context.informers.informer(EndpointSlice).add_handler(on_delete=self._observe_deleted)

    def _observe_deleted(self, slice_: EndpointSlice, cause: str) -> None:
        if key := _endpoints_of(slice_):
            self._writer.gone(slice_, key)

    async def reconcile(self, endpoints: Endpoints) -> None:
        if not self._writer.settled(endpoints.key):
            return
        service = self.store(Service).get(endpoints.key)
        wanted = _by_hand(endpoints) and service is not None and not service.spec.selector
        existing = self.store(EndpointSlice).by_index(
            BY_ENDPOINTS, f"{endpoints.key.namespace}/{endpoints.key.name}"
        )
        if wanted and endpoints.metadata.deletion_timestamp is None:
            plan = slices.plan(
                existing,
                [_desired(subset) for subset in endpoints.subsets],
                lambda ports: _new_slice(endpoints, ports),
                lambda slice_: _relabelled(endpoints, slice_),
            )
        else:
            plan = slices.Plan(delete=list(existing))
        try:
            await self._writer.carry_out(endpoints.key, plan, lambda: _annotations(endpoints))
        except ApiError as error:
            if error.reason == "Forbidden" and "being terminated" in error.message:
                return
            raise

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._writer.forget(key)


def _by_hand(endpoints: Endpoints) -> bool:
    meta = endpoints.metadata
    if meta.labels.get(SKIP) == "true" or _ELECTION in meta.annotations:
        return False
    return meta.labels.get(subsets.MANAGED_BY) != subsets.MANAGER


def _desired(subset: EndpointSubset) -> slices.Desired:
    ports = [
        EndpointPort(
            name=port.name or "", port=port.port, protocol=port.protocol, app_protocol=port.app_protocol
        )
        for port in subset.ports
    ]
    ready = [_endpoint(address, ready=True) for address in subset.addresses]
    return slices.Desired(ports, ready + [_endpoint(a, ready=False) for a in subset.not_ready_addresses])


def _endpoint(address: EndpointAddress, *, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=[address.ip],
        conditions=EndpointConditions(ready=ready),
        hostname=address.hostname,
        node_name=address.node_name,
        target_ref=address.target_ref,
    )


def _labels(endpoints: Endpoints) -> dict[str, str]:
    own = {selection.SERVICE_NAME: endpoints.metadata.name or "", MANAGED_BY: MANAGER}
    return {**endpoints.metadata.labels, **own}


def _annotations(endpoints: Endpoints) -> dict[str, str]:
    skipped = (ANNOTATION, "kubectl.kubernetes.io/last-applied-configuration")
    return {key: value for key, value in endpoints.metadata.annotations.items() if key not in skipped}


def _relabelled(endpoints: Endpoints, slice_: EndpointSlice) -> EndpointSlice:
    wanted = _labels(endpoints)
    if slice_.metadata.labels == wanted:
        return slice_
    return replace(slice_, metadata=replace(slice_.metadata, labels=wanted))


def _new_slice(endpoints: Endpoints, ports: list[EndpointPort]) -> EndpointSlice:
    metadata = ObjectMeta(
        generate_name=f"{endpoints.metadata.name}-",
        namespace=endpoints.metadata.namespace,
        labels=_labels(endpoints),
        owner_references=[new_controller_ref(endpoints)],
    )
    address = next((a.ip for s in endpoints.subsets for a in (*s.addresses, *s.not_ready_addresses)), "")
    return EndpointSlice(metadata=metadata, address_type="IPv6" if ":" in address else "IPv4", ports=ports)
