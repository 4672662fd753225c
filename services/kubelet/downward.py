"""The downward API: fields of the Pod and of its containers' resources, as text. Pure.

Upstream: `pkg/fieldpath` and `podFieldSelectorRuntimeValue`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from services.api.core_v1 import Container, Pod, ResourceFieldSelector
from services.kubelet.references import ConfigError
from services.machinery import quantity

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


def field_value(pod: Pod, path: str, *, host_ip: str = "", pod_ip: str = "") -> str:
    """What `fieldRef: {fieldPath: …}` stands for. ConfigError for a path that there is not."""
    metadata, spec = pod.metadata, pod.spec
    match path:
        case "metadata.name":
            return metadata.name or ""
        case "metadata.namespace":
            return metadata.namespace or ""
        case "metadata.uid":
            return metadata.uid or ""
        case "metadata.labels":
            return _format_map(metadata.labels)
        case "metadata.annotations":
            return _format_map(metadata.annotations)
        case "spec.nodeName":
            return spec.node_name or ""
        case "spec.serviceAccountName":
            return spec.service_account_name or ""
        case "status.hostIP" | "status.hostIPs":
            return host_ip
        case "status.podIP" | "status.podIPs":
            return pod_ip
    if subscript := _SUBSCRIPT.fullmatch(path):
        values = metadata.labels if subscript[1] == "labels" else metadata.annotations
        return values.get(subscript[2], "")
    raise ConfigError(f"unsupported fieldPath: {path}")


def needs_pod_ip(pod: Pod) -> bool:
    """Whether a container's environment names the Pod's address, which only a sandbox has."""
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    references = (v.value_from.field_ref for c in containers for v in c.env if v.value_from)
    return any(ref is not None and ref.field_path.startswith("status.podIP") for ref in references)


def _format_map(values: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={_go_quoted(values[key])}" for key in sorted(values))


_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b",
            "\f": "\\f", "\v": "\\v"}  # fmt: skip


def _go_quoted(text: str) -> str:
    return (
        '"' + "".join(_ESCAPED.get(c) or (c if c.isprintable() else f"\\x{ord(c):02x}") for c in text) + '"'
    )


def resource_value(
    pod: Pod, container: Container, selector: ResourceFieldSelector, allocatable: Mapping[str, str]
) -> str:
    """What `resourceFieldRef` stands for: a whole number of divisors, rounded up.

    A limit that is not set is the node's allocatable.
    """
    named = selector.container_name
    if named:
        everyone = (*pod.spec.containers, *pod.spec.init_containers)
        container = next((c for c in everyone if c.name == named), container)
    kind, _, resource = selector.resource.partition(".")
    if kind not in ("limits", "requests"):
        raise ConfigError(f"unsupported container resource : {selector.resource}")
    resources = container.resources
    limits = resources.limits if resources else {}
    text = (
        limits.get(resource) if kind == "limits" else (resources.requests if resources else {}).get(resource)
    )
    if text is None and kind == "limits":
        text = allocatable.get(resource, "0")
    divisor = quantity.parse(str(selector.divisor or "1")) or 1
    value = Fraction(quantity.parse(str(text or "0"))) / Fraction(divisor)
    return str(-(-value.numerator // value.denominator))
