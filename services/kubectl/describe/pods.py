"""A Pod, and the Pod template inside of a controller, described."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.kubectl.describe import containers, events, volumes
from services.kubectl.describe.writer import (
    Writer,
    annotation_lines,
    controller_of,
    head,
    labels,
    lines_below,
    rfc1123,
    tolerations,
)
from services.kubectl.output.labels import format_selector
from services.machinery.duration import since

Json = dict[str, Any]

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


def describe(pod: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    head(writer, pod)
    _identity(writer, pod, spec, status, now)
    resolve = _resolver(pod)
    if spec.get("resources"):
        writer.write(0, "Resources:\n")
        containers.resources(writer, 1, spec["resources"])
    if spec.get("initContainers"):
        statuses = status.get("initContainerStatuses") or ()
        containers.describe(writer, "Init Containers", spec["initContainers"], statuses, resolve)
    statuses = status.get("containerStatuses") or ()
    containers.describe(writer, "Containers", spec.get("containers") or (), statuses, resolve)
    if spec.get("ephemeralContainers"):
        statuses = status.get("ephemeralContainerStatuses") or ()
        containers.describe(writer, "Ephemeral Containers", spec["ephemeralContainers"], statuses, resolve)
    _conditions(writer, spec, status)
    volumes.describe(writer, spec.get("volumes") or ())
    writer.line(0, "QoS Class:", status.get("qosClass") or _qos(pod))
    labels(writer, "Node-Selectors", spec.get("nodeSelector"))
    tolerations(writer, "Tolerations", spec.get("tolerations") or ())
    _spread(writer, "Topology Spread Constraints", spec)
    events.describe(writer, found_events, now)
    return writer.text()


def _identity(writer: Writer, pod: Json, spec: Json, status: Json, now: datetime) -> None:
    if spec.get("priority") is not None:
        writer.line(0, "Priority:", spec["priority"])
    for field, title in (
        ("priorityClassName", "Priority Class Name:"),
        ("runtimeClassName", "Runtime Class Name:"),
        ("serviceAccountName", "Service Account:"),
    ):
        if spec.get(field):
            writer.line(0, title, spec[field])
    node = spec.get("nodeName")
    writer.line(0, "Node:", f"{node}/{status.get('hostIP', '')}" if node else "<none>")
    if status.get("startTime"):
        writer.line(0, "Start Time:", rfc1123(status["startTime"]))
    labels(writer, "Labels", pod["metadata"].get("labels"))
    annotation_lines(writer, "Annotations", pod["metadata"].get("annotations"))
    _phase(writer, pod, status, now)
    profile = (spec.get("securityContext") or {}).get("seccompProfile")
    if profile:
        writer.line(0, "SeccompProfile:", profile["type"])
        if profile["type"] == "Localhost":
            writer.line(0, "LocalhostProfile:", profile.get("localhostProfile", ""))
    _addresses(writer, status)
    if controller := controller_of(pod):
        writer.line(0, "Controlled By:", controller)
    if status.get("nominatedNodeName"):
        writer.line(0, "NominatedNodeName:", status["nominatedNodeName"])


def _phase(writer: Writer, pod: Json, status: Json, now: datetime) -> None:
    deleted = pod["metadata"].get("deletionTimestamp")
    if deleted and status.get("phase") not in ("Failed", "Succeeded"):
        writer.line(0, "Status:", f"Terminating (lasts {since(deleted, now)})")
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
        writer.line(0, "Termination Grace Period:", f"{grace}s")
    else:
        writer.line(0, "Status:", status.get("phase", ""))
    for field, title in (("reason", "Reason:"), ("message", "Message:")):
        if status.get(field):
            writer.line(0, title, status[field])


def _addresses(writer: Writer, status: Json) -> None:
    writer.line(0, "IP:", status.get("podIP", ""))
    addresses = status.get("podIPs") or ()
    if not addresses:
        writer.line(0, "IPs:", "<none>")
        return
    writer.write(0, "IPs:\n")
    for address in addresses:
        writer.line(1, "IP:", address["ip"])


def _conditions(writer: Writer, spec: Json, status: Json) -> None:
    conditions = status.get("conditions") or ()
    gates = spec.get("readinessGates") or ()
    if gates:
        known = {condition["type"]: condition["status"] for condition in conditions}
        writer.write(0, "Readiness Gates:\n  Type\tStatus\n")
        for gate in gates:
            name = gate["conditionType"]
            writer.write(1, f"{name} \t{known.get(name, '<none>')} \n")
    if conditions:
        writer.write(0, "Conditions:\n  Type\tStatus\n")
        for condition in conditions:
            writer.write(1, f"{condition['type']} \t{condition['status']} \n")


def _spread(writer: Writer, title: str, spec: Json) -> None:
    constraints = sorted(spec.get("topologySpreadConstraints") or (), key=lambda c: c["topologyKey"])
    if not constraints:
        return
    entries = []
    for constraint in constraints:
        text = (
            f"{constraint['topologyKey']}:{constraint['whenUnsatisfiable']}"
            f" when max skew {constraint['maxSkew']} is exceeded"
        )
        if constraint.get("labelSelector") is not None:
            text += f" for selector {format_selector(constraint['labelSelector'])}"
        entries.append(text)
    lines_below(writer, title, entries)


def _resolver(pod: Json) -> containers.Resolve:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    addresses = ",".join(address["ip"] for address in status.get("podIPs") or ())
    hosts = ",".join(address["ip"] for address in status.get("hostIPs") or ())
    fields = {
        "metadata.name": metadata.get("name", ""),
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": status.get("hostIP", ""),
        "status.hostIPs": hosts,
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": addresses,
    }

    def resolve(field: Json) -> str:
        path = field["fieldPath"]
        if match := _SUBSCRIPT.fullmatch(path):
            return str((metadata.get(match[1]) or {}).get(match[2], ""))
        if path in ("metadata.labels", "metadata.annotations"):
            values = metadata.get(path.partition(".")[2]) or {}
            return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
        return str(fields.get(path, ""))

    return resolve


def _qos(pod: Json) -> str:
    import msgspec

    from services.api.core_v1 import Pod
    from services.machinery.pods import qos_class

    plain = {key: value for key, value in pod.items() if key not in ("apiVersion", "kind")}
    return qos_class(msgspec.convert(plain, Pod, strict=False))


def template(values: Json, writer: Writer) -> None:
    """What a controller makes its Pods of."""
    metadata, spec = values.get("metadata") or {}, values.get("spec") or {}
    writer.write(0, "Pod Template:\n")
    labels(writer, "  Labels", metadata.get("labels"))
    if metadata.get("annotations"):
        annotation_lines(writer, "  Annotations", metadata["annotations"])
    if spec.get("serviceAccountName"):
        writer.line(1, "Service Account:", spec["serviceAccountName"])
    if spec.get("initContainers"):
        containers.describe(writer, "Init Containers", spec["initContainers"], (), _unresolved, "  ")
    containers.describe(writer, "Containers", spec.get("containers") or (), (), _unresolved, "  ")
    volumes.describe(writer, spec.get("volumes") or (), "  ")
    _spread(writer, "  Topology Spread Constraints", spec)
    if spec.get("priorityClassName"):
        writer.line(1, "Priority Class Name:", spec["priorityClassName"])
    labels(writer, "  Node-Selectors", spec.get("nodeSelector"))
    tolerations(writer, "  Tolerations", spec.get("tolerations") or ())


def _unresolved(field: Json) -> str:
    return ""
