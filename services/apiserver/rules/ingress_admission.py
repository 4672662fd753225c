"""Which class an Ingress gets that names none. Upstream's plugin DefaultIngressClass."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.apiserver.rules.context import Context

Json = dict[str, Any]

_CLASSES = kinds.resource_of_kind("networking.k8s.io/v1", "IngressClass")
_IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_ANNOTATION = "kubernetes.io/ingress.class"


def default_class(obj: Json, ctx: Context) -> None:
    """The default one; of several the youngest."""
    if obj["spec"].get("ingressClassName") is not None or _CLASSES is None:
        return
    if _ANNOTATION in obj["metadata"].get("annotations", {}):
        return
    found = [each["metadata"] for each in ctx.every(_CLASSES) if _is_default(each)]
    found.sort(key=lambda meta: meta["name"])
    if found:
        youngest = max(found, key=lambda meta: meta.get("creationTimestamp", ""))  # the first of equals
        obj["spec"]["ingressClassName"] = youngest["name"]


def _is_default(ingress_class: Json) -> bool:
    return bool(ingress_class["metadata"].get("annotations", {}).get(_IS_DEFAULT) == "true")
