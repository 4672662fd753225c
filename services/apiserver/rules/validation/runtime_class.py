"""RuntimeClasses: which runtime of a node runs a Pod. Upstream: `pkg/apis/node/validation`."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names, resources, scheduling
from services.apiserver.rules.validation.meta import immutable, labels, object_meta, object_meta_update
from services.machinery.field_errors import Causes

Json = dict[str, Any]


def runtime_class(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    handler = obj.get("handler", "")
    names.check(names.dns1123_label(handler), "handler", handler, out)
    for name, text in ((obj.get("overhead") or {}).get("podFixed") or {}).items():
        path = f"overhead.podFixed[{name}]"
        resources.pod_name(name, path, out)
        resources.amount(name, str(text), path, out)
    placing = obj.get("scheduling") or {}
    if placing.get("nodeSelector"):
        labels(placing["nodeSelector"], "scheduling.nodeSelector", out)
    scheduling.tolerations(placing.get("tolerations") or [], "scheduling.tolerations", out)


def runtime_class_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    immutable(new.get("handler", ""), old.get("handler", ""), "handler", out)
