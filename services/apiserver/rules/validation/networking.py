"""Ingresses, their classes, and NetworkPolicies. Upstream: pkg/apis/networking/validation."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import (
    immutable,
    label_selector,
    object_meta,
    object_meta_update,
)
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required, too_long

Json = dict[str, Any]

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_CONTROLLER_BYTES_MAX = 250
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_WILDCARD = re.compile(r"\*(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")


# -- Ingress -------------------------------------------------------------------------------------


def ingress(obj: Json, out: Causes) -> None:
    _ingress(obj, out)
    annotation = obj["metadata"].get("annotations", {}).get(_CLASS_ANNOTATION)
    if annotation is not None and obj["spec"].get("ingressClassName") is not None:
        why = "can not be set when the class field is also set"
        out.append(invalid(f"annotations.{_CLASS_ANNOTATION}", annotation, why))


def ingress_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _ingress(new, out)


def _ingress(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    spec = obj["spec"]
    rules = spec.get("rules", ())
    if not rules and not spec.get("defaultBackend"):
        out.append(invalid("spec", None, "either `defaultBackend` or `rules` must be specified"))
    if spec.get("defaultBackend"):
        _backend(spec["defaultBackend"], "spec.defaultBackend", out)
    for index, rule in enumerate(rules):
        _rule(rule, f"spec.rules[{index}]", out)
    for index, tls in enumerate(spec.get("tls", ())):
        for at, host in enumerate(tls.get("hosts", ())):
            _host(host, f"spec.tls[{index}].hosts[{at}]", out)
        name = tls.get("secretName")
        if name:
            names.check(names.dns1123_subdomain(name), f"spec.tls[{index}].secretName", name, out)
    chosen = spec.get("ingressClassName")
    if chosen is not None:
        names.check(names.dns1123_subdomain(chosen), "spec.ingressClassName", chosen, out)


def _host(host: str, path: str, out: Causes) -> None:
    if "*" not in host:
        names.check(names.dns1123_subdomain(host), path, host, out)
    elif not _WILDCARD.fullmatch(host):
        rule = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which"
            " must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric"
            " character"
        )
        regex = r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
        why = f"{rule} (e.g. '*.example.com', regex used for validation is '{regex}')"
        out.append(invalid(path, host, why))


def _rule(rule: Json, path: str, out: Causes) -> None:
    host = rule.get("host", "")
    if host:
        if names.is_ip(host):
            out.append(invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        else:
            _host(host, f"{path}.host", out)
    http = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        out.append(required(f"{path}.http.paths"))
    for index, found in enumerate(http.get("paths") or ()):
        _path(found, f"{path}.http.paths[{index}]", out)


def _path(found: Json, path: str, out: Causes) -> None:
    kind, text = found.get("pathType"), found.get("path", "")
    if kind is None:
        out.append(required(f"{path}.pathType", "pathType must be specified"))
    elif kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            out.append(invalid(f"{path}.path", text, "must be an absolute path"))
        if text:
            for sequence in _BAD_SEQUENCES:
                if sequence in text:
                    out.append(invalid(f"{path}.path", text, f"must not contain '{sequence}'"))
            for end in _BAD_ENDS:
                if text.endswith(end):
                    out.append(invalid(f"{path}.path", text, f"cannot end with '{end}'"))
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            out.append(invalid(f"{path}.path", text, "must be an absolute path"))
    else:
        out.append(not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    _backend(found.get("backend") or {}, f"{path}.backend", out)


def _backend(backend: Json, path: str, out: Causes) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        out.append(invalid(path, "", "cannot set both resource and service backends"))
    elif resource is not None:
        for field in ("kind", "name"):
            if not resource.get(field):
                out.append(required(f"{path}.resource.{field}"))
    elif service is not None:
        _service_backend(service, f"{path}.service", out)
    else:
        out.append(required(path, "resource or service backend is required"))


def _service_backend(service: Json, path: str, out: Causes) -> None:
    name = service.get("name", "")
    if not name:
        out.append(required(f"{path}.name"))
    else:
        names.check(names.dns1035_label(name), f"{path}.name", name, out)
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        out.append(invalid(path, "", "cannot set both port name & port number"))
    elif port.get("name"):
        names.check(names.port_name(port["name"]), f"{path}.port.name", port["name"], out)
    elif port.get("number"):
        for fault in names.port_number(port["number"]):
            out.append(invalid(f"{path}.port.number", port["number"], fault))
    else:
        out.append(required(path, "port name or number is required"))


def ingress_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    found = new["status"].get("loadBalancer", {}).get("ingress", ())
    for index, entry in enumerate(found):
        path = f"status.loadBalancer.ingress[{index}]"
        if entry.get("ip"):
            names.ip_address(f"{path}.ip", entry["ip"], out)
        if host := entry.get("hostname"):
            names.dns_name(host, f"{path}.hostname", out)


# -- IngressClass --------------------------------------------------------------------------------


def ingress_class(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    controller = obj["spec"].get("controller", "")
    if len(controller) > _CONTROLLER_BYTES_MAX:
        out.append(too_long("spec.controller", _CONTROLLER_BYTES_MAX))
    names.domain_prefixed_path(controller, "spec.controller", out)
    parameters = obj["spec"].get("parameters")
    if parameters is not None:
        _parameters(parameters, "spec.parameters", out)


def ingress_class_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    immutable(new["spec"].get("controller"), old["spec"].get("controller"), "spec.controller", out)
    ingress_class(new, out)


def _parameters(parameters: Json, path: str, out: Causes) -> None:
    if (group := parameters.get("apiGroup")) is not None:
        names.check(names.dns1123_subdomain(group), f"{path}.apiGroup", group, out)
    for field in ("kind", "name"):
        value = parameters.get(field, "")
        if not value:
            out.append(required(f"{path}.{field}"))
        else:
            names.check(names.path_segment(value), f"{path}.{field}", value, out)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in ("Cluster", "Namespace"):
        out.append(not_supported(f"{path}.scope", scope or "", ("Cluster", "Namespace")))
    elif scope == "Cluster":
        if namespace is not None:
            out.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    elif not namespace:
        out.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
    else:
        names.check(names.namespace_name(namespace), f"{path}.namespace", namespace, out)


# -- NetworkPolicy -------------------------------------------------------------------------------


def network_policy(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    spec = obj["spec"]
    label_selector(spec.get("podSelector"), "spec.podSelector", out)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction, ())):
            path = f"spec.{direction}[{index}]"
            for at, port in enumerate(rule.get("ports", ())):
                _policy_port(port, f"{path}.ports[{at}]", out)
            for at, peer in enumerate(rule.get(peers, ())):
                _policy_peer(peer, f"{path}.{peers}[{at}]", out)
    types = spec.get("policyTypes", [])
    if len(types) > 2:
        out.append(invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
        return
    for index, kind in enumerate(types):
        if kind not in ("Ingress", "Egress"):
            out.append(not_supported(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress")))


def network_policy_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    network_policy(new, out)


def _policy_port(port: Json, path: str, out: Causes) -> None:
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        out.append(not_supported(f"{path}.protocol", protocol, _PROTOCOLS))
    if number is None:
        if end is not None:
            out.append(required(f"{path}.port", "must be specified when `endPort` is specified"))
    elif isinstance(number, int):
        for fault in names.port_number(number):
            out.append(invalid(f"{path}.port", number, fault))
        if end is not None and end < number:
            out.append(invalid(f"{path}.endPort", end, "must be greater than or equal to `port`"))
        for fault in names.port_number(end) if end is not None else ():
            out.append(invalid(f"{path}.endPort", end, fault))
    else:
        if end is not None:
            out.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
        names.check(names.port_name(number), f"{path}.port", number, out)


def _policy_peer(peer: Json, path: str, out: Causes) -> None:
    selectors = [field for field in ("podSelector", "namespaceSelector") if peer.get(field) is not None]
    for field in selectors:
        label_selector(peer[field], f"{path}.{field}", out)
    block = peer.get("ipBlock")
    if block is not None:
        _ip_block(block, f"{path}.ipBlock", out)
    if block is not None and selectors:
        out.append(forbidden(path, "may not specify both ipBlock and another peer"))
    elif block is None and not selectors:
        out.append(required(path, "must specify a peer"))


def _ip_block(block: Json, path: str, out: Causes) -> None:
    cidr = block.get("cidr", "")
    if not cidr:
        out.append(required(f"{path}.cidr"))
        return
    if not names.cidr(f"{path}.cidr", cidr, out):
        return
    outer = ip_network(cidr, strict=False)
    for index, text in enumerate(block.get("except", ())):
        at = f"{path}.except[{index}]"
        if not names.cidr(at, text, out):
            continue
        inner = ip_network(text, strict=False)
        same_family = inner.version == outer.version
        if not (same_family and inner.prefixlen > outer.prefixlen and inner.network_address in outer):
            out.append(invalid(at, text, "must be a strict subset of `cidr`"))
