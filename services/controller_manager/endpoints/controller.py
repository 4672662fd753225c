"""Endpoints controller: keeps the Endpoints object of every Service with a selector.

Level driven; everything is computed anew from the caches. A large set is looked at only so often, since
its object is written whole. Deleting a Service deletes the object of its name. After a crash the next
reconcile finds the difference; a write that raced is refused by its revision and tried again.
"""

from __future__ import annotations

from services.api.core_v1 import Endpoints, Pod, Service
from services.api.errors import ApiError, is_already_exists, is_not_found
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.controller_manager.endpoints import selection, subsets
from services.controller_manager.endpoints.triggers import Triggers
from services.controller_manager.pace import Pace


def _own_service(endpoints: Endpoints, stores: Stores) -> list[ObjectKey]:
    managed = endpoints.metadata.labels.get(subsets.MANAGED_BY) == subsets.MANAGER
    return [endpoints.key] if managed or endpoints.key in stores[Service] else []


class EndpointsController(Controller[Service]):
    name = "endpoint"
    watches = (
        For(Service),
        Watches(Pod, map=selection.services_of, when=selection.matters),
        Watches(Endpoints, map=_own_service, when=lambda old, new: new is None),
    )

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        selection.add_indexes(self.stores)
        self._triggers = Triggers()
        self._pace = Pace()

    async def start(self) -> None:
        """Objects whose Service went while nobody looked."""
        for endpoints in self.store(Endpoints).list():
            if endpoints.metadata.labels.get(subsets.MANAGED_BY) == subsets.MANAGER:
                self.enqueue(endpoints.key)

    async def reconcile(self, service: Service) -> None:
        if not service.spec.selector or service.spec.type == "ExternalName":
            return
        pods = selection.selected(self.store(Pod), service)
        wait = self._pace.wait_seconds(service.key, len(pods), self.clock.monotonic())
        if wait:
            self.requeue_after(service.key, wait)
            return
        existing = self.store(Endpoints).get(service.key)
        planned = subsets.plan(service, pods, existing, self._triggers.moment(service, pods))
        if planned is not None:
            await self._write(service, existing, planned)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._triggers.forget(key)
        self._pace.forget(key)
        if key not in self.store(Endpoints):
            return
        try:
            await self.client.delete(Endpoints, key.name, key.namespace)
        except ApiError as error:
            if not is_not_found(error):
                raise
            return
        self.log.info("Deleted the Endpoints of a Service that is gone", **_names(key))

    async def _write(self, service: Service, existing: Endpoints | None, planned: Endpoints) -> None:
        ready = sum(len(subset.addresses) for subset in planned.subsets)
        try:
            if existing is None:
                await self.client.create(planned)
            else:
                await self.client.update(planned)
        except ApiError as error:
            if existing is None and error.reason == "Forbidden":
                return  # The namespace is ending.
            if is_already_exists(error):
                raise  # By us, and the cache does not show it yet: nothing that anybody has to know.
            verb = "Create" if existing is None else "Update"
            what = f"Failed to {verb.lower()} endpoint {service.key.namespace}/{service.key.name}"
            self.recorder.event(planned, "Warning", f"FailedTo{verb}Endpoint", f"{what}: {error.message}")
            raise
        self.log.info("Wrote who stands behind the Service", ready=ready, **_names(service.key))


def _names(key: ObjectKey) -> dict[str, str]:
    return {"kind": "Endpoints", "namespace": key.namespace, "name": key.name}
