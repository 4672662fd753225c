"""Services: ports, addresses, traffic policies, and what of them stays once it is set."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.core import non_special_ip
from services.apiserver.rules.validation.meta import labels, object_meta, object_meta_update
from services.apiserver.rules.validation.probes import port_number_or_name
from services.machinery.field_errors import Causes, duplicate, forbidden, invalid, not_supported, required

Json = dict[str, Any]

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_AFFINITY_SECONDS_MAX = 86400
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
_TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"


def headless(spec: Json) -> bool:
    return bool((spec.get("clusterIPs") or [spec.get("clusterIP")])[0] == "None")


def externally_accessible(spec: Json) -> bool:
    if spec.get("type") in ("LoadBalancer", "NodePort"):
        return True
    return spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs"))


def needs_health_check(spec: Json) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def service(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_label, out)
    _topology(obj["metadata"].get("annotations", {}), out)
    spec = obj["spec"]
    kind, ports = spec.get("type", ""), spec.get("ports", [])
    if not ports and not headless(spec) and kind != "ExternalName":
        out.append(required("spec.ports"))
    if kind in ("LoadBalancer", "NodePort") and headless(spec):
        why = f"may not be set to 'None' for {kind} services"
        out.append(invalid("spec.clusterIPs[0]", "None", why))
    if kind == "ExternalName":
        _external_name(spec, out)
    seen: set[str] = set()
    for index, port in enumerate(ports):
        _port(port, len(ports) > 1, seen, f"spec.ports[{index}]", out)
    if "selector" in spec:
        labels(spec["selector"], "spec.selector", out)
    _affinity(spec, out)
    if kind != "ExternalName":
        _cluster_ips(spec, out)
    for index, ip in enumerate(spec.get("externalIPs", ())):
        if names.ip_address(f"spec.externalIPs[{index}]", ip, out):
            non_special_ip(ip, f"spec.externalIPs[{index}]", out)
    if kind not in _TYPES:
        out.append(not_supported("spec.type", kind, _TYPES))
    _duplicates(ports, kind, out)
    _load_balancer(obj, kind, out)
    _traffic(spec, kind, out)


def _topology(annotations: dict[str, str], out: Causes) -> None:
    """One setting by two names, of which both may be given."""
    mode, hints = annotations.get(_TOPOLOGY_MODE), annotations.get(_TOPOLOGY_HINTS)
    if mode is not None and hints is not None and mode != hints:
        why = f"must match annotations[{_TOPOLOGY_HINTS}] when both are specified"
        out.append(invalid(f"metadata.annotations[{_TOPOLOGY_MODE}]", mode, why))


def _external_name(spec: Json, out: Causes) -> None:
    for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(field):
            out.append(forbidden(f"spec.{field}", "may not be set for ExternalName services"))
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        out.append(required("spec.externalName"))
    else:
        names.check(names.dns1123_subdomain(name), "spec.externalName", name, out)


def _port(port: Json, needs_name: bool, seen: set[str], path: str, out: Causes) -> None:
    name, number, protocol = port.get("name", ""), port.get("port", 0), port.get("protocol", "")
    if needs_name and not name:
        out.append(required(f"{path}.name"))
    elif name:
        names.check(names.dns1123_label(name), f"{path}.name", name, out)
        if name in seen:
            out.append(duplicate(f"{path}.name", name))
        seen.add(name)
    for fault in names.port_number(number):
        out.append(invalid(f"{path}.port", number, fault))
    if protocol not in _PROTOCOLS:
        out.append(not_supported(f"{path}.protocol", protocol, _PROTOCOLS))
    port_number_or_name(port.get("targetPort", 0), f"{path}.targetPort", out)
    if port.get("appProtocol") is not None:
        names.check(
            names.qualified_name(port["appProtocol"]), f"{path}.appProtocol", port["appProtocol"], out
        )


def _affinity(spec: Json, out: Causes) -> None:
    affinity, config = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig")
    if affinity not in ("ClientIP", "None"):
        out.append(not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None")))
    if affinity == "None" and config is not None:
        why = "must not be set when session affinity is None"
        out.append(forbidden("spec.sessionAffinityConfig", why))
    if affinity == "ClientIP":
        path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            out.append(required(path, "when session affinity type is ClientIP"))
        elif not 0 < seconds <= _AFFINITY_SECONDS_MAX:
            why = f"must be greater than 0 and less than {_AFFINITY_SECONDS_MAX}"
            out.append(invalid(path, seconds, why))


def _cluster_ips(spec: Json, out: Causes) -> None:
    path, ip, ips = "spec.clusterIPs", spec.get("clusterIP", ""), spec.get("clusterIPs", [])
    if ip and not ips:
        out.append(required(path))
    elif ip and ips[0] != ip:
        out.append(invalid(path, ips, "first value must match `clusterIP`"))
    elif not ip and ips:
        out.append(invalid(path, ips, "must be empty when `clusterIP` is not specified"))
    _families(spec, out)
    before = len(out)
    for index, value in enumerate(ips):
        if index == 0 and value == "None":
            if len(ips) > 1:
                out.append(invalid(path, ips, "'None' must be the first and only value"))
            continue
        names.ip_address(f"{path}[{index}]", value, out)
    faulty = len(out) > before
    if len(ips) > 2:
        out.append(invalid(path, ips, "may only hold up to 2 values"))
    if faulty or not ips or ips[0] == "None":
        return
    versions = [ip_address(value).version for value in ips]
    if len(ips) > 1 and len(set(versions)) == 1:
        out.append(invalid(path, ips, "may specify no more than one IP for each IP family"))
    for index, (version, family) in enumerate(zip(versions, spec.get("ipFamilies", ()))):
        if family != f"IPv{version}":
            why = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            out.append(invalid(f"{path}[{index}]", ips[index], why))


def _families(spec: Json, out: Causes) -> None:
    seen: set[str] = set()
    for index, family in enumerate(spec.get("ipFamilies", ())):
        if family not in ("IPv4", "IPv6"):
            out.append(not_supported(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6")))
        if family in seen:
            out.append(duplicate(f"spec.ipFamilies[{index}]", family))
        seen.add(family)
    policy, allowed = spec.get("ipFamilyPolicy"), ("PreferDualStack", "RequireDualStack", "SingleStack")
    if policy is not None and policy not in allowed:
        out.append(not_supported("spec.ipFamilyPolicy", policy, allowed))


def _duplicates(ports: list[Json], kind: str, out: Causes) -> None:
    if kind == "ClusterIP":
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                why = "may not be used when `type` is 'ClusterIP'"
                out.append(forbidden(f"spec.ports[{index}].nodePort", why))
    node_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol", ""), port.get("nodePort", 0))
        if key[1] and key in node_ports:
            out.append(duplicate(f"spec.ports[{index}].nodePort", key[1]))
        node_ports.add(key)
    numbers: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol", ""), port.get("port", 0))
        if key in numbers:
            shown = {"Name": "", "Protocol": key[0], "AppProtocol": None, "Port": key[1]}
            out.append(duplicate(f"spec.ports[{index}]", {**shown, "TargetPort": 0, "NodePort": 0}))
        numbers.add(key)


_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"


def _load_balancer(obj: Json, kind: str, out: Causes) -> None:
    spec = obj["spec"]
    _source_ranges(obj, kind, out)
    allocates = spec.get("allocateLoadBalancerNodePorts")
    if allocates is not None and kind != "LoadBalancer":
        out.append(forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCED))
    if allocates is None and kind == "LoadBalancer":
        out.append(required("allocateLoadBalancerNodePorts"))
    _balancer_class(spec, out)


def _source_ranges(obj: Json, kind: str, out: Causes) -> None:
    """A field, and an annotation of former times that says the same."""
    path, ranges = "spec.LoadBalancerSourceRanges", obj["spec"].get("loadBalancerSourceRanges", ())
    noted = obj["metadata"].get("annotations", {}).get(_SOURCE_RANGES)
    if not ranges and noted is None:
        return
    if not ranges:
        path = f"metadata.annotations[{_SOURCE_RANGES}]"
    if kind != "LoadBalancer":
        out.append(forbidden(path, _ONLY_BALANCED))
    for index, value in enumerate(ranges):
        names.cidr(f"{path}[{index}]", value.strip(), out)
    if not ranges and noted.strip():
        for value in noted.split(","):
            names.cidr(path, value.strip(), out)


def _balancer_class(spec: Json, out: Causes) -> None:
    chosen = spec.get("loadBalancerClass")
    if chosen is None:
        return
    if spec.get("type") == "LoadBalancer":
        names.check(names.qualified_name(chosen), "spec.loadBalancerClass", chosen, out)
    else:
        out.append(forbidden("spec.loadBalancerClass", _ONLY_BALANCED))


def _traffic(spec: Json, kind: str, out: Causes) -> None:
    policies = ("Cluster", "Local")
    external = spec.get("externalTrafficPolicy", "")
    if not externally_accessible(spec):
        if external:
            why = "may only be set for externally-accessible services"
            out.append(invalid("spec.externalTrafficPolicy", external, why))
    elif not external:
        out.append(required("spec.externalTrafficPolicy"))
    elif external not in policies:
        out.append(not_supported("spec.externalTrafficPolicy", external, policies))
    health = spec.get("healthCheckNodePort", 0)
    if health and not needs_health_check(spec):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        out.append(invalid("spec.healthCheckNodePort", health, why))
    elif needs_health_check(spec) and health and (faults := names.port_number(health)):
        out.append(invalid("spec.healthCheckNodePort", health, faults[0]))
    internal = spec.get("internalTrafficPolicy")
    if internal is None and kind in ("ClusterIP", "LoadBalancer", "NodePort"):
        out.append(required("spec.internalTrafficPolicy"))
    elif internal is not None and internal not in policies:
        out.append(not_supported("spec.internalTrafficPolicy", internal, policies))
    preference, allowed = spec.get("trafficDistribution"), ("PreferClose", "PreferSameNode", "PreferSameZone")
    if preference is not None and preference not in allowed:
        out.append(not_supported("spec.trafficDistribution", preference, allowed))


def service_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    spec, before = new["spec"], old["spec"]
    if "ExternalName" not in (spec.get("type"), before.get("type")):
        if not (headless(spec) and headless(before)):
            _only_grown_or_shrunk(spec, before, "clusterIPs", "clusterIP", out)
        _only_grown_or_shrunk(spec, before, "ipFamilies", "ipFamily", out)
    if spec.get("type") == before.get("type") == "LoadBalancer":
        chosen, held = spec.get("loadBalancerClass"), before.get("loadBalancerClass")
        if chosen != held:
            out.append(invalid("spec.loadBalancerClass", chosen, _SET_ONCE))
    _balancer_class(spec, out)
    checked = needs_health_check(spec) and needs_health_check(before)
    if checked and spec.get("healthCheckNodePort") != before.get("healthCheckNodePort"):
        out.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    service(new, out)


_SET_ONCE = "may not change once set"


def _only_grown_or_shrunk(spec: Json, before: Json, field: str, one: str, out: Causes) -> None:
    """A second address or family may come and go; the first one stays, and none is exchanged."""
    new: list[str] = spec.get(field) or []
    old: list[str] = before.get(field) or []
    shown, path = spec.get(field), f"spec.{field}"
    if len(new) == len(old):
        for index, value in enumerate(old):
            if value != new[index]:
                out.append(invalid(f"{path}[{index}]", shown, _SET_ONCE))
        return
    if not new:
        out.append(invalid(f"{path}[0]", shown, f"primary {one} can not be unset"))
    elif old and new[0] != old[0]:
        out.append(invalid(f"{path}[0]", shown, _SET_ONCE))
    if len(new) == 1 and len(old) > 1 and spec.get("ipFamilyPolicy") != "SingleStack":
        why = f"`ipFamilyPolicy` must be set to 'SingleStack' when releasing the secondary {one}"
        out.append(invalid(f"{path}[0]", shown, why))


def service_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    path = "status.loadBalancer.ingress"
    ingresses = new["status"].get("loadBalancer", {}).get("ingress", ())
    if ingresses and new["spec"].get("type") != "LoadBalancer":
        out.append(forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"))
        return
    for index, ingress in enumerate(ingresses):
        _balanced_at(ingress, f"{path}[{index}]", out)


def _balanced_at(ingress: Json, path: str, out: Causes) -> None:
    ip, mode = ingress.get("ip"), ingress.get("ipMode")
    if ip:
        names.ip_address(f"{path}.ip", ip, out)
    if mode is None:
        if ip:
            out.append(required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif not ip:
        out.append(forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    elif mode not in ("Proxy", "VIP"):
        out.append(not_supported(f"{path}.ipMode", mode, ("Proxy", "VIP")))
    if host := ingress.get("hostname"):
        names.dns_name(host, f"{path}.hostname", out)
