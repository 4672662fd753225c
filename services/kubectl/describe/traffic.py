"""EndpointSlices, Ingresses, their classes and NetworkPolicies described; and endpoints behind a port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.kubectl.describe import events
from services.kubectl.describe.writer import Writer, annotation_lines, boolean, head, labels, notes, rfc1123
from services.kubectl.output.labels import format_selector
from services.machinery.clock import parse_time

Json = dict[str, Any]

ENDPOINTS_SHOWN_MAX = 3
UNSET = "<unset>"


def format_slices(slices: Sequence[Json], port_name: str) -> str:
    """Ready endpoints of the port, the first three written out. Slices without ports show addresses."""
    if not slices:
        return "<none>"
    shown: list[str] = []
    more, count = False, 0
    for endpoint, number in _behind(slices, port_name):
        # As upstream, an endpoint that is not ready makes the list a long one, yet is not counted.
        more = more or len(shown) == ENDPOINTS_SHOWN_MAX
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        if not more:
            address = endpoint["addresses"][0]
            host = f"[{address}]" if ":" in address and number is not None else address
            shown.append(host if number is None else f"{host}:{number}")
        count += 1
    text = ",".join(shown)
    return f"{text} + {count - ENDPOINTS_SHOWN_MAX} more..." if more else text


def _behind(slices: Sequence[Json], port_name: str) -> Iterable[tuple[Json, int | None]]:
    for each in slices:
        endpoints = each.get("endpoints") or ()
        if not each.get("ports"):
            yield from ((endpoint, None) for endpoint in endpoints)
        for port in each.get("ports") or ():
            if (port.get("name") or "") == port_name:
                yield from ((endpoint, port.get("port") or 0) for endpoint in endpoints)


def endpoint_slice(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    head(writer, obj)
    notes(writer, obj)
    writer.line(0, "AddressType:", obj.get("addressType", ""))
    if not obj.get("ports"):
        writer.line(0, f"Ports: {UNSET}")
    else:
        writer.write(0, "Ports:\n")
        writer.line(1, "Name", "Port", "Protocol")
        writer.line(1, "----", "----", "--------")
    for port in obj.get("ports") or ():
        number = UNSET if port.get("port") is None else port["port"]
        writer.line(1, port.get("name") or UNSET, number, port.get("protocol", ""))
    writer.write(0, "Endpoints:\n" if obj.get("endpoints") else "Endpoints: <none>\n")
    for endpoint in obj.get("endpoints") or ():
        _endpoint(writer, endpoint)
    events.describe(writer, found_events, now)
    return writer.text()


def _endpoint(writer: Writer, endpoint: Json) -> None:
    writer.line(1, "- Addresses:", ", ".join(endpoint.get("addresses") or ()) or "<none>")
    writer.write(2, "Conditions:\n")
    ready = (endpoint.get("conditions") or {}).get("ready")
    writer.line(3, "Ready:", UNSET if ready is None else boolean(ready))
    writer.line(2, "Hostname:", endpoint.get("hostname", UNSET))
    if target := endpoint.get("targetRef"):
        writer.line(2, "TargetRef:", f"{target.get('kind', '')}/{target.get('name', '')}")
    writer.line(2, "NodeName:", endpoint.get("nodeName", UNSET))
    writer.line(2, "Zone:", endpoint.get("zone", UNSET))


def ingress(
    obj: Json, backends: Mapping[str, str], found_events: Iterable[Json] | None, now: datetime
) -> str:
    """`backends` says what stands behind each, by `backend_name`."""
    writer, spec = Writer(), obj.get("spec") or {}
    writer.line(0, "Name:", obj["metadata"]["name"])
    labels(writer, "Labels", obj["metadata"].get("labels"))
    writer.line(0, "Namespace:", obj["metadata"].get("namespace", ""))
    addresses = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    found = {entry.get("ip") or entry.get("hostname", "") for entry in addresses}
    writer.line(0, "Address:", ",".join(sorted(found)))
    writer.line(0, "Ingress Class:", spec.get("ingressClassName") or "<none>")
    default = backends[backend_name(spec["defaultBackend"])] if spec.get("defaultBackend") else "<default>"
    writer.line(0, "Default backend:", default)
    if spec.get("tls"):
        writer.write(0, "TLS:\n")
    for tls in spec.get("tls") or ():
        secret = tls.get("secretName")
        how = f"{secret} terminates" if secret else "SNI routes"
        writer.line(1, f"{how} {','.join(tls.get('hosts') or ())}")
    writer.write(0, "Rules:\n  Host\tPath\tBackends\n")
    writer.line(1, "----", "----", "--------")
    rules = [rule for rule in spec.get("rules") or () if rule.get("http")]
    for rule in rules:
        writer.line(1, rule.get("host") or "*", "")
        for path in rule["http"].get("paths") or ():
            writer.line(2, "", f"{path.get('path', '')} ", backends[backend_name(path["backend"])])
    if not rules:
        writer.line(1, "*", "*", default)
    annotation_lines(writer, "Annotations", obj["metadata"].get("annotations"))
    events.describe(writer, found_events, now)
    return writer.text()


def backend_name(backend: Json) -> str:
    """`web:80`; of a resource its group, kind and name."""
    if service := backend.get("service"):
        port = service.get("port") or {}
        return f"{service['name']}:{port.get('number') or port.get('name', '')}"
    resource = backend.get("resource") or {}
    group = resource.get("apiGroup") or "<none>"
    return f"APIGroup: {group}, Kind: {resource.get('kind', '')}, Name: {resource.get('name', '')}"


def service_cidr(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    writer.line(0, "Name:", obj["metadata"]["name"])
    notes(writer, obj)
    writer.line(0, "CIDRs:", ", ".join((obj.get("spec") or {}).get("cidrs") or ()))
    if conditions := (obj.get("status") or {}).get("conditions"):
        writer.write(0, "Status:\n")
        writer.write(0, "Conditions:\n")
        writer.line(1, "Type", "Status", "LastTransitionTime", "Reason", "Message")
        writer.line(1, "----", "------", "------------------", "------", "-------")
        for each in conditions:
            words = (each.get("reason", ""), each.get("message", ""))
            writer.line(1, each["type"], each["status"], rfc1123(each.get("lastTransitionTime")), *words)
    events.describe(writer, found_events, now)
    return writer.text()


def ip_address(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    writer.line(0, "Name:", obj["metadata"]["name"])
    notes(writer, obj)
    if parent := (obj.get("spec") or {}).get("parentRef"):
        writer.write(0, "Parent Reference:\n")
        for title, field in (
            ("Group:", "group"),
            ("Resource:", "resource"),
            ("Namespace:", "namespace"),
            ("Name:", "name"),
        ):
            writer.line(1, title, parent.get(field, ""))
    events.describe(writer, found_events, now)
    return writer.text()


def ingress_class(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer, spec = Writer(), obj.get("spec") or {}
    writer.line(0, "Name:", obj["metadata"]["name"])
    notes(writer, obj)
    writer.line(0, "Controller:", spec.get("controller", ""))
    if parameters := spec.get("parameters"):
        writer.write(0, "Parameters:\n")
        if parameters.get("apiGroup") is not None:
            writer.line(1, "APIGroup:", parameters["apiGroup"])
        writer.line(1, "Kind:", parameters.get("kind", ""))
        writer.line(1, "Name:", parameters.get("name", ""))
    events.describe(writer, found_events, now)
    return writer.text()


def network_policy(obj: Json) -> str:
    writer, spec = Writer(), obj.get("spec") or {}
    head(writer, obj)
    created = parse_time(obj["metadata"]["creationTimestamp"])
    writer.line(0, "Created on:", created.strftime("%Y-%m-%d %H:%M:%S +0000 UTC"))
    notes(writer, obj)
    writer.write(0, "Spec:\n")
    selector = spec.get("podSelector")
    anybody = "<none> (Allowing the specific traffic to all pods in this namespace)"
    writer.write(1, "PodSelector: ")
    writer.write(2, (format_selector(selector) if selector else anybody) + "\n")
    types = spec.get("policyTypes") or ["Ingress"]
    for kind, peers in (("ingress", "from"), ("egress", "to")):
        if kind.capitalize() in types:
            writer.write(1, f"Allowing {kind} traffic:\n")
            _rules(writer, spec.get(kind) or (), kind, peers)
        else:
            writer.write(1, f"Not affecting {kind} traffic\n")
    writer.write(1, f"Policy Types: {', '.join(types)}\n")
    return writer.text()


def _rules(writer: Writer, rules: Sequence[Json], kind: str, peers: str) -> None:
    if not rules:
        writer.write(2, f"<none> (Selected pods are isolated for {kind} connectivity)\n")
    for index, rule in enumerate(rules):
        for port in rule.get("ports") or ():
            protocol = port.get("protocol", "TCP")
            if port.get("endPort") is None:
                writer.write(2, f"To Port: {port.get('port', '<nil>')}/{protocol}\n")
            else:
                writer.write(2, f"To Port Range: {port.get('port')}-{port['endPort']}/{protocol}\n")
        if not rule.get("ports"):
            writer.write(2, "To Port: <any> (traffic allowed to all ports)\n")
        for peer in rule.get(peers) or ():
            writer.write(2, f"{peers.capitalize()}:\n")
            _peer(writer, peer)
        if not rule.get(peers):
            side = "source" if peers == "from" else "destination"
            writer.write(2, f"{peers.capitalize()}: <any> (traffic not restricted by {side})\n")
        if index < len(rules) - 1:
            writer.write(2, "----------\n")


def _peer(writer: Writer, peer: Json) -> None:
    for field in ("namespaceSelector", "podSelector"):
        if peer.get(field) is not None:
            writer.write(3, f"{field[0].upper()}{field[1:]}: {format_selector(peer[field])}\n")
    if block := peer.get("ipBlock"):
        writer.write(3, "IPBlock:\n")
        writer.write(4, f"CIDR: {block.get('cidr', '')}\n")
        writer.write(4, f"Except: {', '.join(block.get('except') or ())}\n")
