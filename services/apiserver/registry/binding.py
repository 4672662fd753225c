"""`pods/binding`: the scheduler's one write, that puts a Pod on a node. Pure.

Upstream: `pkg/registry/core/pod/storage.BindingREST`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.api import errors
from services.api.kinds import Resource
from services.machinery.clock import rfc3339

Json = dict[str, Any]

_TOPOLOGY = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


def check(binding: Json) -> str:
    """The node that a Binding names. ApiError, which upstream sends as a 500 without a reason."""
    target = binding.get("target") or {}
    if target.get("kind", "") not in ("", "Node"):
        shown = f'Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"'
        raise errors.failure(500, "", f"target.kind: {shown}")
    if not target.get("name"):
        raise errors.failure(500, "", "target.name: Required value")
    return str(target["name"])


def bind(resource: Resource, pod: Json, binding: Json, node: str, now: datetime) -> None:
    """Assigns the Pod in place. ApiError 409 where it cannot be."""
    metadata, name = pod["metadata"], pod["metadata"]["name"]
    uid = (binding.get("metadata") or {}).get("uid")
    if uid and uid != metadata["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata['uid']}"
        raise errors.conflict(resource, name, why)
    if metadata.get("deletionTimestamp"):
        raise _refused(name, f"pod {name} is being deleted, cannot be assigned to a host")
    if assigned := pod["spec"].get("nodeName"):
        raise _refused(name, f'pod {name} is already assigned to node "{assigned}"')
    if pod["spec"].get("schedulingGates"):
        raise _refused(name, f"pod {name} has non-empty .spec.schedulingGates")
    pod["spec"]["nodeName"] = node
    annotations = (binding.get("metadata") or {}).get("annotations")
    if annotations:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    _scheduled(pod.setdefault("status", {}), now)


def _refused(name: str, why: str) -> errors.ApiError:
    message = f'Operation cannot be fulfilled on pods/binding "{name}": {why}'
    return errors.failure(409, "Conflict", message, {"name": name, "kind": "pods/binding"})


def _scheduled(status: Json, now: datetime) -> None:
    conditions = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
    condition: Json = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": rfc3339(now),
    }
    status["conditions"] = [*conditions, condition]


def give_topology(pod: Json, node_labels: Mapping[str, str]) -> None:
    """Admission plugin PodTopologyLabels: a Pod knows the zone and region of its node."""
    given = {key: node_labels[key] for key in _TOPOLOGY if key in node_labels}
    if given:
        meta = pod["metadata"]
        meta["labels"] = {**(meta.get("labels") or {}), **given}
