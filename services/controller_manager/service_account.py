"""ServiceAccount controller: every namespace has a ServiceAccount `default`, which Pods fall back on."""

from __future__ import annotations

from collections.abc import Iterable

from services.api.core_v1 import Namespace, ServiceAccount
from services.api.errors import ApiError, is_already_exists
from services.api.meta_v1 import ObjectMeta
from services.api.object import ObjectKey
from services.client.controller import Controller, For, Stores, Watches

NAME = "default"


def _namespace_of(account: ServiceAccount, stores: Stores) -> Iterable[ObjectKey]:
    return [ObjectKey("", account.key.namespace)] if account.key.name == NAME else []


class ServiceAccountController(Controller[Namespace]):
    name = "serviceaccount"
    watches = (For(Namespace), Watches(ServiceAccount, map=_namespace_of))

    async def reconcile(self, namespace: Namespace) -> None:
        key = ObjectKey(namespace.key.name, NAME)
        if namespace.status.phase == "Terminating" or key in self.store(ServiceAccount):
            return
        metadata = ObjectMeta(name=NAME, namespace=key.namespace)
        try:
            await self.client.create(ServiceAccount(metadata=metadata))
        except ApiError as error:
            if is_already_exists(error):
                return
            if error.reason == "Forbidden" and "being terminated" in error.message:
                return  # Refused: the namespace began to end meanwhile.
            raise
        self.log.info("Created the default ServiceAccount", kind="ServiceAccount", namespace=key.namespace)
