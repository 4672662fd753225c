"""Root CA publisher: the API server's CA certificate in a ConfigMap of every namespace.

Pods find there what to check the API server's certificate against. Without a CA there is nothing to
publish and the controller does not run. Upstream: pkg/controller/certificates/rootcacertpublisher.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.api.core_v1 import ConfigMap, Namespace
from services.api.errors import ApiError, is_already_exists
from services.api.meta_v1 import ObjectMeta
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Stores, Watches

NAME = "kube-root-ca.crt"
ANNOTATIONS = {
    # The text is part of the object that clients see.
    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when "
    "using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
}


def _namespace_of(config: ConfigMap, stores: Stores) -> Iterable[ObjectKey]:
    return [ObjectKey("", config.key.namespace)] if config.key.name == NAME else []


class RootCaPublisher(Controller[Namespace]):
    name = "root-ca-certificate-publisher"
    watches = (For(Namespace), Watches(ConfigMap, map=_namespace_of))

    def __init__(self, context: ControllerContext, certificate: str) -> None:
        super().__init__(context)
        self._data = {"ca.crt": certificate}

    async def reconcile(self, namespace: Namespace) -> None:
        if namespace.status.phase == "Terminating":
            return
        key = ObjectKey(namespace.key.name, NAME)
        found: ConfigMap | None = self.store(ConfigMap).get(key)
        if found is None:
            metadata = ObjectMeta(name=NAME, namespace=key.namespace, annotations=ANNOTATIONS)
            try:
                await self.client.create(ConfigMap(metadata=metadata, data=self._data))
            except ApiError as error:
                ending = error.reason == "Forbidden" and "being terminated" in error.message
                if not ending and not is_already_exists(error):
                    raise
        elif found.data != self._data:
            await self.client.patch(ConfigMap, NAME, key.namespace, {"data": self._data})
