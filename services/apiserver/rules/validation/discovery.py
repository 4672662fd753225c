"""EndpointSlices: addresses of one type, ports with names of their own."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.core import non_special_ip
from services.apiserver.rules.validation.meta import immutable, labels, object_meta, object_meta_update
from services.machinery.field_errors import Causes, duplicate, invalid, not_supported, required, too_many

Json = dict[str, Any]

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ENDPOINTS_MAX = 1000
_ADDRESSES_MAX = 100
_PORTS_MAX = 100
_TOPOLOGY_LABELS_MAX = 16
_HINTS_MAX = 8


def endpoint_slice(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    kind = obj.get("addressType", "")
    if not kind:
        out.append(required("addressType"))
    elif kind not in _ADDRESS_TYPES:
        out.append(not_supported("addressType", kind, _ADDRESS_TYPES))
    endpoints = obj.get("endpoints") or []
    if len(endpoints) > _ENDPOINTS_MAX:
        out.append(too_many("endpoints", len(endpoints), _ENDPOINTS_MAX))
    else:
        for index, endpoint in enumerate(endpoints):
            _endpoint(endpoint, kind, f"endpoints[{index}]", out)
    ports = obj.get("ports") or []
    if len(ports) > _PORTS_MAX:
        out.append(too_many("ports", len(ports), _PORTS_MAX))
        return
    seen: set[str] = set()
    for index, port in enumerate(ports):
        _port(port, seen, f"ports[{index}]", out)


def endpoint_slice_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    immutable(new.get("addressType"), old.get("addressType"), "addressType", out)
    endpoint_slice(new, out)


def _endpoint(endpoint: Json, kind: str, path: str, out: Causes) -> None:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        out.append(required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > _ADDRESSES_MAX:
        out.append(too_many(f"{path}.addresses", len(addresses), _ADDRESSES_MAX))
    for index, address in enumerate(addresses):
        _address(address, kind, f"{path}.addresses[{index}]", out)
    node_name = endpoint.get("nodeName")
    if node_name is not None:
        names.check(names.dns1123_subdomain(node_name), f"{path}.nodeName", node_name, out)
    topology = endpoint.get("deprecatedTopology", {})
    if len(topology) > _TOPOLOGY_LABELS_MAX:
        out.append(too_many(f"{path}.deprecatedTopology", len(topology), _TOPOLOGY_LABELS_MAX))
    labels(topology, f"{path}.deprecatedTopology", out)
    if "kubernetes.io/hostname" in topology:
        out.append(invalid(f"{path}.deprecatedTopology.kubernetes.io/hostname", "", "deprecated"))
    if endpoint.get("hostname") is not None:
        names.check(names.dns1123_label(endpoint["hostname"]), f"{path}.hostname", endpoint["hostname"], out)
    for field in ("forZones", "forNodes"):
        _hints((endpoint.get("hints") or {}).get(field, ()), f"{path}.hints.{field}", out)


def _address(address: str, kind: str, path: str, out: Causes) -> None:
    if kind == "FQDN":
        names.check(names.dns1123_subdomain(address), path, address, out)
        return
    if kind not in ("IPv4", "IPv6") or not names.ip_address(path, address, out):
        return
    if f"IPv{ip_address(address).version}" != kind:
        out.append(invalid(path, address, f"must be a valid {kind} address"))
    else:
        non_special_ip(address, path, out)


def _hints(hints: list[Json], path: str, out: Causes) -> None:
    if len(hints) > _HINTS_MAX:
        out.append(too_many(path, len(hints), _HINTS_MAX))
        return
    seen: set[str] = set()
    for index, hint in enumerate(hints):
        name = hint.get("name", "")
        if name in seen:
            out.append(duplicate(f"{path}[{index}].name", name))
        seen.add(name)
        names.check(names.label_value(name), f"{path}[{index}].name", name, out)


def _port(port: Json, seen: set[str], path: str, out: Causes) -> None:
    name, protocol = port.get("name") or "", port.get("protocol") or ""
    if name in seen:
        out.append(duplicate(f"{path}.name", name))
    seen.add(name)
    if name:
        names.check(names.dns1123_label(name), f"{path}.name", name, out)
    if not protocol:
        out.append(required(f"{path}.protocol"))
    elif protocol not in _PROTOCOLS:
        out.append(not_supported(f"{path}.protocol", protocol, _PROTOCOLS))
    if port.get("appProtocol") is not None:
        names.check(
            names.qualified_name(port["appProtocol"]), f"{path}.appProtocol", port["appProtocol"], out
        )
