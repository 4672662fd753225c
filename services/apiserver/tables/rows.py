"""The cells of every kind but Pods, in the order of `columns`.

Pure: an object as stored and the time go in, cells come out. Fields that an object does not
have read as Go's zero values, since upstream prints decoded structs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from services.apiserver.tables import pods, storage
from services.machinery.clock import parse_time
from services.machinery.duration import UNKNOWN, since

Json = dict[str, Any]
Cells = list[Any]

NONE = "<none>"
ENDPOINTS_SHOWN_MAX = 3
ROLE_PREFIX = "node-role.kubernetes.io/"
ROLE_LABEL = "kubernetes.io/role"


def name_of(obj: Json) -> str:
    return str(obj["metadata"].get("name", ""))


def age_of(obj: Json, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def format_labels(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d` in key order; `<none>` for none. Upstream: labels.FormatLabels."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def format_selector(selector: Json | None) -> str:
    """A LabelSelector as one line. Upstream: metav1.FormatLabelSelector."""
    if selector is None:
        return NONE
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
        text = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }[expression["operator"]]
        parts.append((key, text))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0])) or NONE


def containers(obj: Json) -> tuple[str, str]:
    return of_template(obj.get("spec", {}).get("template"))


def of_template(template: Json | None) -> tuple[str, str]:
    """The names of a Pod template's containers, and their images."""
    found = (template or {}).get("spec", {}).get("containers") or ()
    names = ",".join(container.get("name", "") for container in found)
    return names, ",".join(container.get("image", "") for container in found)


def _replicas(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [
        name_of(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age_of(obj, now),
        *containers(obj),
    ]


def _replication_controller(obj: Json, now: datetime) -> Cells:
    return [*_replicas(obj, now), format_labels(obj.get("spec", {}).get("selector"))]


def _replica_set(obj: Json, now: datetime) -> Cells:
    return [*_replicas(obj, now), format_selector(obj.get("spec", {}).get("selector"))]


def _deployment(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [
        name_of(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age_of(obj, now),
        *containers(obj),
        format_selector(spec.get("selector")),
    ]


def _service(obj: Json, now: datetime) -> Cells:
    spec = obj.get("spec", {})
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [
        name_of(obj),
        spec.get("type", ""),
        addresses[0] or NONE,
        _external_address(obj),
        ",".join(_port(port) for port in spec.get("ports") or ()) or NONE,
        age_of(obj, now),
        format_labels(spec.get("selector")),
    ]


def _port(port: Json) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}"


def _external_address(service: Json) -> str:
    spec = service.get("spec", {})
    external = spec.get("externalIPs") or []
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    if spec.get("type") != "LoadBalancer":
        return ",".join(external) or NONE
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    balancers = sorted({entry.get("ip") or entry.get("hostname") or "" for entry in ingress} - {""})
    return ",".join([*balancers, *external]) or "<pending>"


def format_endpoints(subsets: list[Json] | None, shown_max: int = ENDPOINTS_SHOWN_MAX) -> str:
    """`ip:port` of ready addresses, the first few. Upstream: formatEndpoints."""
    every: list[str] = []
    for subset in subsets or ():
        addresses = [_host(address["ip"]) for address in subset.get("addresses") or ()]
        if not subset.get("ports"):
            every.extend(address.strip("[]") for address in addresses)
        for port in subset.get("ports") or ():
            every.extend(f"{address}:{port['port']}" for address in addresses)
    shown = ",".join(every[:shown_max]) or NONE
    return f"{shown} + {len(every) - shown_max} more..." if len(every) > shown_max else shown


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _endpoints(obj: Json, now: datetime) -> Cells:
    return [name_of(obj), format_endpoints(obj.get("subsets")), age_of(obj, now)]


def _node(obj: Json, now: datetime) -> Cells:
    status = obj.get("status", {})
    info = status.get("nodeInfo") or {}
    kernel = info.get("kernelVersion") or UNKNOWN
    if info.get("kernelVersion") and info.get("architecture"):
        kernel = f"{kernel} ({info['architecture']})"
    return [
        name_of(obj),
        _node_status(obj),
        ",".join(node_roles(obj["metadata"].get("labels"))) or NONE,
        age_of(obj, now),
        info.get("kubeletVersion", ""),
        _node_address(status, "InternalIP"),
        _node_address(status, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(node: Json) -> str:
    ready = [c for c in node.get("status", {}).get("conditions") or () if c["type"] == "Ready"]
    words = [("Ready" if c.get("status") == "True" else "NotReady") for c in ready] or ["Unknown"]
    if node.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def node_roles(labels: Mapping[str, str] | None) -> list[str]:
    """The roles that labels give a node, sorted."""
    roles = set()
    for key, value in (labels or {}).items():
        if key.startswith(ROLE_PREFIX) and len(key) > len(ROLE_PREFIX):
            roles.add(key.removeprefix(ROLE_PREFIX))
        elif key == ROLE_LABEL and value:
            roles.add(value)
    return sorted(roles)


def _node_address(status: Json, type: str) -> str:
    addresses = status.get("addresses") or ()
    return next((str(entry["address"]) for entry in addresses if entry["type"] == type), NONE)


def _event(obj: Json, now: datetime) -> Cells:
    target = obj.get("involvedObject") or obj.get("regarding") or {}
    series = obj.get("series") or {}
    first = since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = since(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else first
    count = obj.get("count") or 1
    if series:
        last, count = since(series.get("lastObservedTime"), now), series.get("count", 0)
    kind, name = target.get("kind", "").lower(), target.get("name", "")
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{name}" if name else kind,
        target.get("fieldPath", ""),
        _event_source(obj),
        obj.get("message", "").strip(),
        first,
        count,
        name_of(obj),
    ]


def _event_source(event: Json) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent", "")
    host = source.get("host") or event.get("reportingInstance", "")
    return f"{component}, {host}" if host else component


def _namespace(obj: Json, now: datetime) -> Cells:
    return [name_of(obj), obj.get("status", {}).get("phase", ""), age_of(obj, now)]


def _secret(obj: Json, now: datetime) -> Cells:
    return [name_of(obj), obj.get("type", ""), len(obj.get("data") or ()), age_of(obj, now)]


def _service_account(obj: Json, now: datetime) -> Cells:
    return [name_of(obj), len(obj.get("secrets") or ()), age_of(obj, now)]


def _config_map(obj: Json, now: datetime) -> Cells:
    return [name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age_of(obj, now)]


def _lease(obj: Json, now: datetime) -> Cells:
    return [name_of(obj), obj.get("spec", {}).get("holderIdentity") or "", age_of(obj, now)]


def _controller_revision(obj: Json, now: datetime) -> Cells:
    owners = obj["metadata"].get("ownerReferences") or ()
    controller = next((owner for owner in owners if owner.get("controller")), None)
    return [name_of(obj), _owner(controller), obj.get("revision", 0), age_of(obj, now)]


def _owner(reference: Json | None) -> str:
    if reference is None:
        return NONE
    group = reference["apiVersion"].rpartition("/")[0]
    kind = reference["kind"].lower()
    return f"{kind}.{group}/{reference['name']}" if group else f"{kind}/{reference['name']}"


def _scale(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [name_of(obj), spec.get("replicas", 0), status.get("replicas", 0), age_of(obj, now)]


def default(obj: Json, now: datetime) -> Cells:
    created = obj["metadata"].get("creationTimestamp")
    return [name_of(obj), parse_time(created).strftime("%Y-%m-%dT%H:%M:%SZ") if created else None]


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {
    "Pod": pods.row,
    "ReplicationController": _replication_controller,
    "ReplicaSet": _replica_set,
    "Deployment": _deployment,
    "Service": _service,
    "Endpoints": _endpoints,
    "Node": _node,
    "Event": _event,
    "Namespace": _namespace,
    "Secret": _secret,
    "ServiceAccount": _service_account,
    "ConfigMap": _config_map,
    "Lease": _lease,
    "ControllerRevision": _controller_revision,
    "Scale": _scale,
    "RuntimeClass": lambda obj, now: [name_of(obj), obj.get("handler", ""), age_of(obj, now)],
    "PersistentVolume": storage.persistent_volume,
    "PersistentVolumeClaim": storage.claim,
    "StorageClass": storage.storage_class,
    "VolumeAttributesClass": storage.attributes_class,
    "CSIDriver": storage.csi_driver,
    "CSINode": storage.csi_node,
    "VolumeAttachment": storage.volume_attachment,
}
