"""What a Service is given: a cluster IP, its family, and node ports.

Upstream keeps allocation bitmaps in etcd; here the Services themselves are the record, and
`Context.every` shows them. Two creations in the same instant could draw the same address out of a million.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import Any

from services.api import core_v1, errors, kinds
from services.apiserver.rules.context import Context
from services.apiserver.rules.validation.service import headless, needs_health_check
from services.machinery.field_errors import Cause, invalid

Json = dict[str, Any]

SERVICE_NETWORK = IPv4Network("10.96.0.0/12")
KUBERNETES_IP = "10.96.0.1"  # The Service `kubernetes`, which is there before any other.
NODE_PORTS = range(30000, 32768)
DRAWS_MAX = 100
_SERVICES = kinds.resource_of(core_v1.Service)


def allocate(obj: Json, ctx: Context) -> None:
    """Fills in, in place, all that an address is needed for. ApiError (422) where it cannot be had."""
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return
    others = [other for other in ctx.every(_SERVICES) if not _same(other, obj)]
    _families(obj, spec)
    if not headless(spec):
        _cluster_ip(obj, spec, others, ctx.random)
    _node_ports(obj, spec, others, ctx.random)


def _same(one: Json, other: Json) -> bool:
    return all(one["metadata"].get(field) == other["metadata"].get(field) for field in ("namespace", "name"))


def _refuse(obj: Json, cause: Cause) -> errors.ApiError:
    return errors.invalid("", "Service", obj["metadata"].get("name", ""), [cause])


def _families(obj: Json, spec: Json) -> None:
    if headless(spec) and not spec.get("selector"):
        # Nobody but its maker knows which families its endpoints will have.
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        spec.setdefault("ipFamilyPolicy", "RequireDualStack")
        return
    policy = spec.setdefault("ipFamilyPolicy", "SingleStack")
    if policy == "RequireDualStack":
        why = "this cluster is not configured for dual-stack services"
        raise _refuse(obj, invalid("spec.ipFamilyPolicy", policy, why))
    families = spec.setdefault("ipFamilies", ["IPv4"])
    for index, family in enumerate(families):
        if family == "IPv6":
            why = "not configured on this cluster"
            raise _refuse(obj, invalid(f"spec.ipFamilies[{index}]", family, why))


def _cluster_ip(obj: Json, spec: Json, others: list[Json], random: Random) -> None:
    taken = {KUBERNETES_IP}
    for other in others:
        taken.update(other["spec"].get("clusterIPs", ()))
    wanted = spec.get("clusterIP")
    if wanted:
        why = ""
        if IPv4Address(wanted) not in SERVICE_NETWORK:
            why = "the provided network does not match the current range"
        elif wanted in taken and not _is_kubernetes(obj):
            why = "provided IP is already allocated"
        if why:
            detail = f"failed to allocate IP {wanted}: {why}"
            raise _refuse(obj, invalid("spec.clusterIPs", [wanted], detail))
    else:
        first = int(SERVICE_NETWORK.network_address)
        spec["clusterIP"] = _draw(
            lambda: str(IPv4Address(first + random.randrange(1, SERVICE_NETWORK.num_addresses - 1))), taken
        )
    spec["clusterIPs"] = [spec["clusterIP"]]


def _is_kubernetes(obj: Json) -> bool:
    meta = obj["metadata"]
    return (meta.get("namespace"), meta.get("name")) == ("default", "kubernetes")


def _draw(draw: Callable[[], Any], taken: set[Any]) -> Any:
    for _ in range(DRAWS_MAX):
        found = draw()
        if found not in taken:
            return found
    raise errors.internal("failed to allocate a serviceIP or port: range is full")


def _node_ports(obj: Json, spec: Json, others: list[Json], random: Random) -> None:
    kind = spec.get("type")
    wanted = kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts"))
    asked = [port["nodePort"] for port in spec.get("ports", ()) if port.get("nodePort")]
    if not wanted and not asked:
        return
    taken = {
        port["nodePort"] for other in others for port in other["spec"].get("ports", ()) if "nodePort" in port
    }
    taken |= {
        other["spec"]["healthCheckNodePort"] for other in others if "healthCheckNodePort" in other["spec"]
    }
    given: dict[int, int] = {}  # The same port number for TCP and UDP shares a node port.
    for index, port in enumerate(spec.get("ports", ())):
        number = port.get("nodePort", 0)
        if number:
            _check_node_port(obj, index, number, taken)
        elif wanted:
            number = given.get(port.get("port", 0)) or _draw(
                lambda: random.choice(NODE_PORTS), taken | set(asked) | set(given.values())
            )
            port["nodePort"] = number
        given[port.get("port", 0)] = number
    if needs_health_check(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = _draw(lambda: random.choice(NODE_PORTS), taken | set(given.values()))


def _check_node_port(obj: Json, index: int, number: int, taken: set[int]) -> None:
    path = f"spec.ports[{index}].nodePort"
    if number not in NODE_PORTS:
        bounds = f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
        why = f"provided port is not in the valid range. The range of valid ports is {bounds}"
        raise _refuse(obj, invalid(path, number, why))
    if number in taken:
        raise _refuse(obj, invalid(path, number, "provided port is already allocated"))
