"""The columns of each kind's Table: names, types, priorities.

Priority 0 is always shown, 1 only with `-o wide`. The order is the order of the cells that the
kind's row function returns. Upstream: `pkg/printers/internalversion/printers.go`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.tables.descriptions import DESCRIPTIONS

Column = dict[str, Any]  # meta.k8s.io/v1 TableColumnDefinition


def column(name: str, description: str, *, wide: bool = False, type: str = "string") -> Column:
    return {
        "name": name,
        "type": type,
        "format": "",
        "description": description,
        "priority": int(wide),
    }


def _name(*, wide: bool = False) -> Column:
    return {**column("Name", DESCRIPTIONS["name"], wide=wide), "format": "name"}


def _of(kind: str, name: str, *, wide: bool = False, type: str = "string") -> Column:
    return column(name, DESCRIPTIONS[f"{kind}.{name}"], wide=wide, type=type)


def _address(name: str) -> Column:
    return column(name, DESCRIPTIONS["node.addresses"], wide=True)


AGE = column("Age", DESCRIPTIONS["age"])


def _workload(kind: str) -> list[Column]:
    """What a controller of Pods shows when asked for more."""
    return [
        column("Containers", DESCRIPTIONS["containers"], wide=True),
        column("Images", DESCRIPTIONS["images"], wide=True),
        _of(kind, "Selector", wide=True),
    ]


def _counts(kind: str) -> list[Column]:
    return [_of(kind, name, type="integer") for name in ("Desired", "Current", "Ready")]


_VOLUME = (
    "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass", "VolumeAttributesClass",
    "Reason",
)  # fmt: skip
_CLAIM = ("Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass")
_CLASS = ("Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion")

COLUMNS: dict[str, list[Column]] = {
    "Pod": [
        _name(),
        *(_of("pod", name) for name in ("Ready", "Status", "Restarts")),
        AGE,
        *(_of("pod", name, wide=True) for name in ("IP", "Node", "Nominated Node", "Readiness Gates")),
    ],
    "ReplicationController": [
        _name(),
        *_counts("replicationcontroller"),
        AGE,
        *_workload("replicationcontroller"),
    ],
    "ReplicaSet": [_name(), *_counts("replicaset"), AGE, *_workload("replicaset")],
    "Deployment": [
        _name(),
        *(_of("deployment", name) for name in ("Ready", "Up-to-date", "Available")),
        AGE,
        *_workload("deployment"),
    ],
    "Service": [
        _name(),
        *(_of("service", name) for name in ("Type", "Cluster-IP", "External-IP", "Port(s)")),
        AGE,
        _of("service", "Selector", wide=True),
    ],
    "Endpoints": [_name(), _of("endpoints", "Endpoints"), AGE],
    "Node": [
        _name(),
        _of("node", "Status"),
        _of("node", "Roles"),
        AGE,
        _of("node", "Version"),
        _address("Internal-IP"),
        _address("External-IP"),
        *(_of("node", name, wide=True) for name in ("OS-Image", "Kernel-Version", "Container-Runtime")),
    ],
    "Event": [
        *(_of("event", name) for name in ("Last Seen", "Type", "Reason", "Object")),
        _of("event", "Subobject", wide=True),
        _of("event", "Source", wide=True),
        _of("event", "Message"),
        _of("event", "First Seen", wide=True),
        _of("event", "Count", wide=True),
        _name(wide=True),
    ],
    "Namespace": [_name(), _of("namespace", "Status"), AGE],
    "Secret": [_name(), _of("secret", "Type"), _of("secret", "Data"), AGE],
    "ServiceAccount": [_name(), _of("serviceaccount", "Secrets"), AGE],
    "ConfigMap": [_name(), _of("configmap", "Data"), AGE],
    "Lease": [_name(), _of("lease", "Holder"), AGE],
    "PersistentVolume": [
        _name(),
        *(_of("persistentvolume", name) for name in _VOLUME),
        AGE,
        _of("persistentvolume", "VolumeMode", wide=True),
    ],
    "PersistentVolumeClaim": [
        _name(),
        *(_of("persistentvolumeclaim", name) for name in _CLAIM),
        AGE,
        _of("persistentvolumeclaim", "VolumeMode", wide=True),
    ],
    "RuntimeClass": [_name(), _of("runtimeclass", "Handler"), AGE],
    "StorageClass": [_name(), *(_of("storageclass", name) for name in _CLASS), AGE],
    "VolumeAttributesClass": [_name(), _of("volumeattributesclass", "DriverName"), AGE],
    "CSIDriver": [
        _name(),
        *(
            _of("csidriver", name, type="boolean")
            for name in ("AttachRequired", "PodInfoOnMount", "StorageCapacity")
        ),
        _of("csidriver", "TokenRequests"),
        _of("csidriver", "RequiresRepublish", type="boolean"),
        _of("csidriver", "Modes"),
        AGE,
    ],
    "CSINode": [_name(), _of("csinode", "Drivers", type="integer"), AGE],
    "VolumeAttachment": [
        _name(),
        {**_of("volumeattachment", "Attacher"), "format": "name"},
        *(_of("volumeattachment", name) for name in ("PV", "Node")),
        _of("volumeattachment", "Attached", type="boolean"),
        AGE,
    ],
    "ControllerRevision": [
        _name(),
        _of("controllerrevision", "Controller"),
        _of("controllerrevision", "Revision"),
        AGE,
    ],
    "Scale": [
        column("Name", DESCRIPTIONS["name"]),
        _of("scale", "Desired", type="integer"),
        _of("scale", "Available", type="integer"),
        AGE,
    ],
}

# What a kind has of which nobody wrote columns.
DEFAULT = [_name(), column("Created At", DESCRIPTIONS["age"], type="date")]
