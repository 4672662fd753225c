"""Which fields of a kind a field selector may name, and their values.

Upstream keeps two tables, which we keep as one: what its conversion functions accept, and what its
strategies fill in. A kind without an entry has only its name and namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def of(kind: str, obj: Json) -> dict[str, str]:
    """Every selectable field of the object, with the text to compare."""
    metadata = obj.get("metadata", {})
    fields = {"metadata.name": metadata.get("name", ""), "metadata.namespace": metadata.get("namespace", "")}
    more = _MORE.get(kind)
    if more:
        fields.update(more(obj))
    return fields


def _bool(value: Any) -> str:
    return "true" if value else "false"


def _pod(obj: Json) -> dict[str, str]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    ips = status.get("podIPs")
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": _bool(spec.get("hostNetwork")),
        "status.phase": status.get("phase", ""),
        "status.podIP": ips[0].get("ip", "") if ips else "",
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


def _event(obj: Json) -> dict[str, str]:
    involved = obj.get("involvedObject", {})
    fields = {
        f"involvedObject.{name}": involved.get(name, "")
        for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    }
    component = obj.get("source", {}).get("component", "") or obj.get("reportingComponent", "")
    return {
        **fields,
        "reason": obj.get("reason", ""),
        "reportingComponent": obj.get("reportingComponent", ""),
        "source": component,
        "type": obj.get("type", ""),
    }


def _service(obj: Json) -> dict[str, str]:
    spec = obj.get("spec", {})
    return {"spec.clusterIP": spec.get("clusterIP", ""), "spec.type": spec.get("type", "")}


_MORE: dict[str, Callable[[Json], dict[str, str]]] = {
    "Pod": _pod,
    "Event": _event,
    "Service": _service,
    "Node": lambda obj: {"spec.unschedulable": _bool(obj.get("spec", {}).get("unschedulable"))},
    "Namespace": lambda obj: {
        "status.phase": obj.get("status", {}).get("phase", ""),
        "name": obj.get("metadata", {}).get("name", ""),
    },
    "Job": lambda obj: {"status.successful": str(obj.get("status", {}).get("succeeded", 0))},
    "CertificateSigningRequest": lambda obj: {
        "spec.signerName": obj.get("spec", {}).get("signerName", ""),
    },
    "ResourceSlice": lambda obj: {
        f"spec.{field}": obj.get("spec", {}).get(field) or "" for field in ("driver", "nodeName")
    },
    "Secret": lambda obj: {"type": obj.get("type", "")},
    "ReplicationController": lambda obj: {
        "status.replicas": str(obj.get("status", {}).get("replicas", 0)),
    },
}
