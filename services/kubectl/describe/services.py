"""Services and Endpoints described."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.kubectl.describe import events
from services.kubectl.describe.traffic import format_slices
from services.kubectl.describe.writer import Writer, head, notes
from services.kubectl.output.labels import format_labels

Json = dict[str, Any]


def service(obj: Json, slices: Sequence[Json], found_events: Iterable[Json] | None, now: datetime) -> str:
    """`slices` are the EndpointSlices of the Service."""
    writer = Writer()
    spec = obj.get("spec") or {}
    head(writer, obj)
    notes(writer, obj)
    writer.line(0, "Selector:", format_labels(spec.get("selector")))
    writer.line(0, "Type:", spec.get("type", ""))
    if spec.get("ipFamilyPolicy"):
        writer.line(0, "IP Family Policy:", spec["ipFamilyPolicy"])
    writer.line(0, "IP Families:", ",".join(spec.get("ipFamilies") or ()) or "<none>")
    writer.line(0, "IP:", spec.get("clusterIP", ""))
    writer.line(0, "IPs:", ",".join(spec.get("clusterIPs") or ()) or "<none>")
    if spec.get("externalIPs"):
        writer.line(0, "External IPs:", ",".join(spec["externalIPs"]))
    for field, title in (("loadBalancerIP", "Desired LoadBalancer IP:"), ("externalName", "External Name:")):
        if spec.get(field):
            writer.line(0, title, spec[field])
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    if ingress:
        writer.line(0, "LoadBalancer Ingress:", ", ".join(_ingress(entry) for entry in ingress))
    for port in spec.get("ports") or ():
        _port(writer, port, slices)
    _policies(writer, spec)
    events.describe(writer, found_events, now)
    return writer.text()


def _ingress(entry: Json) -> str:
    if not entry.get("ip"):
        return str(entry.get("hostname", ""))
    return f"{entry['ip']} ({entry['ipMode']})" if entry.get("ipMode") else str(entry["ip"])


def _port(writer: Writer, port: Json, slices: Sequence[Json]) -> None:
    name, protocol = port.get("name") or "<unset>", port.get("protocol", "TCP")
    writer.line(0, "Port:", name, f"{port['port']}/{protocol}")
    writer.line(0, "TargetPort:", f"{port.get('targetPort', 0)}/{protocol}")
    if port.get("appProtocol"):
        writer.line(0, "AppProtocol:", port["appProtocol"])
    if port.get("nodePort"):
        writer.line(0, "NodePort:", name, f"{port['nodePort']}/{protocol}")
    writer.line(0, "Endpoints:", format_slices(slices, port.get("name") or ""))


def _policies(writer: Writer, spec: Json) -> None:
    writer.line(0, "Session Affinity:", spec.get("sessionAffinity", ""))
    for field, title in (
        ("externalTrafficPolicy", "External Traffic Policy:"),
        ("internalTrafficPolicy", "Internal Traffic Policy:"),
        ("healthCheckNodePort", "HealthCheck NodePort:"),
    ):
        if spec.get(field):
            writer.line(0, title, spec[field])
    if spec.get("loadBalancerSourceRanges"):
        writer.line(0, "LoadBalancer Source Ranges:", ",".join(spec["loadBalancerSourceRanges"]))
    if spec.get("trafficDistribution"):
        writer.line(0, "Traffic Distribution:", spec["trafficDistribution"])


def endpoints(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    head(writer, obj)
    notes(writer, obj)
    writer.write(0, "Subsets:\n")
    for subset in obj.get("subsets") or ():
        for field, title in (("addresses", "Addresses:"), ("notReadyAddresses", "NotReadyAddresses:")):
            addresses = ",".join(address["ip"] for address in subset.get(field) or ())
            writer.line(1, title, addresses or "<none>")
        if subset.get("ports"):
            writer.write(1, "Ports:\n")
            writer.line(2, "Name", "Port", "Protocol")
            writer.line(2, "----", "----", "--------")
        for port in subset.get("ports") or ():
            writer.line(2, port.get("name") or "<unset>", port["port"], port.get("protocol", "TCP"))
        writer.write(0, "\n")
    events.describe(writer, found_events, now)
    return writer.text()
