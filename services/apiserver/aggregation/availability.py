"""Whether a Service could answer for its group: what of it can be seen without asking it. Pure.

Upstream: the controller of remote availability.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

PASSED = ("True", "Passed", "all checks passed")


def verdict(reference: Json, service: Json | None, slices: Iterable[Json]) -> tuple[str, str, str]:
    """Status, reason and message of the condition; PASSED where the Service itself has to be asked."""
    name, namespace = reference.get("name", ""), reference.get("namespace", "")
    named = f'service/{name} in "{namespace}"'
    if service is None:
        return "False", "ServiceNotFound", f"{named} is not present"
    if service["spec"].get("type") != "ClusterIP":
        return PASSED
    port = reference.get("port") or 443
    found = next((each for each in service["spec"].get("ports") or () if each.get("port") == port), None)
    if found is None:
        return "False", "ServicePortError", f"{named} is not listening on port {port}"
    known = list(slices)
    if not known:
        return "False", "EndpointsNotFound", f"cannot find endpointslices for {named}"
    port_name = found.get("name", "")
    if not any(_answers(each, port_name) for each in known):
        why = f'endpointslices for {named} have no addresses with port name "{port_name}"'
        return "False", "MissingEndpoints", why
    return PASSED


def _answers(endpoints: Json, port_name: str) -> bool:
    ready = any(
        (each.get("conditions") or {}).get("ready") is not False for each in endpoints.get("endpoints") or ()
    )
    ports = endpoints.get("ports") or ()
    return ready and any(each.get("name", "") == port_name and each.get("port") for each in ports)
