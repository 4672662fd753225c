"""Defaults of what traffic is told by: EndpointSlices, Ingresses' classes, NetworkPolicies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def endpoint_slice(obj: Json) -> None:
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def ingress_class(obj: Json) -> None:
    parameters = obj["spec"].get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def network_policy(obj: Json) -> None:
    spec = obj["spec"]
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction, ()):
            for port in rule.get("ports", ()):
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


DEFAULTS: dict[str, Callable[[Json], None]] = {
    "EndpointSlice": endpoint_slice,
    "IngressClass": ingress_class,
    "NetworkPolicy": network_policy,
}
