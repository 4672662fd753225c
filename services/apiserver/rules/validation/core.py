"""The small kinds: Namespace, Node, ConfigMap, Secret, ServiceAccount, Event, Lease, Endpoints."""

from __future__ import annotations

from base64 import b64decode
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from services.apiserver.rules import json_text
from services.apiserver.rules.strict import json_type
from services.apiserver.rules.validation import names, resources, scheduling
from services.apiserver.rules.validation.meta import (
    changed,
    immutable,
    kube_finalizer,
    object_meta,
    object_meta_update,
)
from services.machinery.field_errors import (
    Causes,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)

Json = dict[str, Any]

DATA_BYTES_MAX = 1024 * 1024
_WHEN_IMMUTABLE = "field is immutable when `immutable` is set"


def namespace(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.namespace_name, out)
    for index, value in enumerate(obj["spec"].get("finalizers", ())):
        _finalizer_name(value, f"spec.finalizers[{index}]", out)


def _finalizer_name(value: str, path: str, out: Causes) -> None:
    names.check(names.qualified_name(value), path, value, out)
    kube_finalizer(value, path, out)


def namespace_update(new: Json, old: Json, out: Causes) -> None:
    namespace(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)


def namespace_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    phase, deleted = new["status"].get("phase", ""), new["metadata"].get("deletionTimestamp")
    if not deleted and phase != "Active":
        why = "may only be 'Active' if `deletionTimestamp` is empty"
        out.append(invalid("status.Phase", phase, why))
    if deleted and phase != "Terminating":
        why = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        out.append(invalid("status.Phase", phase, why))


def namespace_finalize(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for index, value in enumerate(new["spec"].get("finalizers", ())):
        _finalizer_name(value, f"spec.finalizers[{index}]", out)


def node(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec = obj["spec"]
    scheduling.taints(spec.get("taints", []), "metadata.taints", out)
    _node_resources(obj["status"], out)
    _pod_cidrs(spec.get("podCIDRs", []), out)


def _node_resources(status: Json, out: Causes) -> None:
    for field in ("capacity", "allocatable"):
        for name, text in status.get(field, {}).items():
            resources.amount(name, text, f"status.{field}.{name}", out)


def _pod_cidrs(values: list[str], out: Causes) -> None:
    seen: set[str] = set()
    for index, value in enumerate(values):
        names.cidr(f"spec.podCIDRs[{index}]", value, out)
        if value in seen:
            out.append(duplicate(f"spec.podCIDRs[{index}]", value))
        seen.add(value)
    families = [":" in value for value in values]
    if len(values) > 1 and (len(values) > 2 or families[0] == families[1]):
        why = "may specify no more than one CIDR for each IP family"
        out.append(invalid("spec.podCIDRs", values, why))


def node_update(new: Json, old: Json, out: Causes) -> None:
    spec, before, status = new["spec"], old["spec"], new["status"]
    if new["spec"] != old["spec"] or changed(new["metadata"], old["metadata"]):
        node(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)
    if status is not old["status"]:
        _node_resources(status, out)
        seen: list[Json] = []
        for index, address in enumerate(status.get("addresses", ())):
            if address in seen:
                shown = {"Type": address.get("type", ""), "Address": address.get("address", "")}
                out.append(duplicate(f"status.addresses[{index}]", shown))
            seen.append(address)
    if before.get("podCIDRs") and before["podCIDRs"] != spec.get("podCIDRs"):
        why = 'node updates may not change podCIDR except from "" to valid'
        out.append(forbidden("spec.podCIDRs", why))
    if before.get("providerID") and before["providerID"] != spec.get("providerID"):
        why = 'node updates may not change providerID except from "" to valid'
        out.append(forbidden("spec.providerID", why))
    scheduling.taints(spec.get("taints", []), "metadata.taints", out)


def config_map(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    data, binary = obj.get("data", {}), obj.get("binaryData", {})
    size = 0
    for key, value in data.items():
        names.check(names.config_map_key(key), f"data[{key}]", key, out)
        if key in binary:
            out.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += len(value.encode())
    for key, value in binary.items():
        names.check(names.config_map_key(key), f"binaryData[{key}]", key, out)
        size += len(b64decode(value or ""))
    if size > DATA_BYTES_MAX:
        out.append(too_long("[]", DATA_BYTES_MAX))


def config_map_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _frozen(new, old, ("data", "binaryData"), out)
    config_map(new, out)


def _frozen(new: Json, old: Json, fields: tuple[str, ...], out: Causes) -> None:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        out.append(forbidden("immutable", _WHEN_IMMUTABLE))
    for field in fields:
        if new.get(field) != old.get(field):
            out.append(forbidden(field, _WHEN_IMMUTABLE))


def secret(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    data = obj.get("data", {})
    size = 0
    for key, value in data.items():
        names.check(names.config_map_key(key), f"data[{key}]", key, out)
        size += len(b64decode(value or ""))
    if size > DATA_BYTES_MAX:
        out.append(too_long("data", DATA_BYTES_MAX))
    _secret_type(obj.get("type", ""), data, obj["metadata"].get("annotations", {}), out)


def _secret_type(kind: str, data: dict[str, str], annotations: dict[str, str], out: Causes) -> None:
    match kind:
        case "kubernetes.io/service-account-token":
            key = "kubernetes.io/service-account.name"
            if not annotations.get(key):
                out.append(required(f"metadata.annotations[{key}]"))
        case "kubernetes.io/dockercfg":
            _json_in(data, ".dockercfg", out)
        case "kubernetes.io/dockerconfigjson":
            _json_in(data, ".dockerconfigjson", out)
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                out.extend((required("data[username]"), required("data[password]")))
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                out.append(required("data[ssh-privatekey]"))
        case "kubernetes.io/tls":
            out.extend(required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data)


def _json_in(data: dict[str, str], key: str, out: Causes) -> None:
    if key not in data:
        out.append(required(f"data[{key}]"))
        return
    why = ""
    try:
        value = json_text.read(b64decode(data[key] or ""))
        if not isinstance(value, dict) and value is not None:
            what = json_type(value)
            why = f"json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
    except json_text.SyntaxFault as fault:
        why = str(fault)
    if why:
        out.append(invalid(f"data[{key}]", "<secret contents redacted>", why))


def secret_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    immutable(new.get("type", ""), old.get("type", ""), "type", out)
    _frozen(new, old, ("data",), out)
    secret(new, out)


def service_account(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)


def service_account_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    service_account(new, out)


def event(obj: Json, out: Causes) -> None:
    """Core/v1 events are checked loosely, as upstream must go on taking old ones."""
    involved, namespace_of = obj.get("involvedObject", {}), obj["metadata"].get("namespace", "")
    if not obj["metadata"].get("name"):
        out.append(required("metadata.name", "name or generateName is required"))
    given = involved.get("namespace", "")
    # Objects without a namespace have their events in `default`, and of newer makers in `kube-system` too.
    modern = obj.get("eventTime") is not None
    homes = ("default", "kube-system") if modern else ("", "default")
    if (not given and namespace_of not in homes) or (given and not modern and given != namespace_of):
        out.append(invalid("involvedObject.namespace", given, "does not match event.namespace"))
    if modern:
        _modern_event(obj, out)
    names.check(names.dns1123_subdomain(namespace_of), "namespace", namespace_of, out)


def _modern_event(obj: Json, out: Causes) -> None:
    """An event with an eventTime has to say who reports what."""
    component = obj.get("reportingComponent", "")
    if not component:
        out.append(required("reportingComponent"))
    names.check(names.qualified_name(component), "reportingComponent", component, out)
    for field in ("reportingInstance", "action", "reason"):
        value = obj.get(field, "")
        if not value:
            out.append(required(field))
        elif len(value.encode()) > 128:
            out.append(invalid(field, "", "can have at most 128 characters"))
    if len(obj.get("message", "").encode()) > 1024:
        out.append(invalid("message", "", "can have at most 1024 characters"))


def event_update(new: Json, old: Json, out: Causes) -> None:
    event(new, out)


def lease(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _lease_spec(obj["spec"], out)


def lease_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _lease_spec(new["spec"], out)


def _lease_spec(spec: Json, out: Causes) -> None:
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        out.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if spec.get("leaseTransitions", 0) < 0:
        why = "must be greater than or equal to 0"
        out.append(invalid("spec.leaseTransitions", spec["leaseTransitions"], why))
    if spec.get("strategy") is not None:
        names.check(names.qualified_name(spec["strategy"]), "spec.strategy", spec["strategy"], out)
    if spec.get("preferredHolder") and not spec.get("strategy"):
        why = "may only be specified if `strategy` is set"
        out.append(forbidden("spec.preferredHolder", why))


def endpoints(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    for index, subset in enumerate(obj.get("subsets", ())):
        _subset(subset, f"subsets[{index}]", out)


def endpoints_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    if new.get("subsets") != old.get("subsets"):
        for index, subset in enumerate(new.get("subsets", ())):
            _subset(subset, f"subsets[{index}]", out)


def _subset(subset: Json, path: str, out: Causes) -> None:
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        out.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
    for field in ("addresses", "notReadyAddresses"):
        for index, address in enumerate(subset.get(field, ())):
            _endpoint_address(address, f"{path}.{field}[{index}]", out)
    ports = subset.get("ports", ())
    for index, port in enumerate(ports):
        _endpoint_port(port, len(ports) > 1, f"{path}.ports[{index}]", out)


def _endpoint_address(address: Json, path: str, out: Causes) -> None:
    ip = address.get("ip", "")
    if names.ip_address(f"{path}.ip", ip, out):
        non_special_ip(ip, f"{path}.ip", out)
    if address.get("hostname"):
        names.check(names.dns1123_label(address["hostname"]), f"{path}.hostname", address["hostname"], out)
    node_name = address.get("nodeName")
    if node_name is not None:
        names.check(names.dns1123_subdomain(node_name), f"{path}.nodeName", node_name, out)


def _is_of_a_node(ip: IPv4Address | IPv6Address) -> bool:
    """Nodes of a cluster on one machine are at 127.N.0.x, and Pods of the host network with them."""
    return ip.version == 4 and ip.packed[1] != 0


def non_special_ip(text: str, path: str, out: Causes) -> None:
    """Addresses behind which nothing in the cluster can be."""
    ip = ip_address(text)
    if ip.is_unspecified:
        out.append(invalid(path, text, f"may not be unspecified ({text})"))
    if ip.is_loopback and not _is_of_a_node(ip):
        why = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
        out.append(invalid(path, text, why))
    if ip.is_link_local:
        why = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        out.append(invalid(path, text, why))
    if ip.is_multicast and (text.startswith("224.0.0.") or text.lower().startswith("ff02:")):
        why = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        out.append(invalid(path, text, why))


def _endpoint_port(port: Json, needs_name: bool, path: str, out: Causes) -> None:
    name, number, protocol = port.get("name", ""), port.get("port", 0), port.get("protocol", "")
    if needs_name and not name:
        out.append(required(f"{path}.name"))
    elif name:
        names.check(names.dns1123_label(name), f"{path}.name", name, out)
    for fault in names.port_number(number):
        out.append(invalid(f"{path}.port", number, fault))
    if protocol not in ("SCTP", "TCP", "UDP"):
        out.append(not_supported(f"{path}.protocol", protocol, ("SCTP", "TCP", "UDP")))
    if port.get("appProtocol") is not None:
        names.check(
            names.qualified_name(port["appProtocol"]), f"{path}.appProtocol", port["appProtocol"], out
        )
