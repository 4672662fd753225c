"""PersistentVolumes, claims and StorageClasses described."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.kubectl.describe import events, volumes
from services.kubectl.describe.writer import Writer, annotation_lines, labels, lines_below, rfc1123
from services.kubectl.output.labels import format_labels

Json = dict[str, Any]

_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_IS_DEFAULT = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_SHORT_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _modes(modes: Iterable[str] | None) -> str:
    found = set(modes or ())
    return ",".join(short for mode, short in _SHORT_MODES.items() if mode in found)


def _class_of(obj: Json) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    return str(annotations.get(_BETA_CLASS) or (obj.get("spec") or {}).get("storageClassName") or "")


def _finalizers(writer: Writer, obj: Json) -> None:
    writer.line(0, "Finalizers:", "[" + " ".join(obj["metadata"].get("finalizers") or ()) + "]")


def _status(writer: Writer, obj: Json) -> None:
    deleted = obj["metadata"].get("deletionTimestamp")
    phase = (obj.get("status") or {}).get("phase", "")
    writer.line(0, "Status:", f"Terminating (since {deleted})" if deleted else phase)


def persistent_volume(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    writer.line(0, "Name:", obj["metadata"]["name"])
    labels(writer, "Labels", obj["metadata"].get("labels"))
    annotation_lines(writer, "Annotations", obj["metadata"].get("annotations"))
    _finalizers(writer, obj)
    writer.line(0, "StorageClass:", _class_of(obj))
    _status(writer, obj)
    claim = spec.get("claimRef")
    writer.line(0, "Claim:", f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "")
    writer.line(0, "Reclaim Policy:", spec.get("persistentVolumeReclaimPolicy", ""))
    writer.line(0, "Access Modes:", _modes(spec.get("accessModes")))
    if spec.get("volumeMode"):
        writer.line(0, "VolumeMode:", spec["volumeMode"])
    writer.line(0, "Capacity:", (spec.get("capacity") or {}).get("storage", "0"))
    _node_affinity(writer, spec.get("nodeAffinity"))
    writer.line(0, "Message:", status.get("message", ""))
    writer.write(0, "Source:\n")
    volumes.source(writer, spec)
    events.describe(writer, found_events, now)
    return writer.text()


def _node_affinity(writer: Writer, affinity: Json | None) -> None:
    writer.write(0, "Node Affinity:\t")
    if affinity is None or affinity.get("required") is None:
        writer.write(0, "<none>\n")
        return
    writer.write(0, "\n")
    writer.write(1, "Required Terms:\t")
    terms = affinity["required"].get("nodeSelectorTerms") or ()
    if not terms:
        writer.write(1, "<none>\n")
        return
    writer.write(0, "\n")
    for index, term in enumerate(terms):
        writer.write(2, f"Term {index}:\t")
        expressions = term.get("matchExpressions") or ()
        if not expressions:
            writer.write(0, "<none>\n")
        for place, expression in enumerate(expressions):
            values = expression.get("values") or ()
            text = f"{expression['key']} {expression['operator'].lower()}"
            text += f" [{', '.join(values)}]" if values else ""
            writer.write(0 if not place else 3, f"{'' if not place else chr(9)}{text}\n")


def claim(obj: Json, pods: Iterable[Json], found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    writer.line(0, "Name:", metadata["name"])
    writer.line(0, "Namespace:", metadata.get("namespace", ""))
    writer.line(0, "StorageClass:", _class_of(obj))
    _status(writer, obj)
    writer.line(0, "Volume:", spec.get("volumeName", ""))
    labels(writer, "Labels", metadata.get("labels"))
    annotation_lines(writer, "Annotations", metadata.get("annotations"))
    _finalizers(writer, obj)
    bound = spec.get("volumeName")
    writer.line(0, "Capacity:", (status.get("capacity") or {}).get("storage", "0") if bound else "")
    writer.line(0, "Access Modes:", _modes(status.get("accessModes")) if bound else "")
    if spec.get("volumeMode"):
        writer.line(0, "VolumeMode:", spec["volumeMode"])
    _data_source(writer, spec.get("dataSource"))
    lines_below(writer, "Used By", (pod["metadata"]["name"] for pod in pods))
    _conditions(writer, status.get("conditions") or ())
    events.describe(writer, found_events, now)
    return writer.text()


def _data_source(writer: Writer, source: Json | None) -> None:
    if source is None:
        return
    writer.write(0, "DataSource:\n")
    if source.get("apiGroup"):
        writer.line(1, "APIGroup:", source["apiGroup"])
    writer.line(1, "Kind:", source.get("kind", ""))
    writer.line(1, "Name:", source.get("name", ""))


def _conditions(writer: Writer, conditions: Iterable[Json]) -> None:
    rows = list(conditions)
    if not rows:
        return
    writer.write(0, "Conditions:\n")
    writer.line(1, "Type", "Status", "LastProbeTime", "LastTransitionTime", "Reason", "Message")
    writer.line(1, "----", "------", "-----------------", "------------------", "------", "-------")
    for row in rows:
        writer.line(
            1,
            row.get("type", ""),
            row.get("status", ""),
            row.get("lastProbeTime") or "",
            row.get("lastTransitionTime") or "",
            row.get("reason", ""),
            row.get("message", ""),
        )


def uses(pod: Json, name: str) -> bool:
    """Whether a Pod mounts a claim, by name or as its own generic ephemeral volume."""
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        claim = volume.get("persistentVolumeClaim")
        if claim is not None and claim.get("claimName") == name:
            return True
        if "ephemeral" in volume and f"{pod['metadata']['name']}-{volume['name']}" == name:
            return True
    return False


def csi_node(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    metadata = obj["metadata"]
    writer.line(0, "Name:", metadata["name"])
    labels(writer, "Labels", metadata.get("labels"))
    annotation_lines(writer, "Annotations", metadata.get("annotations"))
    writer.line(0, "CreationTimestamp:", rfc1123(metadata.get("creationTimestamp")))
    writer.write(0, "Spec:\n")
    drivers = (obj.get("spec") or {}).get("drivers") or ()
    if drivers:
        writer.write(1, "Drivers:\n")
    for driver in drivers:
        writer.write(2, f"{driver['name']}:\n")
        writer.line(3, "Node ID:", driver.get("nodeID", ""))
        if (count := (driver.get("allocatable") or {}).get("count")) is not None:
            writer.write(3, "Allocatables:\n")
            writer.line(4, "Count:", count)
        if driver.get("topologyKeys"):
            writer.line(3, "Topology Keys:", f"[{' '.join(driver['topologyKeys'])}]")
    events.describe(writer, found_events, now)
    return writer.text()


def volume_attributes_class(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    writer.line(0, "Name:", obj["metadata"]["name"])
    writer.line(0, "Annotations:", format_labels(obj["metadata"].get("annotations")))
    writer.line(0, "DriverName:", obj.get("driverName", ""))
    writer.line(0, "Parameters:", format_labels(obj.get("parameters")))
    events.describe(writer, found_events, now)
    return writer.text()


def storage_class(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    annotations = obj["metadata"].get("annotations") or {}
    default = any(annotations.get(name) == "true" for name in _IS_DEFAULT)
    writer.line(0, "Name:", obj["metadata"]["name"])
    writer.line(0, "IsDefaultClass:", "Yes" if default else "No")
    writer.line(0, "Annotations:", _pairs(annotations))
    writer.line(0, "Provisioner:", obj.get("provisioner", ""))
    writer.line(0, "Parameters:", _pairs(obj.get("parameters") or {}))
    growth = obj.get("allowVolumeExpansion")
    writer.line(0, "AllowVolumeExpansion:", "<unset>" if growth is None else str(bool(growth)))
    options = obj.get("mountOptions") or ()
    if not options:
        writer.line(0, "MountOptions:", "<none>")
    else:
        writer.write(0, "MountOptions:\n")
        for option in options:
            writer.write(1, f"{option}\n")
    if obj.get("reclaimPolicy"):
        writer.line(0, "ReclaimPolicy:", obj["reclaimPolicy"])
    if obj.get("volumeBindingMode"):
        writer.line(0, "VolumeBindingMode:", obj["volumeBindingMode"])
    if topologies := obj.get("allowedTopologies"):
        _topologies(writer, topologies)
    events.describe(writer, found_events, now)
    return writer.text()


def _topologies(writer: Writer, topologies: list[Json]) -> None:
    writer.write(0, "AllowedTopologies:\n")
    for index, term in enumerate(topologies):
        writer.write(1, f"Term {index}:\t")
        rows = term.get("matchLabelExpressions") or ()
        if not rows:
            writer.write(0, "<none>\n")
        for place, row in enumerate(rows):
            writer.write(0, f"{'' if not place else chr(9)}{row['key']} in [{', '.join(row['values'])}]\n")


def _pairs(values: Json) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(values.items())) or "<none>"
