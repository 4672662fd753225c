"""An object's metadata alone. Upstream takes it from its internal form, which not all annotations reach."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.autoscaling_versions import ANNOTATIONS as AUTOSCALING
from services.apiserver.rules.defaults_workloads import TEMPLATE_GENERATION

Json = dict[str, Any]

# What upstream keeps in fields of its own, and writes as an annotation where an object is shown whole.
_WRITTEN_LAST = {"DaemonSet": (TEMPLATE_GENERATION,), "HorizontalPodAutoscaler": AUTOSCALING}


def partial_object(obj: Json) -> Json:
    metadata = obj.get("metadata", {})
    hidden = _WRITTEN_LAST.get(obj.get("kind", ""), ())
    if any(key in metadata.get("annotations", ()) for key in hidden):
        kept = {key: value for key, value in metadata["annotations"].items() if key not in hidden}
        metadata = {name: value for name, value in metadata.items() if name != "annotations"}
        if kept:
            metadata["annotations"] = kept
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
